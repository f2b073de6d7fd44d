import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { mapEvent, report, sample, testDashboard } from "./_test_dashboard.ts";
import type { Heartbeat, Problem, Snapshot } from "./api.ts";
import { RunSource } from "./run_source.ts";

interface Event {
  readonly id: string | null;
  readonly event: string;
  readonly data: unknown;
}

/** Reads a stream's events as a page would. */
class Page {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #rest = "";

  constructor(response: Response) {
    this.#reader = response.body!.getReader();
  }

  /** The events of the next chunk; null at the end. */
  async chunk(): Promise<Event[] | null> {
    const { done, value } = await this.#reader.read();
    if (done) return null;
    this.#rest += this.#decoder.decode(value, { stream: true });
    const blocks = this.#rest.split("\n\n");
    this.#rest = blocks.pop()!;
    return blocks.filter((block) => !block.startsWith("retry:")).map((block) => {
      const fields = new Map(
        block.split("\n").map((line) => {
          const colon = line.indexOf(": ");
          return [line.slice(0, colon), line.slice(colon + 2)];
        }),
      );
      return {
        id: fields.get("id") ?? null,
        event: fields.get("event")!,
        data: JSON.parse(fields.get("data")!),
      };
    });
  }

  /** The snapshots of the next chunk. */
  async snapshots(): Promise<Snapshot[]> {
    return ((await this.chunk()) ?? []).filter(({ event }) => event === "snapshot")
      .map(({ data }) => data as Snapshot);
  }

  async close(): Promise<void> {
    await this.#reader.cancel();
  }
}

type Dashboard = ReturnType<typeof testDashboard>;

async function open({ app }: Dashboard, lastEventId?: string): Promise<Page> {
  const response = await app.request("/api/stream", {
    headers: lastEventId === undefined ? {} : { "Last-Event-ID": lastEventId },
  });
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  return new Page(response);
}

Deno.test("the stream begins with a snapshot, and sends one at each tick, numbered without gaps", async () => {
  const dashboard = testDashboard();
  const { begin, snapshots } = dashboard;
  const page = await open(dashboard);
  const [first] = await page.snapshots();
  assertEquals([first!.state, first!.sequence], ["idle", 1]);
  const process = await begin();
  const seen: Snapshot[] = [];
  for (let at = 0; at < 5; at++) {
    process.tell(sample([at, 0, 0, 0, 0, 0, 0, 0], [mapEvent(at)], at + 1));
    dashboard.nowMs += 250;
    snapshots.tick();
    seen.push(...await page.snapshots());
  }
  assertEquals(seen.map(({ sequence }) => sequence), [2, 3, 4, 5, 6]);
  assertEquals(seen.map(({ totals }) => totals.translations), [0, 1, 2, 3, 4]);
  // Each event of the timeline comes once.
  assertEquals(
    seen.map(({ timeline }) => timeline.events.map(({ sequence }) => sequence)),
    [[0], [1], [2], [3], [4]],
  );
  await page.close();
  assertEquals(snapshots.streams, 0);
});

Deno.test("a snapshot's heat is of the time since the one before", async () => {
  const dashboard = testDashboard();
  const page = await open(dashboard);
  await page.snapshots();
  const process = await dashboard.begin();
  const heats: unknown[] = [];
  for (const fresh of [true, false, true]) {
    process.tell(sample());
    if (fresh) process.tell(report());
    dashboard.nowMs += 250;
    dashboard.snapshots.tick();
    const [snapshot] = await page.snapshots();
    heats.push(snapshot!.endpoints[0]!.heat !== null);
  }
  assertEquals(heats, [true, false, true]);
  await page.close();
});

Deno.test("a page that comes back gets what it has missed, once, in order", async () => {
  const dashboard = testDashboard();
  const { snapshots } = dashboard;
  const page = await open(dashboard);
  const [event] = (await page.chunk())!;
  await dashboard.begin();
  await page.close();
  for (let at = 0; at < 6; at++) {
    dashboard.nowMs += 250;
    snapshots.tick();
  }
  const again = await open(dashboard, event!.id!);
  const missed = (await again.chunk())!;
  assertEquals(missed.map(({ data }) => (data as Snapshot).sequence), [2, 3, 4, 5, 6, 7]);
  assertEquals(
    missed.map(({ id }) => id),
    [2, 3, 4, 5, 6, 7].map((at) => `${snapshots.instance}.${at}`),
  );
  dashboard.nowMs += 250;
  snapshots.tick();
  const [next] = await again.snapshots();
  assertEquals([next!.sequence, next!.droppedSnapshots], [8, 0]);
  await again.close();

  const current = await open(dashboard, missed.at(-1)!.id!);
  assertEquals((await current.snapshots()).map(({ sequence }) => sequence), [8]);
  await current.close();
});

