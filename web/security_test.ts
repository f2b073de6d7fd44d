import { assert, assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import {
  fault,
  mapEvent,
  mappings,
  report,
  sample,
  testDashboard,
  TOKEN,
} from "./_test_dashboard.ts";
import type { Problem } from "./api.ts";
import { isOurHost, newToken } from "./security.ts";

const START = JSON.stringify({ scenario: "alpha", mode: "remap", via: "direct" });

async function problem(response: Response, status: number): Promise<Problem> {
  assertEquals(response.headers.get("content-type"), "application/problem+json");
  const body = await response.json() as Problem;
  assertEquals([response.status, body.status], [status, status]);
  return body;
}

Deno.test("DNS rebinding: a request under a foreign Host is refused, at every address", async (t) => {
  const { app } = testDashboard({ port: 8080 });
  const hostile = [
    "evil.example:8080",
    "127.0.0.1.evil.example:8080",
    "localhost.evil.example:8080",
    "127.0.0.1:81",
    "127.0.0.1",
    "256.1.1.1:8080",
    "[::1:8080",
    "",
    "127.0.0.1:8080@evil.example",
  ];
  for (const host of hostile) {
    for (const path of ["/", "/api/state", "/api/stream", "/metrics", "/healthz", "/nowhere"]) {
      await t.step(`${JSON.stringify(host)} ${path}`, async () => {
        const body = await problem(await app.request(path, { headers: { host } }), 403);
        assertEquals(body.code, "forbidden");
      });
    }
  }
  for (const host of ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "LOCALHOST:8080"]) {
    await t.step(`${host} is ours`, async () => {
      assertEquals((await app.request("/healthz", { headers: { host } })).status, 200);
    });
  }
});

Deno.test("isOurHost() takes the name that was told, and no other", () => {
  const address = { host: "box.example", port: 8080 };
  assert(isOurHost("box.example:8080", address));
  assert(isOurHost("BOX.example:8080", address));
  assert(isOurHost("192.168.1.7:8080", address), "an address can be nobody else's name");
  assert(!isOurHost("ox.example:8080", address));
  assert(!isOurHost("box.example", address));
});

