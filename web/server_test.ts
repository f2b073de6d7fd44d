import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { NO_METRICS } from "../harness/run/run_report.ts";
import { fault, mapEvent, mappings, report, sample, testDashboard } from "./_test_dashboard.ts";
import type {
  DomainList,
  EndpointDetail,
  EndpointList,
  FaultsPage,
  MappingsPage,
  MessagesPage,
  Problem,
  RunDetail,
  RunInfo,
  RunList,
  ScenarioList,
  Snapshot,
  TimelinePage,
  TranslateResult,
} from "./api.ts";

Deno.test("before any run the API is empty, and says what there could be", async () => {
  const { json, app } = testDashboard();
  const state = await json<Snapshot>("/api/state");
  assertEquals([state.state, state.run, state.endpoints, state.sequence], ["idle", null, [], 0]);
  assertEquals((await json<EndpointList>("/api/endpoints")).endpoints, []);
  assertEquals((await json<DomainList>("/api/domains")).domains, []);
  assertEquals((await json<FaultsPage>("/api/faults")).total, 0);
  assertEquals((await json<MessagesPage>("/api/messages")).total, 0);
  assertEquals((await json<RunList>("/api/runs")).runs, []);
  const { scenarios } = await json<ScenarioList>("/api/scenarios");
  assertEquals(scenarios.map(({ name, history }) => [name, history]), [["alpha", []], [
    "beta",
    [],
  ]]);
  assertEquals(await (await app.request("/healthz")).text(), "ok\n");
  assertEquals((await app.request("/api/endpoints/8")).status, 404);
});

Deno.test("the API shows a run while it goes on, and what it left", async () => {
  const { json, begin } = testDashboard();
  const process = await begin();
  process.tell(sample([10, 9, 1, 2, 0, 0, 64, 32], [mapEvent(0)]));
  process.tell(report([fault(0, 0x3000), fault(1, 0x4000, -2)], [10, 9, 1, 2, 0, 0, 64, 32]));
  const live = await json<Snapshot>("/api/state");
  assertEquals([live.state, live.run?.state, live.scenarioNs], ["live", "running", 5000]);
  assertEquals(live.totals.dmaReadBytes, 64);
  assertEquals(
    live.endpoints.map(({ bdf, device, domain, faultsByReason }) => [
      bdf,
      device,
      domain,
      faultsByReason,
    ]),
    [["00:01.0", "edu", 1, { unmapped: 1, permission: 1 }]],
  );
  assertEquals(live.domains, [{
    id: 1,
    kind: "mapped",
    mappings: 2,
    mappedBytes: 8192,
    maps: 1,
    unmaps: 0,
    members: [{ endpoint: 8, pasid: null }],
    membersLeftOut: 0,
  }]);
  assertEquals(live.timeline, {
    events: [{
      sequence: 0,
      timeNs: 0,
      kind: "map",
      endpoint: null,
      domain: 1,
      pasid: null,
      iova: 0,
      length: 4096,
      result: "0x8000",
      access: "rw",
    }],
    dropped: 0,
  });

  const metrics = {
    translations: 11,
    iotlbHits: 10,
    iotlbMisses: 1,
    faults: 2,
    pageRequests: 0,
    invalidations: 0,
    dmaReadBytes: 128,
    dmaWriteBytes: 32,
  };
  process.tell(sample(Object.values(metrics), [], 1));
  process.tell({ kind: "left" });
  await process.end({ metrics, checks: [{ name: "one", ok: true }] });
  const left = await json<Snapshot>("/api/state");
  assertEquals([left.state, left.run?.state, left.run?.checks], [
    "ended",
    "passed",
    { passed: 1, failed: 0 },
  ]);
  assertEquals(left.totals, metrics);
  assertEquals((await json<RunDetail>("/api/runs/1")).metrics, metrics);
});

