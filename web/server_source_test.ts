import { assertEquals } from "@std/assert";
import { Board } from "../harness/observe/board.ts";
import { FrameRing, FRAMES_KEPT } from "../harness/observe/frame_ring.ts";
import { ServerObservation } from "../harness/observe/server_observation.ts";
import { Time } from "../harness/observe/server_thread_protocol.ts";
import { Runs } from "./runs.ts";
import { ServerSource } from "./server_source.ts";

const ENDPOINT = 0x20;

/** A source whose serving thread is the test. */
class Shown {
  nowMs = 5_000_000;
  readonly observation = new ServerObservation(() => this.nowMs);
  readonly lines: string[] = [];
  readonly source = new ServerSource(this.observation, (line) => this.lines.push(line));
  readonly board = new Board(this.observation.request.board);
  readonly frames = new FrameRing(this.observation.request.frames);
  readonly times = new Float64Array(this.observation.request.times);
  readonly counters = new Float64Array(8);

  constructor() {
    this.observation.take({
      kind: "device",
      device: 0,
      endpoint: ENDPOINT,
      type: "edu",
      bars: [],
      counters: this.counters,
    });
  }

  report(state: "connected" | "none", accepted: number): void {
    this.observation.take({
      kind: "report",
      timeNs: 7,
      endpoints: [{
        id: ENDPOINT,
        device: "edu",
        domain: ENDPOINT,
        bypass: false,
        latency: null,
        latencyBuckets: [],
        latencySumNs: 0,
        heat: null,
      }],
      domains: [{ id: ENDPOINT, kind: "mapped", members: [[ENDPOINT, -1]], membersLeftOut: 0 }],
      regions: [],
      faults: new Float64Array(),
      faultsLost: 0,
      totals: [0, 0, 0, 0, 0, 0, 0, 0],
      clients: [{ endpoint: ENDPOINT, state, accepted }],
    });
  }
}

Deno.test("ServerSource.picture() reads counters and domains as they are, between two reports", () => {
  const shown = new Shown();
  shown.report("connected", 3);
  shown.counters[0] = 41;
  shown.board.setDomain(0, ENDPOINT, 2, 0x3000);
  shown.board.setDomains(1);
  const { endpoints, domains, totals } = shown.source.picture();
  const [edu] = endpoints;
  assertEquals([edu!.bdf, edu!.device, edu!.counters.translations], ["00:04.0", "edu", 41]);
  assertEquals(edu!.client, { state: "connected", accepted: 3 });
  assertEquals(domains.map(({ mappings, mappedBytes }) => [mappings, mappedBytes]), [[2, 0x3000]]);
  assertEquals(totals.translations, 41);
  shown.counters[0] = 42;
  assertEquals(shown.source.picture().totals.translations, 42);
});

Deno.test("ServerSource.state is paused while the serving thread does not come by, and ended at the end", () => {
  const shown = new Shown();
  assertEquals(shown.source.state, "live");
  shown.times[Time.CAME_BY] = shown.nowMs;
  shown.nowMs += 900;
  assertEquals(shown.source.state, "live");
  shown.nowMs += 200;
  assertEquals(shown.source.state, "paused");
  shown.times[Time.CAME_BY] = shown.nowMs;
  assertEquals(shown.source.state, "live");
  shown.counters[3] = 9;
  shown.source.end();
  shown.counters[3] = 10;
  assertEquals([shown.source.state, shown.source.picture().totals.faults], ["ended", 9]);
});

Deno.test("ServerSource.messages names connections, and says how many nobody has", () => {
  const shown = new Shown();
  const bytes = new Uint8Array(16);
  shown.frames.record(1e6, 1, ">", bytes, 0);
  shown.frames.record(2e6, 2, "<", bytes, 1);
  assertEquals(
    shown.source.messages.map(({ number, connection, timeMs, direction, descriptors }) => [
      number,
      connection,
      timeMs,
      direction,
      descriptors,
    ]),
    [[0, "edu", 1, ">", 0], [1, "edu client 2", 2, "<", 1]],
  );
  for (let at = 0; at < FRAMES_KEPT + 10; at++) shown.frames.record(3e6, 2, ">", bytes, 0);
  const kept = shown.source.messages.length;
  assertEquals(kept + shown.source.messagesDropped, FRAMES_KEPT + 12);
  assertEquals(kept, FRAMES_KEPT - 1);
});

Deno.test("Runs.adopt() lists served devices with their command, their lines, and what they left", () => {
  const shown = new Shown();
  shown.report("none", 0);
  const runs = new Runs({
    catalog: [],
    observer: {
      watch: () => {
        throw new Error("No scenario runs here");
      },
    },
    startedBy: "command",
    nowMs: () => shown.nowMs,
  });
  const adopted = runs.adopt({
    name: "serve edu",
    title: "Device server",
    mode: "remap",
    via: "vfio-user",
    machine: { kind: "server", command: "deno task serve edu --dashboard" },
  }, shown.source);
  adopted.log("edu: A client has connected");
  const running = runs.get(1)!.detail();
  assertEquals([running.run.machine, running.run.state], ["server", "running"]);
  assertEquals(running.rerun, "deno task serve edu --dashboard");
  assertEquals(running.log, ["edu: A client has connected"]);
  shown.counters[6] = 512;
  adopted.end();
  adopted.end();
  const ended = runs.get(1)!.detail();
  assertEquals([ended.run.reason, ended.metrics?.dmaReadBytes], ["Ended", 512]);
});
