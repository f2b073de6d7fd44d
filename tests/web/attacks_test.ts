/**
 * What a stranger on the wire can try, and no client library would send.
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { within } from "../../harness/vm/deadline.ts";
import { startDashboard } from "../../web/dashboard.ts";
import { PATIENCE_MS } from "./_command.ts";

/** Where a dashboard is attacked. */
interface Target {
  readonly port: number;
  readonly token: string;
  /** The right Host. */
  readonly host: string;
  /** Ends it. @returns false when it does not end */
  close(): Promise<boolean>;
}

/** Attacks a dashboard that starts nothing; it says nothing, and ends. */
async function attack(body: (target: Target) => Promise<void>): Promise<void> {
  const lines: string[] = [];
  const dashboard = startDashboard({
    port: 0,
    catalog: [],
    startedBy: "command",
    log: (line) => lines.push(line),
  });
  const { port, searchParams } = new URL(dashboard.link);
  let closed: Promise<boolean> | null = null;
  const close = () => closed ??= within(dashboard.close().then(() => true), PATIENCE_MS, false);
  try {
    await body({
      port: Number(port),
      token: searchParams.get("token")!,
      host: `Host: 127.0.0.1:${port}\r\n`,
      close,
    });
  } finally {
    assert(await close(), "it does not end");
  }
  assertEquals(lines, []);
}

function connect({ port }: Target): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port });
}

/** Sends bytes as they are. @returns the beginning of what comes back, as long as `enough` is not in it */
async function send(target: Target, request: string, enough: RegExp): Promise<string> {
  using connection = await connect(target);
  const sending = (async () => {
    const bytes = new TextEncoder().encode(request);
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
  })().catch(() => {});
  const decoder = new TextDecoder();
  const bytes = new Uint8Array(65_536);
  let answer = "";
  while (!enough.test(answer)) {
    const read = await connection.read(bytes).catch(() => null);
    if (read === null) break;
    answer += decoder.decode(bytes.subarray(0, read), { stream: true });
  }
  connection.close();
  await sending;
  return answer;
}

const STATUS = /^HTTP\/1\.[01] (\d{3}) /;
const END = "Connection: close\r\n\r\n";

Deno.test("on the wire: a foreign Host, or two of them, gets nothing", async (t) => {
  await attack(async (target) => {
    const { port, host } = target;
    const heads: readonly (readonly [string, string, number])[] = [
      ["foreign", `Host: evil.example:${port}\r\n`, 403],
      ["ours, then foreign", `${host}Host: evil.example:${port}\r\n`, 400],
      ["foreign, then ours", `Host: evil.example:${port}\r\n${host}`, 400],
      ["another port", `Host: 127.0.0.1:${port ^ 1}\r\n`, 403],
      ["empty", "Host:\r\n", 403],
    ];
    for (const [what, head, status] of heads) {
      await t.step(what, async () => {
        const answer = await send(target, `GET /api/state HTTP/1.1\r\n${head}${END}`, /\r\n\r\n/);
        assertEquals(STATUS.exec(answer)?.[1], String(status), answer);
        assert(!answer.includes('"endpoints"'), answer);
      });
    }
  });
});

Deno.test("on the wire: a page of another site reads nothing and starts nothing, even with the token", async (t) => {
  await attack(async (target) => {
    const { port, host, token } = target;
    const body = '{"scenario":"alpha","mode":"remap","via":"direct"}';
    const start = `POST /api/runs HTTP/1.1\r\n${host}Authorization: Bearer ${token}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
    const origins = [
      "http://evil.example",
      `http://evil.example:${port}`,
      `http://127.0.0.1.evil.example:${port}`,
      `https://127.0.0.1:${port}`,
      "null",
    ];
    for (const origin of origins) {
      await t.step(origin, async () => {
        const head = `Origin: ${origin}\r\n${END}`;
        for (const request of [`GET /api/stream HTTP/1.1\r\n${host}${head}`, start + head + body]) {
          const answer = await send(target, request, /\r\n\r\n/);
          assertMatch(answer, /^HTTP\/1\.1 403 /);
          assert(!/access-control-allow/i.test(answer), answer);
        }
      });
    }
    await t.step("its own page is answered", async () => {
      const own = `${start}Origin: http://127.0.0.1:${port}\r\n${END}${body}`;
      // Nothing can be started here.
      assertMatch(await send(target, own, /\r\n\r\n/), /^HTTP\/1\.1 409 /);
    });
  });
});

