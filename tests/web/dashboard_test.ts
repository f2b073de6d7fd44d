/**
 * The dashboard as people start it: processes, sockets, signals.
 * @module
 */

import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { within } from "../../harness/vm/deadline.ts";
import type {
  EndpointDetail,
  FaultsPage,
  MappingsPage,
  RunDetail,
  RunInfo,
  RunList,
  Snapshot,
  TranslateResult,
} from "../../web/api.ts";
import { ask, type Client, clientOf, PATIENCE_MS, Process } from "./_command.ts";

const FIXTURES = "tests/conformance/cli_scenarios/";

/** Processes whose parent is `pid`, and theirs. */
function descendants(pid: number): number[] {
  const found: number[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const parent = /^\d+ \(.*\) \S (\d+)/s.exec(Deno.readTextFileSync(`/proc/${name}/stat`))?.[1];
      if (Number(parent) === pid) found.push(Number(name), ...descendants(Number(name)));
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

function isThere(pid: number): boolean {
  try {
    // A zombie is over.
    return !/^\d+ \(.*\) Z/s.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
  } catch {
    return false;
  }
}

const LINK = /^(http:\/\/127\.0\.0\.1:\d+\/\?token=[0-9a-f]{64})\n$/;

async function dashboard(): Promise<{ process: Process; client: Client; link: string }> {
  const process = new Process(["web/main.ts", "--port", "0"]);
  const [, link] = await process.until("stdout", LINK);
  return { process, client: clientOf(link!), link: link! };
}

/** Snapshots of a stream, until `last` holds for one. */
async function follow(
  { base }: Client,
  last: (snapshot: Snapshot) => boolean,
  opened: () => void = () => {},
): Promise<Snapshot[]> {
  const response = await fetch(`${base}/api/stream`);
  const snapshots: Snapshot[] = [];
  let text = "";
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    opened();
    const blocks = (text + part).split("\n\n");
    text = blocks.pop()!;
    for (const block of blocks) {
      const data = /^event: snapshot\ndata: (.*)$/m.exec(block)?.[1];
      if (data === undefined) continue;
      snapshots.push(JSON.parse(data) as Snapshot);
      if (last(snapshots.at(-1)!)) return snapshots;
    }
  }
  return snapshots;
}

Deno.test("deno task dashboard prints one link, runs a scenario for the page, and its numbers are the report's", async () => {
  const { process, client, link } = await dashboard();
  const streamed = Promise.withResolvers<void>();
  const stream = follow(client, ({ run }) => run?.state === "passed", () => streamed.resolve());
  await streamed.promise;
  const { id } = await client.post<RunInfo>("/api/runs", {
    scenario: "edu-dma-soak",
    mode: "remap",
    via: "direct",
    seed: 5,
  });
  const snapshots = await stream;
  const detail = await client.json<RunDetail>(`/api/runs/${id}`);
  const last = snapshots.at(-1)!;
  assertEquals(detail.metrics, last.totals);
  assertGreater(last.totals.translations, 100);
  const sum = (pick: (counters: Snapshot["totals"]) => number) =>
    last.endpoints.reduce((total, { counters }) => total + pick(counters), 0);
  assertEquals(sum(({ translations }) => translations), last.totals.translations);
  assertEquals(snapshots.map(({ sequence }) => sequence), snapshots.map((_, at) => at + 1));
  const state = await client.json<Snapshot>("/api/state");
  assertEquals([state.state, state.totals, state.domains], ["ended", last.totals, last.domains]);

  // What the run left can be looked at.
  const page = await client.json<MappingsPage>("/api/endpoints/00:01.0/mappings?limit=5");
  assertEquals(page.total, last.domains[0]!.mappings);
  const { iova, gpa } = page.mappings[0]!;
  const way = await client.json<TranslateResult>(`/api/endpoints/8/translate?iova=${iova + 5}`);
  assertEquals([way.gpa, way.ended], [way.fault === null ? gpa + 5 : null, true]);
  const faults = await client.json<FaultsPage>("/api/faults?limit=1000");
  assertEquals(faults.total + faults.dropped, last.totals.faults);
  assertEquals((await client.json<EndpointDetail>("/api/endpoints/8")).config?.vendorId, 0x1234);
  const report = await client.json<{ runs: { metrics: unknown }[] }>(`/api/runs/${id}/report.json`);
  assertEquals(report.runs[0]!.metrics, last.totals);
  const trace = await client.json<{ traceEvents: { name: string }[] }>(
    `/api/runs/${id}/trace.json`,
  );
  for (const name of ["map", "unmap", "fault"]) {
    assert(trace.traceEvents.some((event) => event.name === name), name);
  }

  process.signal("SIGINT");
  assertEquals(await process.code(), 130);
  assertEquals([process.stdout, process.stderr], [`${link}\n`, ""]);
});

Deno.test("a run can be traced with every DMA when that is asked for", async () => {
  const { process, client } = await dashboard();
  const { id } = await client.post<RunInfo>("/api/runs", {
    scenario: "edu-dma-both-ways",
    mode: "remap",
    via: "direct",
    trace: "on",
  });
  await ask<RunDetail>(client, `/api/runs/${id}`, ({ run }) => run.state === "passed");
  const trace = await client.json<{ traceEvents: { name: string }[] }>(
    `/api/runs/${id}/trace.json`,
  );
  assert(trace.traceEvents.some(({ name }) => name === "dma-read"));
  process.signal("SIGTERM");
  assertEquals(await process.code(), 0);
});

Deno.test("a run can be stopped, and no process of it is left; nor of any when the dashboard ends", async () => {
  const { process, client } = await dashboard();
  const wish = { scenario: "edu-dma-soak", mode: "remap", via: "direct" };
  const many: RunInfo[] = [];
  for (let at = 0; at < 5; at++) many.push(await client.post<RunInfo>("/api/runs", wish));
  await ask<RunDetail>(client, `/api/runs/${many[0]!.id}`, ({ run }) => run.state === "running");
  const stopped = many[4]!;
  await client.post(`/api/runs/${stopped.id}/stop`);
  const detail = await client.json<RunDetail>(`/api/runs/${stopped.id}`);
  assertEquals([detail.run.state, detail.run.reason], ["skipped", "Interrupted"]);
  const children = descendants(process.pid);
  assertGreater(children.length, 0);
  process.signal("SIGINT");
  assertEquals(await process.code(), 130);
  assertEquals(children.filter(isThere), []);
  assertEquals(process.stderr, "");
});

Deno.test("deno task dashboard refuses wrong arguments with 2, and a port that is taken", async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [["--port", "70000"], /from 0 to 65535/],
    [["--port", "http"], /from 0 to 65535/],
    [["--host", "a/b"], /name or an address/],
    [["extra"], /too many arguments/],
    [["--colour"], /unknown option/],
  ];
  for (const [args, message] of cases) {
    const process = new Process(["web/main.ts", ...args]);
    assertEquals([await process.code(), process.stdout], [2, ""]);
    assertMatch(process.stderr, message);
  }
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const process = new Process(["web/main.ts", "--port", String(port)]);
  assertEquals([await process.code(), process.stdout], [2, ""]);
  assertMatch(process.stderr, /Cannot listen on 127\.0\.0\.1 port \d+: another process does/);
});