Deno.test("/api/runs/ID has thresholds apart from checks, also when its machine is forgotten", async () => {
  const { json, begin, runs } = testDashboard();
  const process = await begin();
  const check = { name: "sums", ok: true };
  const met = { name: "threshold faults: value==4", ok: true, detail: "was 4" };
  const missed = {
    name: "threshold translationSeconds: p(99)<1e-9",
    ok: false,
    detail: "was 3e-8",
  };
  process.tell(report());
  for (const { name, ok } of [check, met, missed]) {
    process.listener.event!(process.planned, { kind: "check", name, ok });
  }
  const live = await json<RunDetail>("/api/runs/1");
  assertEquals([live.thresholds, live.checks], [[], [check]]);
  await process.end({
    status: "failed",
    checks: [check, met, missed],
    metrics: { ...NO_METRICS, faults: 4 },
  });
  const wanted = [
    {
      metric: "translationSeconds",
      wanted: "p(99)<1e-9",
      met: false,
      actual: 3e-8,
      problem: null,
    },
    { metric: "faults", wanted: "value==4", met: true, actual: 4, problem: null },
  ];
  for (const moment of ["at the end", "later"]) {
    const { thresholds, checks, run } = await json<RunDetail>("/api/runs/1");
    assertEquals([thresholds, checks], [wanted, [check]], moment);
    assertEquals(run.checks, { passed: 2, failed: 1 }, moment);
    runs.get(1)!.forgetMachine();
  }
});

Deno.test("/api/runs starts a run, shows its steps and logs, and keeps its report", async () => {
  const { json, begin, app } = testDashboard();
  const process = await begin();
  const { listener, planned } = process;
  listener.event!(planned, { kind: "step", step: 0, name: "outer", depth: 0 });
  listener.event!(planned, { kind: "step", step: 1, name: "inner", depth: 1 });
  listener.event!(planned, { kind: "step-end", step: 1, ok: true, durationMs: 3 });
  listener.event!(planned, { kind: "check", name: "sums", ok: false, detail: "1 is not 2" });
  listener.event!(planned, { kind: "log", message: "hello" });
  listener.progress(planned, 3, 10);
  const detail = await json<RunDetail>("/api/runs/1");
  assertEquals(detail.run.progress, { done: 3, total: 10 });
  assertEquals(detail.run.checks, { passed: 0, failed: 1 });
  assertEquals(detail.steps.map(({ name, running, ok }) => [name, running, ok]), [
    ["outer", true, false],
    ["inner", false, true],
  ]);
  assertEquals([detail.checks, detail.log, detail.metrics], [
    [{ name: "sums", ok: false, detail: "1 is not 2" }],
    ["hello"],
    null,
  ]);
  assertEquals((await app.request("/api/runs/1/report.json")).status, 404);
  await process.end({
    status: "failed",
    reason: "1 of 1 checks failed",
    steps: [{ name: "outer", depth: 0, ok: false, durationMs: 5 }],
    log: ["hello"],
    checks: [{ name: "sums", ok: false }],
  });
  const ended = await json<RunDetail>("/api/runs/1");
  assertEquals([ended.run.state, ended.run.reason], ["failed", "1 of 1 checks failed"]);
  assertEquals(ended.steps, [{
    name: "outer",
    depth: 0,
    ok: false,
    durationMs: 5,
    running: false,
  }]);
  assertEquals(
    ended.rerun,
    `npx -y deno@2.9.6 task scenario alpha --mode remap --via direct --seed ${planned.seed}`,
  );
  assertEquals(ended.artifacts.map(({ name }) => name), ["report.json", "junit.xml", "trace.json"]);
  for (const { href, mediaType } of ended.artifacts) {
    const response = await app.request(href);
    assertEquals([response.status, response.headers.get("content-type")], [200, mediaType]);
    assert(response.headers.get("content-disposition")!.startsWith('attachment; filename="alpha-'));
    await response.body!.cancel();
  }
  const saved = await json<{ runs: unknown[]; totals: unknown }>("/api/runs/1/report.json");
  assertEquals(saved.totals, { passed: 0, failed: 1, skipped: 0 });
  const { scenarios } = await json<ScenarioList>("/api/scenarios");
  assertEquals(scenarios[0]!.history, [{ run: 1, state: "failed", durationMs: 12 }]);
  assertEquals((await json<RunList>("/api/runs")).totals, { passed: 0, failed: 1, skipped: 0 });
});