Deno.test("a page of another site can neither read nor start anything", async (t) => {
  const { app, runs } = testDashboard();
  const attempt = async (what: string, path: string, init: RequestInit) => {
    await t.step(what, async () => {
      await problem(await app.request(path, init), 403);
    });
  };
  for (
    const origin of ["http://evil.example", "null", "https://localhost", "http://localhost:81"]
  ) {
    await attempt(`reading with Origin ${origin}`, "/api/state", { headers: { origin } });
    await attempt(`starting with Origin ${origin} and even the token`, "/api/runs", {
      method: "POST",
      headers: { origin, authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
      body: START,
    });
  }
  await attempt("a script tag", "/api/state", {
    headers: { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" },
  });
  await attempt("another port of this machine", "/api/stream", {
    headers: { "sec-fetch-site": "same-site", "sec-fetch-mode": "cors" },
  });
  await t.step("a link to the page itself works", async () => {
    const headers = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" };
    assertEquals((await app.request("/", { headers })).status, 503, "there is no page here");
  });
  await t.step("our own page may", async () => {
    const headers = { origin: "http://localhost", "sec-fetch-site": "same-origin" };
    assertEquals((await app.request("/api/state", { headers })).status, 200);
  });
  assertEquals(runs.list().runs, []);
});

Deno.test("what changes anything needs the token", async (t) => {
  const { app, runs } = testDashboard();
  const wrong = [
    undefined,
    "",
    "Bearer",
    "Bearer ",
    `Bearer ${TOKEN.slice(1)}`,
    `Bearer ${TOKEN}0`,
    `Bearer ${"0".repeat(64)}`,
    `Basic ${TOKEN}`,
    TOKEN,
    `Bearer ${"x".repeat(10_000)}`,
  ];
  for (const authorization of wrong) {
    for (const path of ["/api/runs", "/api/runs/1/stop"]) {
      await t.step(`${authorization?.slice(0, 20)} ${path}`, async () => {
        const response = await app.request(path, {
          method: "POST",
          headers: {
            "content-type": "application/json",
            ...(authorization === undefined ? {} : { authorization }),
          },
          body: START,
        });
        assertEquals(response.headers.get("www-authenticate"), "Bearer");
        await problem(response, 401);
      });
    }
  }
  await t.step("not in the address", async () => {
    const response = await app.request(`/api/runs?token=${TOKEN}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: START,
    });
    await problem(response, 401);
  });
  assertEquals(runs.list().runs, []);
});

Deno.test("newToken() makes 256 bits, others each time", () => {
  assertMatch(newToken(), /^[0-9a-f]{64}$/);
  assert(newToken() !== newToken());
});

Deno.test("no scenario beyond the catalogue can be named, and no path", async (t) => {
  const { post, runs } = testDashboard();
  const right = { scenario: "alpha", mode: "remap", via: "direct" };
  const hostile: readonly (readonly [string, unknown])[] = [
    ["a path", { ...right, scenario: "../../etc/passwd" }],
    ["a file", { ...right, scenario: "./harness/scenarios/edu_bounds.ts" }],
    ["a URL", { ...right, scenario: "https://evil.example/x.ts" }],
    ["a name of Object.prototype", { ...right, scenario: "constructor" }],
    ["a number", { ...right, scenario: 1 }],
    ["an array", { ...right, scenario: ["alpha"] }],
    ["a long name", { ...right, scenario: "a".repeat(10_000) }],
    ["an unknown mode", { ...right, mode: "../remap" }],
    ["a mode that it does not run in", { ...right, mode: "pasid" }],
    ["an unknown via", { ...right, via: "ssh" }],
    ["a key too many", { ...right, file: "/etc/passwd" }],
    ["a seed that is none", { ...right, seed: -1 }],
    ["a seed of 2^32", { ...right, seed: 2 ** 32 }],
    ["a seed with a fraction", { ...right, seed: 0.5 }],
    ["null", null],
    ["an array for all", [right]],
    ["text", "alpha"],
  ];
  for (const [what, body] of hostile) {
    await t.step(what, async () => {
      await problem(await post("/api/runs", body), 400);
    });
  }
  assertEquals(runs.list().runs, []);
});

Deno.test("a body must be JSON, said to be so, and short", async (t) => {
  const { app, runs } = testDashboard();
  const send = async (body: BodyInit, type: string | null, more: Record<string, string> = {}) => {
    const request = new Request("http://localhost/api/runs", {
      method: "POST",
      headers: { authorization: `Bearer ${TOKEN}`, ...more },
      body,
    });
    request.headers.delete("content-type");
    if (type !== null) request.headers.set("content-type", type);
    return await app.request(request);
  };
  for (
    const type of [null, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
  ) {
    await t.step(`type ${type}`, async () => {
      await problem(await send(START, type), 415);
    });
  }
  await t.step("not JSON", async () => {
    await problem(await send("{", "application/json"), 400);
  });
  await t.step("not UTF-8", async () => {
    await problem(await send(new Uint8Array([0x22, 0xff, 0x22]), "application/json"), 400);
  });
  await t.step("long, and says so", async () => {
    const response = await send(START, "application/json", { "content-length": "100000" });
    await problem(response, 413);
  });
  await t.step("long, and does not say so", async () => {
    let pulled = 0;
    const endless = new ReadableStream({
      pull(controller) {
        pulled++;
        controller.enqueue(new Uint8Array(1024).fill(0x20));
      },
    });
    await problem(await send(endless, "application/json"), 413);
    assert(pulled < 100, `${pulled} KiB were taken`);
  });
  await t.step("deeply nested", async () => {
    await problem(await send("[".repeat(16_000), "application/json"), 400);
  });
  assertEquals(runs.list().runs, []);
});

Deno.test("a body that trickles in is given up", async () => {
  const { app } = testDashboard();
  const request = new Request("http://localhost/api/runs", {
    method: "POST",
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
    body: new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode("{")),
      // The rest never comes.
      pull: () => new Promise(() => {}),
    }),
  });
  const { setTimeout, clearTimeout } = globalThis;
  globalThis.setTimeout =
    ((task: () => void) => queueMicrotask(task)) as unknown as typeof globalThis.setTimeout;
  globalThis.clearTimeout = () => {};
  try {
    await problem(await app.request(request), 408);
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout });
  }
});

Deno.test("requests that hang keep others out, and not for long", async () => {
  const { app } = testDashboard();
  const bodies: ReadableStreamDefaultController<Uint8Array>[] = [];
  const hang = () =>
    app.request(
      new Request("http://localhost/api/runs", {
        method: "POST",
        headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
        body: new ReadableStream({ start: (controller) => void bodies.push(controller) }),
      }),
    );
  const hanging = Array.from({ length: 128 }, hang);
  const refused = await app.request("/healthz");
  assertEquals(refused.headers.get("retry-after"), "1");
  assertEquals((await problem(refused, 503)).code, "busy");
  for (const body of bodies) body.close();
  for (const response of await Promise.all(hanging)) await problem(response, 400);
  assertEquals((await app.request("/healthz")).status, 200);
});

Deno.test("every answer tells the browser to load, frame and guess nothing", async (t) => {
  const { app } = testDashboard();
  const wanted: Readonly<Record<string, RegExp>> = {
    "content-security-policy": /^default-src 'none'; script-src 'self'; .*frame-ancestors 'none'$/,
    "x-content-type-options": /^nosniff$/,
    "x-frame-options": /^DENY$/,
    "referrer-policy": /^no-referrer$/,
    "cross-origin-opener-policy": /^same-origin$/,
    "cross-origin-resource-policy": /^same-origin$/,
    "cache-control": /^no-store$/,
  };
  const answers: readonly (readonly [string, RequestInit])[] = [
    ["/", {}],
    ["/api/state", {}],
    ["/metrics", {}],
    ["/nowhere", {}],
    ["/api/state", { headers: { host: "evil.example" } }],
    ["/api/runs", { method: "POST" }],
    ["/api/runs", { method: "DELETE" }],
    ["/api/endpoints/zzz", {}],
  ];
  for (const [path, init] of answers) {
    await t.step(`${init.method ?? "GET"} ${path}`, async () => {
      const { headers, body } = await app.request(path, init);
      await body?.cancel();
      for (const [name, pattern] of Object.entries(wanted)) {
        assertMatch(headers.get(name) ?? "", pattern, name);
      }
      assertEquals(/unsafe|http:/.test(headers.get("content-security-policy")!), false);
    });
  }
});

Deno.test("an error's text reaches the page as text", async () => {
  const { app } = testDashboard();
  const response = await app.request("/");
  assertEquals(response.status, 503);
  const html = await response.text();
  assertMatch(html, /There is no &lt;page&gt; in this test/);
});

Deno.test("what was thrown is shown, though it may not be looked at", async () => {
  const hostile = new Proxy({}, {
    get() {
      throw new Error("looked at");
    },
    getPrototypeOf() {
      throw new Error("looked at");
    },
  });
  const { app, errors } = testDashboard({ pageError: hostile });
  const response = await app.request("/");
  assertEquals([response.status, errors], [503, []]);
  assertMatch(await response.text(), /a value that cannot be shown/);
});

Deno.test("a run's name cannot leave its header, nor an endpoint's its number", async (t) => {
  const { app } = testDashboard();
  for (
    const path of [
      "/api/runs/..%2f..%2fetc/trace.json",
      "/api/runs/1%0d%0aX-Evil:1",
      "/assets/..%2f..%2fdeno.json",
      "/assets/main.js",
    ]
  ) {
    await t.step(path, async () => {
      await problem(await app.request(path), 404);
    });
  }
  await t.step("an endpoint", async () => {
    await problem(await app.request("/api/endpoints/8"), 404);
  });
});

Deno.test("no request makes the server fail, whatever it says", async () => {
  const dashboard = testDashboard({ maxStreams: 2 });
  const process = await dashboard.begin();
  process.tell(sample(undefined, [mapEvent(0), mapEvent(1)]));
  process.tell(report([fault(0, 0x3000), fault(1, 0x4000, -2)]));
  process.tell({ kind: "left-mappings", domain: 1, mappings: mappings(20) });
  process.tell({ kind: "left" });
  const hostile = fc.oneof(
    fc.constantFrom(
      "",
      "0",
      "1",
      "8",
      "00:01.0",
      "-1",
      "1e3",
      "0x",
      "NaN",
      "..",
      "%",
      "%00",
      "%ff",
    ),
    fc.constantFrom(String(2 ** 52), String(2 ** 53 - 1), String(2 ** 53), "9".repeat(30)),
    fc.string({ maxLength: 30, unit: "binary" }).map(encodeURIComponent),
  );
  const segment = fc.oneof(hostile, fc.constantFrom("runs", "stop", "mappings", "translate"));
  const path = fc.oneof(
    fc.constantFrom("/", "/metrics", "/api/state", "/api/timeline", "/api/faults", "/api/messages"),
    fc.constantFrom("/api/stream", "/api/runs", "/api/runs/report.html", "/grafana.json"),
    hostile.map((id) => `/api/endpoints/${id}`),
    hostile.map((id) => `/api/endpoints/${id}/mappings`),
    hostile.map((id) => `/api/endpoints/8/translate?iova=${id}`),
    hostile.map((id) => `/api/domains/${id}/mappings`),
    fc.constantFrom("stop", "report.json", "junit.xml", "trace.json", "messages.log")
      .map((name) => `/api/runs/1/${name}`),
    fc.array(segment, { maxLength: 4 }).map((segments) => `/api/${segments.join("/")}`),
  );
  const name = fc.constantFrom("run", "cursor", "limit", "from", "iova", "access", "endpoint");
  const query = fc.array(
    fc.tuple(fc.oneof(name, fc.constantFrom("reason", "filter", "x")), hostile),
    { maxLength: 3 },
  );
  const method = fc.constantFrom("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH");
  const header = fc.string({ maxLength: 40, unit: "grapheme-ascii" });
  await fc.assert(
    fc.asyncProperty(path, query, method, header, header, async (path, query, method, id, type) => {
      const more = query.map(([name, value]) => `${name}=${value}`).join("&");
      const response = await dashboard.app.request(
        `${path}${path.includes("?") ? "&" : "?"}${more}`,
        {
          method,
          headers: {
            "last-event-id": id,
            "content-type": type,
            ...(type.length % 2 === 0 ? {} : { authorization: `Bearer ${TOKEN}` }),
          },
        },
      );
      await response.body?.cancel();
      assertEquals([response.status === 500, dashboard.errors], [false, []]);
    }),
    { numRuns: 500 },
  );
  assertEquals(dashboard.snapshots.streams, 0);
});