Deno.test("the dashboard listens on loopback unless told", async () => {
  const { process, link } = await dashboard();
  const port = Number(new URL(link).port).toString(16).toUpperCase().padStart(4, "0");
  const listening = [
    ...Deno.readTextFileSync("/proc/net/tcp").matchAll(
      /^\s*\d+: ([0-9A-F]{8}):([0-9A-F]{4}) [0-9A-F:]+ 0A/gm,
    ),
  ].filter(([, , shown]) => shown === port);
  assertEquals(listening.map(([, address]) => address), ["0100007F"]);
  process.signal("SIGINT");
  await process.code();
});

Deno.test("deno task scenario --dashboard serves while it runs, and prints and exits as without", async () => {
  const file = await Deno.makeTempFile({ suffix: ".json" });
  try {
    const args = [
      "edu-dma-both-ways",
      "edu-dma-soak",
      "--via",
      "direct",
      "--reporter",
      "jsonl",
      "--seed",
      "3",
    ];
    const plain = new Process(["web/scenario.ts", ...args]);
    assertEquals(await plain.code(), 0);
    const process = new Process(["web/scenario.ts", "--dashboard", ...args, "--json", file]);
    const [, link] = await process.until("stderr", /^dashboard (http:\S+)$/m);
    const client = clientOf(link!);
    const snapshots = await follow(client, () => false).catch(() => []);
    assertEquals(await process.code(), 0);
    const untimed = (text: string) =>
      text.trim().split("\n").map((line) => {
        const { durationMs: _, steps: __, ...rest } = JSON.parse(line);
        return rest;
      }).sort((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
    assertEquals(untimed(process.stdout), untimed(plain.stdout));
    assertGreater(snapshots.length, 0);
    const { runs } = JSON.parse(await Deno.readTextFile(file)) as {
      runs: { scenario: string; metrics: Snapshot["totals"] }[];
    };
    // The last snapshot of a run has the numbers of its report.
    const last = snapshots.findLast(({ state, run }) => state === "ended" && run !== null);
    if (last !== undefined) {
      assert(runs.some(({ metrics }) => metrics.translations === last.totals.translations));
    }
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("deno task scenario --dashboard keeps the exit codes: 1 for a failure, 2 for a port that is taken, 130", async () => {
  const failing = new Process([
    "web/scenario.ts",
    `${FIXTURES}fails.ts`,
    "--via",
    "direct",
    "--dashboard=0",
  ]);
  assertEquals(await failing.code(), 1);
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const refused = new Process(["web/scenario.ts", "edu-identify", `--dashboard=${port}`]);
  assertEquals([await refused.code(), refused.stdout], [2, ""]);
  const endless = new Process([
    "web/scenario.ts",
    `${FIXTURES}loops.ts`,
    "--via",
    "direct",
    "--dashboard",
  ]);
  const [, link] = await endless.until("stderr", /^dashboard (http:\S+)$/m);
  await ask<Snapshot>(clientOf(link!), "/api/state", ({ state }) => state === "live");
  const children = descendants(endless.pid);
  endless.signal("SIGINT");
  assertEquals(await endless.code(), 130);
  assertEquals(children.filter(isThere), []);
});

Deno.test("a dashboard leaves nothing in the temporary folder, also when it ends while it makes its page", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const env = { TMPDIR: folder, VIADUCT_CACHE: join(folder, "cache") };
    const looksOn = new Process(
      ["web/scenario.ts", "edu-identify", "--via", "direct", "--dashboard"],
      env,
    );
    assertEquals(await looksOn.code(), 0);
    const serves = new Process(["web/main.ts", "--port", "0"], env);
    await serves.until("stdout", LINK);
    serves.signal("SIGINT");
    assertEquals(await serves.code(), 130);
    const left = [...Deno.readDirSync(folder)].map(({ name }) => name);
    assertEquals(left.filter((name) => name !== "cache"), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("runs go on where they cannot be watched: a temporary folder whose path is too long for sockets", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const long = join(folder, "x".repeat(110));
    await Deno.mkdir(long);
    const env = { TMPDIR: long, VIADUCT_CACHE: join(folder, "cache") };
    const command = ["edu-identify", "edu-dma-both-ways", "--via", "direct", "--dashboard"];
    const process = new Process(["web/scenario.ts", ...command], env);
    assertEquals(await process.code(), 0, process.stderr);
    // Once, however many runs there are.
    assertEquals(process.stderr.match(/^Cannot watch runs: .*SUN_LEN/gm)?.length, 1);
    assertEquals([...Deno.readDirSync(long)], []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a dashboard that is killed leaves no folder of its runs behind", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const env = { TMPDIR: folder, VIADUCT_CACHE: join(folder, "cache") };
    const command = [`${FIXTURES}loops.ts`, "--via", "direct", "--dashboard"];
    const killed = new Process(["web/scenario.ts", ...command], env);
    const [, link] = await killed.until("stderr", /^dashboard (http:\S+)$/m);
    // Its machine is kept from when it is watched.
    await ask<RunList>(clientOf(link!), "/api/runs", ({ runs }) => runs.some(({ kept }) => kept));
    const isLeft = () => [...Deno.readDirSync(folder)].some(({ name }) => name !== "cache");
    assert(isLeft(), "its runs are watched");
    const watcher = Deno.watchFs(folder, { recursive: false });
    const removed = (async () => {
      for await (const { kind } of watcher) if (kind === "remove" && !isLeft()) break;
      return true;
    })();
    killed.signal("SIGKILL");
    await killed.code();
    assert(await within(removed, PATIENCE_MS, false), "it is still there");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("pages that go away make room for others, and one that does not read holds up nobody", async () => {
  const { process, client } = await dashboard();
  const { hostname, port } = new URL(client.base);
  // Connections of their own: what fetch() opens ends when its response is collected as garbage.
  const pages: Deno.Conn[] = [];
  const open = async (): Promise<number> => {
    const page = await Deno.connect({ hostname, port: Number(port) });
    await page.write(
      new TextEncoder().encode(`GET /api/stream HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`),
    );
    // Its status line, and no more.
    const line = new Uint8Array("HTTP/1.1 200".length);
    for (let at = 0; at < line.length;) {
      const length = await page.read(line.subarray(at));
      if (length === null) throw new Error("The server hung up without an answer");
      at += length;
    }
    const status = Number(new TextDecoder().decode(line).slice(-3));
    if (status === 200) pages.push(page);
    else page.close();
    return status;
  };
  // None of these reads.
  for (let at = 0; at < 16; at++) assertEquals(await open(), 200);
  assertEquals(await open(), 503);
  const { id } = await client.post<RunInfo>("/api/runs", {
    scenario: "edu-dma-both-ways",
    mode: "remap",
    via: "direct",
  });
  await ask<RunDetail>(client, `/api/runs/${id}`, ({ run }) => run.state === "passed");
  pages.pop()!.close();
  const until = performance.now() + PATIENCE_MS;
  let status = 503;
  while (status === 503 && performance.now() < until) status = await open();
  assertEquals(status, 200);
  process.signal("SIGINT");
  assertEquals(await process.code(), 130);
  for (const page of pages) page.close();
});

Deno.test("a request under a foreign Host is refused on the wire", async () => {
  const { process, client } = await dashboard();
  const { hostname, port } = new URL(client.base);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const request =
    `GET /api/state HTTP/1.1\r\nHost: evil.example:${port}\r\nConnection: close\r\n\r\n`;
  await connection.write(new TextEncoder().encode(request));
  const answer = await new Response(connection.readable).text();
  assertMatch(answer, /^HTTP\/1\.1 403 /);
  process.signal("SIGINT");
  await process.code();
});