Deno.test("/api/runs/report.html is one page of all runs that have ended, to be kept as a file", async () => {
  const { app, begin } = testDashboard();
  assertEquals((await app.request("/api/runs/report.html")).status, 404);
  await (await begin("alpha")).end({ status: "failed", reason: "<b>first</b>" });
  await (await begin("beta")).end();
  await begin("alpha");
  const response = await app.request("/api/runs/report.html");
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "text/html; charset=utf-8");
  assertEquals(
    response.headers.get("content-disposition"),
    'attachment; filename="viaduct-runs.html"',
  );
  assertStringIncludes(response.headers.get("content-security-policy")!, "default-src 'none'");
  const page = await response.text();
  assertStringIncludes(page, "<title>failed: 1 passed, 1 failed, 0 skipped");
  assertStringIncludes(page, "&lt;b&gt;first&lt;/b&gt;");
  assert(page.indexOf("alpha") < page.indexOf("beta"));
  assertEquals((await app.request("/api/runs/report.html", { method: "POST" })).status, 405);
});

Deno.test("/api/runs makes runs wait for one another, and stops those that run and those that wait", async () => {
  const { post, json, begin } = testDashboard();
  await begin();
  const waiting = await (await post("/api/runs", {
    scenario: "beta",
    mode: "identity",
    via: "direct",
    seed: 7,
  })).json() as RunInfo;
  assertEquals([waiting.id, waiting.state, waiting.seed], [2, "queued", 7]);
  const stopped = await post("/api/runs/2/stop");
  assertEquals([stopped.status, (await stopped.json() as RunInfo).state], [202, "skipped"]);
  assertEquals((await post("/api/runs/1/stop")).status, 202);
  while ((await json<RunDetail>("/api/runs/1")).run.state === "running") await Promise.resolve();
  const first = await json<RunDetail>("/api/runs/1");
  assertEquals([first.run.state, first.run.reason], ["skipped", "Interrupted"]);
  const again = await post("/api/runs/1/stop");
  assertEquals([again.status, (await again.json() as Problem).code], [409, "conflict"]);
  assertEquals((await post("/api/runs/99/stop")).status, 404);
});

Deno.test("/api/runs refuses more than may wait", async () => {
  const { post, begin } = testDashboard();
  await begin();
  const wish = { scenario: "beta", mode: "remap", via: "direct" };
  const statuses: number[] = [];
  for (let at = 0; at < 34; at++) statuses.push((await post("/api/runs", wish)).status);
  assertEquals(statuses.slice(0, 32).every((status) => status === 201), true);
  assertEquals(statuses.slice(32), [409, 409]);
});

Deno.test("the runs of a command line are looked on, and cannot be started or stopped", async () => {
  const { runs, post, json } = testDashboard({ startedBy: "command" });
  const wish = { scenario: "alpha", mode: "remap", via: "direct" };
  assertEquals((await post("/api/runs", wish)).status, 409);
  assertEquals((await json<RunList>("/api/runs")).canStart, false);
  const { listener } = runs;
  const planned = {
    index: 0,
    entry: {
      ...(await json<ScenarioList>("/api/scenarios")).scenarios[0]!,
      file: "",
      argument: "",
    },
    mode: "remap",
    via: "direct",
    seed: 1,
  } as const;
  listener.started(planned);
  assertEquals((await json<RunDetail>("/api/runs/1")).run.state, "running");
  assertEquals((await post("/api/runs/1/stop")).status, 409);
});

Deno.test("only the newest runs keep their machines; the others keep their reports", async () => {
  const { begin, json } = testDashboard();
  for (let at = 0; at < 12; at++) {
    const process = await begin();
    process.tell(sample());
    await process.end();
  }
  const { runs } = await json<RunList>("/api/runs");
  assertEquals(runs.map(({ kept }) => kept).filter(Boolean).length, 8);
  assertEquals([runs[0]!.id, runs[0]!.kept, runs.at(-1)!.kept], [12, true, false]);
  assertEquals((await json<RunDetail>("/api/runs/1")).run.state, "passed");
  assertEquals((await json<EndpointList>("/api/endpoints?run=12")).endpoints.length, 1);
  assertEquals((await json<EndpointList>("/api/endpoints?run=1")).endpoints, []);
});