Deno.test("on the wire: no path leads to a file", async (t) => {
  await attack(async (target) => {
    const paths = [
      "/../../../../etc/passwd",
      "/assets/../../deno.json",
      "/assets/..%2f..%2fdeno.json",
      "/assets/%2e%2e/%2e%2e/deno.json",
      "/assets/..\\..\\deno.json",
      "/assets//etc/passwd",
      "//etc/passwd",
      "file:///etc/passwd",
      "/api/runs/../../deno.json",
      "/api/runs/%2e%2e%2fetc%2fpasswd/trace.json",
      "/api/runs/1%00/report.json",
      "/api/endpoints/..%2f..%2fetc/mappings",
    ];
    for (const path of paths) {
      await t.step(path, async () => {
        const answer = await send(target, `GET ${path} HTTP/1.1\r\n${target.host}${END}`, /\}\n$/);
        assertMatch(answer, /^HTTP\/1\.1 40[04] /);
        assert(!/root:|"imports"/.test(answer), answer);
      });
    }
  });
});

Deno.test("on the wire: a body that is too long is refused before it is there", async (t) => {
  await attack(async (target) => {
    const head = `POST /api/runs HTTP/1.1\r\n${target.host}` +
      `Authorization: Bearer ${target.token}\r\nContent-Type: application/json\r\n`;
    const chunk = `4000\r\n${" ".repeat(0x4000)}\r\n`;
    const bodies: readonly (readonly [string, string, number])[] = [
      ["said to be so", `Content-Length: 99999999999\r\n\r\n{`, 413],
      ["in chunks without an end", `Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(64)}`, 413],
      ["of two lengths", `Content-Length: 3\r\nTransfer-Encoding: chunked\r\n${END}0\r\n\r\n`, 400],
      ["of a length below 0", `Content-Length: -1\r\n${END}`, 400],
    ];
    for (const [what, body, status] of bodies) {
      await t.step(what, async () => {
        const answer = await send(target, head + body, /\r\n\r\n/);
        assertEquals(STATUS.exec(answer)?.[1], String(status), answer);
      });
    }
    await t.step("without the token it is not even read", async () => {
      const request = `POST /api/runs HTTP/1.1\r\n${target.host}` +
        `Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{`;
      assertMatch(await send(target, request, /\r\n\r\n/), /^HTTP\/1\.1 401 /);
    });
  });
});

Deno.test("on the wire: a head without an end does not fill the memory", async () => {
  await attack(async (target) => {
    const head = `GET /api/state HTTP/1.1\r\n${target.host}X: ${"x".repeat(16 * 2 ** 20)}`;
    assert(!(await send(target, head, /\r\n\r\n/)).startsWith("HTTP/1.1 200"));
    const fine = await send(target, `GET /healthz HTTP/1.1\r\n${target.host}${END}`, /ok\n$/);
    assertMatch(fine, /^HTTP\/1\.1 200 /);
  });
});

Deno.test("who asks and does not read does not keep the dashboard from its end", async () => {
  await attack(async (target) => {
    using reader = await connect(target);
    // More than the sockets hold.
    const requests = `GET /grafana.json HTTP/1.1\r\n${target.host}\r\n`.repeat(2000);
    const sending = reader.write(new TextEncoder().encode(requests));
    await reader.read(new Uint8Array(1));
    assert(await target.close(), "it does not end");
    reader.close();
    await sending.catch(() => {});
  });
});