Deno.test("a page that comes back after more than is kept is told how many it lost", async () => {
  const dashboard = testDashboard();
  const page = await open(dashboard);
  const [event] = (await page.chunk())!;
  await dashboard.begin();
  await page.close();
  for (let at = 0; at < 500; at++) {
    dashboard.nowMs += 250;
    dashboard.snapshots.tick();
  }
  const again = await open(dashboard, event!.id!);
  const missed = await again.snapshots();
  assertEquals(missed.length, 240);
  assertEquals([missed[0]!.sequence, missed.at(-1)!.sequence], [262, 501]);
  dashboard.nowMs += 250;
  dashboard.snapshots.tick();
  assertEquals((await again.snapshots())[0]!.droppedSnapshots, 260);
  await again.close();
});

Deno.test("an ID of another start, of the future, or of nobody gets the newest snapshot alone", async () => {
  const dashboard = testDashboard();
  const first = await open(dashboard);
  await first.snapshots();
  await first.close();
  await dashboard.begin();
  dashboard.nowMs += 250;
  dashboard.snapshots.tick();
  const { instance } = dashboard.snapshots;
  for (
    const id of [
      "00000000.2",
      `${instance}.999`,
      "7",
      "",
      `${instance}.-1`,
      "\u00e9",
      `${instance}.1e9`,
      `${instance}.${"9".repeat(400)}`,
      "9".repeat(10_000),
    ]
  ) {
    const page = await open(dashboard, id);
    const snapshots = await page.snapshots();
    assertEquals(snapshots.map(({ sequence }) => sequence), [2], id);
    await page.close();
  }
});

Deno.test("a page that reads too slowly misses snapshots, is told how many, and loses no event", async () => {
  const dashboard = testDashboard();
  const process = await dashboard.begin();
  const slow = await open(dashboard);
  const quick = await open(dashboard);
  const quickSeen = await quick.snapshots();
  for (let at = 0; at < 40; at++) {
    process.tell(sample([at, 0, 0, 0, 0, 0, 0, 0], [mapEvent(at)], at + 1));
    dashboard.nowMs += 250;
    dashboard.snapshots.tick();
    quickSeen.push(...await quick.snapshots());
  }
  assertEquals(quickSeen.map(({ droppedSnapshots }) => droppedSnapshots).filter(Boolean), []);
  assertEquals(quickSeen.length, 41);
  const slowSeen: Snapshot[] = [];
  // What waited for it comes first, and is little.
  slowSeen.push(...await slow.snapshots(), ...await slow.snapshots());
  assertLess(slowSeen.length, 5);
  dashboard.nowMs += 250;
  dashboard.snapshots.tick();
  slowSeen.push(...await slow.snapshots());
  const last = slowSeen.at(-1)!;
  assertEquals(last.sequence, quickSeen.at(-1)!.sequence + 1);
  const gap = last.sequence - slowSeen.at(-2)!.sequence - 1;
  assertGreater(gap, 30);
  assertEquals(last.droppedSnapshots, gap);
  const events = slowSeen.flatMap(({ timeline }) =>
    timeline.events.map(({ sequence }) => sequence)
  );
  assertEquals(events, Array.from({ length: 40 }, (_, at) => at));
  await slow.close();
  await quick.close();
});

Deno.test("a page that reads too slowly gets the last snapshot of a run when it has caught up", async () => {
  const dashboard = testDashboard();
  const process = await dashboard.begin();
  const page = await open(dashboard);
  for (let at = 0; at < 10; at++) {
    process.tell(sample([at, 0, 0, 0, 0, 0, 0, 0], [mapEvent(at)], at + 1));
    dashboard.nowMs += 250;
    dashboard.snapshots.tick();
  }
  process.tell(sample([99, 0, 0, 0, 0, 0, 0, 0], [mapEvent(10)], 11));
  dashboard.nowMs += 250;
  await process.end();
  const seen = [...await page.snapshots(), ...await page.snapshots()];
  for (let at = 0; at < 3; at++) {
    dashboard.nowMs += 250;
    dashboard.snapshots.tick();
  }
  seen.push(...await page.snapshots());
  const last = seen.at(-1)!;
  assertEquals([last.state, last.totals.translations], ["ended", 99]);
  assertEquals(last.droppedSnapshots, last.sequence - seen.at(-2)!.sequence - 1);
  const events = seen.flatMap(({ timeline }) => timeline.events.map(({ sequence }) => sequence));
  assertEquals(events, Array.from({ length: 11 }, (_, at) => at));
  // Once.
  dashboard.nowMs += 2500;
  dashboard.snapshots.tick();
  assertEquals((await page.chunk())!.map(({ event }) => event), ["heartbeat"]);
  await page.close();
});

Deno.test("a timeline of more events than a snapshot holds keeps the newest and counts the others", async () => {
  const dashboard = testDashboard();
  const process = await dashboard.begin();
  const page = await open(dashboard);
  await page.snapshots();
  const events = Array.from({ length: 2000 }, (_, at) => mapEvent(9000 + at));
  process.tell(sample([0, 0, 0, 0, 0, 0, 0, 0], events, 11_000));
  dashboard.nowMs += 250;
  dashboard.snapshots.tick();
  const [snapshot] = await page.snapshots();
  assertEquals(snapshot!.timeline.events.length, 500);
  assertEquals(snapshot!.timeline.events[0]!.sequence, 10_500);
  assertEquals(snapshot!.timeline.dropped, 10_500);
  await page.close();
});