Deno.test("/api/endpoints/ID reads the function's registers, by number and by BDF", async () => {
  const { begin, json, app } = testDashboard();
  const process = await begin();
  process.tell(sample());
  process.tell(report());
  const config = new Uint8Array(256);
  const view = new DataView(config.buffer);
  view.setUint32(0, 0x11e8_1234, true);
  view.setUint16(4, 0x0406, true);
  view.setUint16(6, 0x0010, true);
  view.setUint32(8, 0x00ff_0010, true);
  config[0x34] = 0x40;
  config.set([0x05, 0x50], 0x40);
  // A list that a guest has bent: it must not go round for ever.
  config.set([0x11, 0x40], 0x50);
  process.answer = (ask) =>
    ask.kind === "detail" && ask.endpoint === 8
      ? {
        kind: "detail",
        detail: {
          endpoint: 8,
          config: config.toHex(),
          bars: [{ index: 0, kind: "mmio32", address: 4096, size: 4096, prefetchable: false }],
          msix: null,
          inspect: { busy: false },
        },
      }
      : null;
  const detail = await json<EndpointDetail>("/api/endpoints/8");
  assertEquals(detail.config, {
    vendorId: 0x1234,
    deviceId: 0x11e8,
    revisionId: 0x10,
    classCode: 0x00ff00,
    subsystemVendorId: 0,
    subsystemId: 0,
    command: 0x0406,
    status: 0x0010,
    commandFlags: ["memory", "bus-master", "intx-disable"],
    capabilities: [{ offset: 0x40, id: 5, name: "MSI" }, { offset: 0x50, id: 17, name: "MSI-X" }],
  });
  assertEquals(detail.latencyBuckets, [{ belowNs: 16, count: 2 }, { belowNs: 32, count: 1 }]);
  assert(detail.lspci!.startsWith("00:01.0 00ff: 1234:11e8 (rev 10)\n00: 34 12 e8 11"));
  assertEquals(await json<EndpointDetail>("/api/endpoints/00:01.0"), detail);
  const wrong: readonly (readonly [string, number])[] = [
    ["/api/endpoints/9", 404],
    ["/api/endpoints/00:02.0", 404],
    ["/api/endpoints/00:01", 400],
    ["/api/endpoints/-1", 400],
    ["/api/endpoints/8?run=7", 404],
    ["/api/endpoints/8?run=x", 400],
  ];
  for (const [path, status] of wrong) assertEquals((await app.request(path)).status, status, path);
});

Deno.test("a run that does not answer in time is busy, and says when to come back", async () => {
  const { begin, app } = testDashboard();
  const process = await begin();
  process.tell(sample());
  process.tell(report());
  for (const path of ["", "/mappings", "/translate?iova=0"]) {
    const response = await app.request(`/api/endpoints/8${path}`);
    assertEquals([response.status, response.headers.get("retry-after")], [503, "1"]);
    assertEquals((await response.json() as Problem).code, "busy");
  }
});

Deno.test("/api/endpoints/ID/translate shows the way, and where it ends", async (t) => {
  const { begin, json, app } = testDashboard();
  const process = await begin();
  process.tell(sample());
  process.tell(report());
  process.tell({
    kind: "left-mappings",
    domain: 1,
    mappings: [
      [0x1000, 0x8000, 4096, 1, 7, 0],
      [0x3000, 0xffff_0000, 4096, 3, -1, 0],
      [0x5000, 0x7000_0000, 4096, 3, 7, -1],
    ],
  });
  process.tell({ kind: "left" });
  await process.end();
  const translate = (query: string) =>
    json<TranslateResult>(`/api/endpoints/8/translate?iova=${query}`);
  const cases: readonly (readonly [string, number | null, string | null, readonly string[]])[] = [
    ["0x1010", 0x8010, null, ["endpoint", "domain", "mapping", "permission", "region"]],
    ["4112&access=r", 0x8010, null, ["endpoint", "domain", "mapping", "permission", "region"]],
    ["0x1010&access=w", null, "permission", ["endpoint", "domain", "mapping", "permission"]],
    ["0x2000", null, "unmapped", ["endpoint", "domain", "mapping"]],
    ["0x3fff", 0xffff_0fff, null, ["endpoint", "domain", "mapping", "permission", "region"]],
    ["0x3000&access=w", null, "permission", [
      "endpoint",
      "domain",
      "mapping",
      "permission",
      "region",
    ]],
    ["0x5000", null, "no-memory", ["endpoint", "domain", "mapping", "permission", "region"]],
    ["0xf_ffff_ffff_ffff", null, "unmapped", ["endpoint", "domain", "mapping"]],
  ];
  for (const [query, gpa, reason, steps] of cases) {
    await t.step(query, async () => {
      const result = await translate(query);
      assertEquals([result.gpa, result.fault], [gpa, reason]);
      assertEquals<readonly string[]>(result.walk.map(({ step }) => step), steps);
      assertEquals(result.walk.at(-1)!.ok, reason === null);
    });
  }
  await t.step("an ended run's caches answer nothing any more", async () => {
    const step = (await translate("0x1010")).walk[2]!;
    assert(step.step === "mapping");
    assertEquals(step.cache, null);
  });
  await t.step("neighbours of a miss", async () => {
    const step = (await translate("0x2000")).walk[2]!;
    assert(step.step === "mapping");
    assertEquals([step.below?.iova, step.above?.iova, step.mapping], [0x1000, 0x3000, null]);
    assertEquals(step.below?.mappedNs, 7);
  });
  for (const query of ["", "-1", "0x", "1e3", "0x10000000000000", "NaN", "1&access=x", "%00"]) {
    await t.step(`refuses ${JSON.stringify(query)}`, async () => {
      const response = await app.request(`/api/endpoints/8/translate?iova=${query}`);
      assertEquals(response.status, 400);
    });
  }
});

Deno.test("/api/endpoints/ID/translate finds the way through a domain that the lists leave out", async () => {
  const { begin, json } = testDashboard();
  const process = await begin();
  type Kind<Name> = Extract<ReturnType<typeof sample>, { kind: Name }>;
  const { endpoints: [endpoint], ...rest } = report() as Kind<"report">;
  process.tell({ ...sample() as Kind<"sample">, domainsLeftOut: 44 });
  process.tell({ ...rest, endpoints: [{ ...endpoint!, domain: 300 }] });
  process.answer = (ask) =>
    ask.kind === "around" && ask.domain === 300
      ? {
        kind: "around",
        around: { over: [0x1000, 0x8000, 4096, 3, -1, -1], below: null, above: null },
      }
      : null;
  const result = await json<TranslateResult>("/api/endpoints/8/translate?iova=0x1010");
  assertEquals([result.fault, result.gpa], [null, 0x8010]);
});

Deno.test("a cursor may be as large as a number can be, and no larger", async (t) => {
  const { begin, app } = testDashboard();
  const process = await begin();
  process.tell(sample(undefined, [mapEvent(0)]));
  process.tell(report([fault(0, 0x3000)]));
  process.answer = (ask) => ask.kind === "mappings" ? { kind: "mappings", mappings: [] } : null;
  const largest = String(Number.MAX_SAFE_INTEGER);
  const cases: readonly (readonly [string, string])[] = [
    ["/api/timeline", largest],
    ["/api/faults", largest],
    ["/api/messages", largest],
    ["/api/domains/1/mappings", String(2 ** 52 - 1)],
  ];
  for (const [path, last] of cases) {
    await t.step(path, async () => {
      const status = async (cursor: string) => {
        const response = await app.request(`${path}?cursor=${cursor}`);
        await response.body?.cancel();
        return response.status;
      };
      assertEquals(await status(last), 200);
      for (const cursor of ["9007199254740992", "9".repeat(400), "0x1" + "0".repeat(14), "1e400"]) {
        assertEquals(await status(cursor), 400, cursor);
      }
    });
  }
});