Deno.test("there are at most so many streams; then 503, until one closes", async () => {
  const dashboard = testDashboard({ maxStreams: 3 });
  const pages = [await open(dashboard), await open(dashboard), await open(dashboard)];
  const refused = await dashboard.app.request("/api/stream");
  assertEquals([refused.status, refused.headers.get("retry-after")], [503, "5"]);
  assertEquals((await refused.json() as Problem).code, "busy");
  await pages[0]!.close();
  pages[0] = await open(dashboard);
  for (const page of pages) await page.close();
});

Deno.test("while nothing changes a page gets heartbeats, and at the end of a run its last numbers", async () => {
  const dashboard = testDashboard();
  const { snapshots } = dashboard;
  const process = await dashboard.begin();
  const page = await open(dashboard);
  await page.chunk();
  process.tell(sample([77, 0, 0, 0, 0, 0, 0, 0]));
  dashboard.nowMs += 100;
  await process.end();
  const [last] = await page.snapshots();
  assertEquals([last!.state, last!.totals.translations], ["ended", 77]);
  for (let at = 0; at < 8; at++) {
    dashboard.nowMs += 250;
    snapshots.tick();
  }
  const [beat] = (await page.chunk())!;
  assertEquals([beat!.event, beat!.id], ["heartbeat", null]);
  const { instance, sequence, state } = beat!.data as Heartbeat;
  assertEquals([instance, sequence, state], [snapshots.instance, last!.sequence, "ended"]);
  await page.close();
});

Deno.test("a run that says nothing for a second is paused", async () => {
  const dashboard = testDashboard();
  const process = await dashboard.begin();
  process.tell(sample());
  let nowMs = 0;
  const source = new RunSource(() => Promise.resolve(null), () => nowMs);
  dashboard.runs.current!.source = source;
  assertEquals((await dashboard.json<Snapshot>("/api/state")).state, "live");
  nowMs = 1001;
  assertEquals((await dashboard.json<Snapshot>("/api/state")).state, "paused");
  source.take(sample());
  assertEquals((await dashboard.json<Snapshot>("/api/state")).state, "live");
});

Deno.test("a machine that no scenario runs on is shown like one of a run", async () => {
  const dashboard = testDashboard({ startedBy: "command" });
  const source = new RunSource(() => Promise.resolve(null));
  source.take(sample([5, 0, 0, 0, 0, 0, 0, 0]));
  const adopted = dashboard.runs.adopt(
    { name: "serve edu", title: "Device server", mode: "remap", via: "vfio-user" },
    source,
  );
  const page = await open(dashboard);
  const [live] = await page.snapshots();
  assertEquals([live!.state, live!.run!.scenario, live!.totals.translations], [
    "live",
    "serve edu",
    5,
  ]);
  dashboard.nowMs += 100;
  adopted.end();
  adopted.end();
  const [last] = await page.snapshots();
  assertEquals([last!.state, last!.run!.reason, last!.totals.translations], ["ended", "Ended", 5]);
  await page.close();
});

Deno.test("a thousand endpoints are a snapshot of moderate size; more are left out and counted", async () => {
  const dashboard = testDashboard();
  const process = await dashboard.begin();
  process.tell({
    ...sample() as Extract<ReturnType<typeof sample>, { kind: "sample" }>,
    endpoints: Array.from({ length: 1500 }, (_, at) => [at, 1, 1, 0, 0, 0, 0, 8, 8]),
  });
  const response = await dashboard.app.request("/api/state");
  const text = await response.text();
  const state = JSON.parse(text) as Snapshot;
  assertEquals([state.endpoints.length, state.endpointsLeftOut], [1024, 476]);
  assertEquals(state.totals.translations, 1500);
  assertLess(text.length, 500_000);
});

Deno.test("Snapshots.close() ends the streams", async () => {
  const dashboard = testDashboard();
  const page = await open(dashboard);
  await page.chunk();
  dashboard.snapshots.close();
  assertEquals(await page.chunk(), null);
  assert(dashboard.snapshots.streams === 0);
});

Deno.test("of several runs the one that began last is shown, and each event once though they take turns", async () => {
  const dashboard = testDashboard({ startedBy: "command" });
  const machine = (name: string) => {
    const source = new RunSource(() => Promise.resolve(null));
    source.take(sample([0, 0, 0, 0, 0, 0, 0, 0], [mapEvent(0)]));
    return dashboard.runs.adopt({ name, title: name, mode: "remap", via: "direct" }, source);
  };
  const page = await open(dashboard);
  const shown: [string | undefined, number][] = [];
  const look = async () => {
    dashboard.nowMs += 250;
    dashboard.snapshots.tick();
    for (const { run, timeline } of await page.snapshots()) {
      shown.push([run?.scenario, timeline.events.length]);
    }
  };
  await page.snapshots();
  const one = machine("one");
  await look();
  const two = machine("two");
  await look();
  two.end();
  await look();
  one.end();
  await look();
  assertEquals(shown, [["one", 1], ["two", 1], ["one", 0], ["two", 0]]);
  await page.close();
});