Deno.test("pages of 64 Ki mappings come fast, each mapping once", async () => {
  const { begin, json, app } = testDashboard();
  const count = 65_536;
  const process = await begin();
  const left = mappings(count);
  process.tell({ ...sample(), domains: [[1, count, count * 4096]] } as never);
  process.tell(report());
  for (let at = 0; at < count; at += 4096) {
    process.tell({ kind: "left-mappings", domain: 1, mappings: left.slice(at, at + 4096) });
  }
  process.tell({ kind: "left" });
  await process.end();
  const first = await json<MappingsPage>("/api/endpoints/8/mappings");
  assertEquals([first.total, first.mappings.length, first.leftOut], [count, 100, 0]);
  assertEquals(first.mappings[0], {
    iova: 0x1000,
    last: 0x1fff,
    gpa: 0x10_0000,
    length: 4096,
    access: "rw",
    mappedNs: 0,
    hits: 0,
  });
  const seen: number[] = [];
  const started = performance.now();
  let requests = 0;
  for (let next: string | null = "0"; next !== null; requests++) {
    const page: MappingsPage = await json(`/api/domains/1/mappings?limit=1000&cursor=${next}`);
    for (const { iova } of page.mappings) seen.push(iova);
    next = page.next;
  }
  const eachMs = (performance.now() - started) / requests;
  assertEquals(seen, left.map(([iova]) => iova));
  assertLess(eachMs, 50);
  const there = await json<MappingsPage>("/api/domains/1/mappings?from=0x8000&limit=1");
  assertEquals(there.mappings[0]!.iova, 0x9000);
  assertEquals((await app.request("/api/domains/2/mappings")).status, 404);
  for (const query of ["limit=0", "limit=1001", "limit=x", "cursor=-1", "from=0x10000000000000"]) {
    assertEquals((await app.request(`/api/domains/1/mappings?${query}`)).status, 400, query);
  }
});

Deno.test("pages of 10 k faults come fast, newest first, each fault once", async () => {
  const { begin, json, app } = testDashboard();
  const process = await begin();
  const count = 10_000;
  process.tell(sample());
  process.tell(report(
    Array.from({ length: count }, (_, at) => fault(at, 0x3000 + at, at % 10 === 0 ? -2 : -1)),
  ));
  const seen: number[] = [];
  const started = performance.now();
  let requests = 0;
  for (let next: string | null = ""; next !== null; requests++) {
    const page: FaultsPage = await json(`/api/faults?limit=500&cursor=${next}`);
    assertEquals(page.total, count);
    for (const { sequence } of page.faults) seen.push(sequence);
    next = page.next;
  }
  assertLess((performance.now() - started) / requests, 50);
  assertEquals(seen, Array.from({ length: count }, (_, at) => count - 1 - at));
  const page = await json<FaultsPage>("/api/faults?reason=permission&limit=2&endpoint=00:01.0");
  assertEquals([page.total, page.faults.map(({ sequence }) => sequence)], [1000, [9990, 9980]]);
  assertEquals(page.groups, [
    {
      reason: "unmapped",
      endpoint: 8,
      bdf: "00:01.0",
      count: 9000,
      firstNs: 10,
      lastNs: 99_990,
    },
    {
      reason: "permission",
      endpoint: 8,
      bdf: "00:01.0",
      count: 1000,
      firstNs: 0,
      lastNs: 99_900,
    },
  ]);
  assertEquals(page.faults[0]!.nearest, {
    mapping: {
      iova: 0x1000,
      last: 0x1fff,
      gpa: 0x8000,
      length: 4096,
      access: "rw",
      mappedNs: 7,
      hits: 2,
    },
    distance: 0x3000 + 9990 - 0x1fff,
    side: "below",
  });
  assertEquals((await json<FaultsPage>("/api/faults?reason=made-up")).total, 0);
  assertEquals((await app.request("/api/faults?cursor=abc")).status, 400);
});

Deno.test("/api/messages lists, filters, and says where a filter is wrong", async () => {
  const { begin, json, app } = testDashboard();
  const process = await begin();
  const header = (id: number, command: number, flags: number, error: number): string => {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, id, true);
    view.setUint16(2, command, true);
    view.setUint32(4, 16, true);
    view.setUint32(8, flags, true);
    view.setUint32(12, error, true);
    return bytes.toBase64();
  };
  const common = { connection: "edu at 00:01.0", descriptors: 0 };
  process.listener.messages!(process.planned, [
    { ...common, timeNs: 1000, direction: ">", bytes: header(7, 13, 0, 0) },
    { ...common, timeNs: 51_000, direction: "<", bytes: header(7, 13, 0x21, 22) },
    { ...common, timeNs: 90_000, direction: ">", bytes: "AAAA" },
  ]);
  const page = await json<MessagesPage>("/api/messages");
  assertEquals([page.total, page.next], [3, null]);
  const [command, reply, malformed] = page.messages;
  assertEquals([command!.type, command!.errno, command!.command], [
    "command",
    null,
    "DEVICE_RESET",
  ]);
  assertEquals([reply!.type, reply!.errno, reply!.tookMs, reply!.id], ["reply", 22, 0.05, 7]);
  assertEquals([malformed!.length, malformed!.bytes], [3, "000000"]);
  const numbers = async (filter: string) =>
    (await json<MessagesPage>(`/api/messages?filter=${encodeURIComponent(filter)}`)).messages
      .map(({ number }) => number);
  assertEquals(await numbers("errno:!0"), [1]);
  assertEquals(await numbers("errno:EINVAL"), [1]);
  assertEquals(await numbers("command:device_* direction:>"), [0]);
  const second = await json<MessagesPage>("/api/messages?limit=1&cursor=1");
  assertEquals([second.messages[0]!.number, second.next], [1, "2"]);
  const wrong = await app.request(
    `/api/messages?filter=${encodeURIComponent("command:X errno:")}`,
  );
  const problem = await wrong.json() as Problem;
  assertEquals([wrong.status, problem.position], [400, 16]);
  const log = await (await app.request("/api/runs/1/messages.log")).text();
  assertEquals(log.split("\n")[1], "0.000051 < 0007 DEVICE_RESET errno EINVAL 50us");
});

Deno.test("/api/timeline gives all events that are kept, page by page, of any run whose machine is", async () => {
  const { app, begin, json } = testDashboard();
  const first = await begin();
  const events = Array.from({ length: 12 }, (_, at) => mapEvent(at + 3));
  first.tell(sample([1, 2, 3, 4, 5, 6, 7, 8], events, 15));
  await first.end();
  const second = await begin("beta");
  await second.end();
  const sequences: number[] = [];
  const dropped: number[] = [];
  for (let cursor: string | null = "0"; cursor !== null;) {
    const page: TimelinePage = await json(`/api/timeline?run=1&limit=5&cursor=${cursor}`);
    assertEquals(page.run?.id, 1);
    sequences.push(...page.events.map(({ sequence }) => sequence));
    dropped.push(page.dropped);
    cursor = page.next;
  }
  assertEquals(sequences, events.map(([sequence]) => sequence!));
  assertEquals(dropped, [3, 0, 0]);
  assertEquals((await json<TimelinePage>("/api/timeline?cursor=99")).events, []);
  for (const query of ["limit=0", "limit=5001", "cursor=-1", "cursor=x"]) {
    assertEquals((await app.request(`/api/timeline?${query}`)).status, 400, query);
  }
});

Deno.test("wrong methods are refused with what is right", async () => {
  const { app } = testDashboard();
  const cases: readonly (readonly [string, string, string])[] = [
    ["DELETE", "/api/runs", "GET, HEAD, POST"],
    ["POST", "/api/state", "GET, HEAD"],
    ["PUT", "/", "GET, HEAD"],
    ["GET", "/api/runs/1/stop", "POST"],
    ["OPTIONS", "/api/stream", "GET, HEAD"],
  ];
  for (const [method, path, allow] of cases) {
    const response = await app.request(path, { method });
    assertEquals([response.status, response.headers.get("allow")], [405, allow], path);
  }
  assertEquals((await app.request("/healthz", { method: "HEAD" })).status, 200);
});
