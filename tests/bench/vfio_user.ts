/**
 * The benchmarks of vfio-user: a server in a process of its own, against what the kernel takes for
 * a bare exchange of messages in the same run.
 *
 * The client of most is the C program (`vfio_user/floor.c`), which sends canned messages, so that
 * what is measured is the server; our own client stands beside it, for information. A client of C
 * blocks in recvmsg(2) as a VMM's thread does, except where it is called `spinning`: that one polls
 * its socket without a pause, as no vCPU thread would, and shows what the server alone takes when no
 * end has to be woken.
 *
 * @module
 */

import { atLeast, atMost } from "./bar.ts";
import type {
  BenchContext,
  Benchmark,
  BenchmarkGroup,
  Comparison,
  Measurement,
  Outcome,
  PeerFigure,
} from "./benchmark.ts";
import { interleave, type Samples } from "./interleave.ts";
import { best, bestRatio } from "./statistics.ts";
import { BenchSetup, CannotMeasure, type ServerSpin } from "./vfio_user/bench_setup.ts";
import { BULK_BYTES } from "./vfio_user/bulk_device.ts";
import { inTurns, type RemoteSubject } from "./vfio_user/rounds.ts";

const GROUP = "vfio-user";
const WORKER = new URL("./vfio_user/worker.ts", import.meta.url);

/** Of the floor's time, both ends on one CPU. libvfio-user takes 1.35. */
const ONE_CPU_BAR = atMost(1.6);
/** Of the time of a floor that blocks, ends on two CPUs, whether the client blocks or spins too. */
const TWO_CPUS_BAR = atMost(0.5);
/** Pairs of DMA_MAP and DMA_UNMAP a second. */
const PAIRS_BAR = atLeast(30_000);
/** Of the time beside no live region. */
const FLAT_BAR = atMost(1.25);
/** Of the time of the same access in `direct`. */
const DMA_BAR = atMost(1.1);
/** GiB a second. */
const BULK_BAR = atLeast(1);

const GIB = 2 ** 30;
/** After that many messages nothing of a server is left to be compiled. */
const WARM_MESSAGES = 20_000;
/** A round trip of a register read, and of the floor. */
const TRIP = { exchanges: 1500, warmUp: WARM_MESSAGES } as const;
/** Microseconds that a server looks for the next message: longer than any client here takes. */
const SPIN_US = 500;
const PAIRS = 600;
const BULKS = 40;
/** Live regions; the last is the most that a server announces, less the one that comes and goes. */
const LIVE = [["0", 0], ["1k", 1000], ["16k", 16_000], ["64k", 65_534]] as const;
/** Slots of 8 KiB in a client's file: it has 8 MiB at least, and 512 MiB for the most live regions. */
const FEWEST_SLOTS = 1024;
const MOST_SLOTS = 65536;
const PAGES = 65536;
/** Small enough to stay in a cache: the latency of memory hides what is compared. */
const CACHED_FRAMES = 64;
/** Rounds of `conditionCore()` that leave nothing to be compiled. */
const CONDITIONING = 30_000;

function measurements(samples: Samples, bytesMoved?: number): Measurement[] {
  return samples.names.map((name) => ({
    name,
    samples: samples.of(name),
    ...(bytesMoved === undefined ? {} : { bytesMoved }),
  }));
}

/** `ours / theirs`. */
function ratio(
  samples: Samples,
  ours: string,
  theirs: string,
  bar: Comparison["bar"] = null,
): Comparison {
  const value = bestRatio(samples.of(ours), samples.of(theirs));
  return { name: `${ours} / ${theirs}`, value, bar };
}

/** A benchmark over sockets; where those cannot be, it says so and measures nothing. */
function overSockets(
  name: string,
  unit: Benchmark["unit"],
  about: string,
  measure: (context: BenchContext, setup: BenchSetup) => Promise<Outcome>,
): Benchmark {
  return {
    name,
    group: GROUP,
    unit,
    about,
    async run(context) {
      try {
        context.progress("compiles floor.c and starts processes");
        await using setup = await BenchSetup.make();
        return await measure(context, setup);
      } catch (error) {
        if (!(error instanceof CannotMeasure)) throw error;
        const line = `SKIPPED ${name}: ${error.message}\n`;
        Deno.stderr.writeSync(new TextEncoder().encode(line));
        return { measurements: [], comparisons: [] };
      }
    },
  };
}

const registerReadOneCpu = overSockets(
  "register-read-1cpu",
  "ns",
  "round trip of a 4-byte region read, server and client on one CPU",
  async (context, setup) => {
    const cpu = setup.cpus[0]!;
    const floor = await setup.floor(cpu);
    const canned = await setup.floor(cpu);
    await canned.ask(`connect ${await setup.serve("edu", [cpu])}`);
    const client = setup.client(cpu);
    await client.ask(`connect ${await setup.serve("edu", [cpu])}`);
    const samples = await inTurns(context, [
      { ...TRIP, name: "floor", process: floor, command: `ping ${cpu}` },
      { ...TRIP, name: "server", process: canned, command: "read blocking" },
      { ...TRIP, name: "server-and-client", process: client, command: "read blocking" },
    ]);
    return {
      measurements: measurements(samples),
      comparisons: [
        ratio(samples, "server", "floor", ONE_CPU_BAR),
        ratio(samples, "server-and-client", "floor"),
      ],
    };
  },
);

const registerReadTwoCpus = overSockets(
  "register-read-2cpus",
  "ns",
  "the same on two CPUs, with servers that spin in several ways",
  async (context, setup) => {
    const [near, far] = setup.twoCpus();
    const subjects: RemoteSubject[] = [];
    const floor = await setup.floor(near);
    subjects.push({ ...TRIP, name: "floor", process: floor, command: `ping ${far}` });
    const add = async (
      name: string,
      way: "blocking" | "spinning",
      spin: ServerSpin,
      cpus: readonly number[],
    ): Promise<void> => {
      const canned = await setup.floor(near);
      await canned.ask(`connect ${await setup.serve("edu", cpus, spin)}`);
      subjects.push({ ...TRIP, name, process: canned, command: `read ${way}` });
    };
    await add("off", "blocking", "off", [far]);
    await add("spin-500us", "blocking", SPIN_US, [far]);
    await add("spin-500us-both", "spinning", SPIN_US, [far]);
    // `auto` looks at how many CPUs it may use, and spins where that is more than one.
    await add("auto", "blocking", "auto", [near, far]);
    await add("auto-both", "spinning", "auto", [near, far]);
    const client = setup.client(near);
    await client.ask(`connect-spinning ${await setup.serve("edu", [far], SPIN_US)}`);
    subjects.push({ ...TRIP, name: "with-our-client", process: client, command: "read spinning" });
    const samples = await inTurns(context, subjects);
    return {
      measurements: measurements(samples),
      comparisons: [
        ratio(samples, "spin-500us-both", "floor", TWO_CPUS_BAR),
        ratio(samples, "auto-both", "floor", TWO_CPUS_BAR),
        ratio(samples, "spin-500us", "floor", TWO_CPUS_BAR),
        ratio(samples, "auto", "floor", TWO_CPUS_BAR),
        ratio(samples, "off", "floor"),
        ratio(samples, "with-our-client", "floor"),
      ],
    };
  },
);

const mapUnmap = overSockets(
  "dma-map-unmap",
  "ns",
  "DMA_MAP and DMA_UNMAP with a descriptor, one CPU, beside live regions",
  async (context, setup) => {
    const cpu = setup.cpus[0]!;
    const pairs = { exchanges: PAIRS, warmUp: WARM_MESSAGES / 4 } as const;
    const subjects: RemoteSubject[] = [];
    const floor = await setup.floor(cpu);
    subjects.push({ ...TRIP, name: "floor-round-trip", process: floor, command: `ping ${cpu}` });
    const add = async (name: string, live: number, slots: number): Promise<void> => {
      const canned = await setup.floor(cpu);
      await canned.ask(`connect ${await setup.serve("edu", [cpu])}`);
      context.progress(`maps ${live} regions`);
      await canned.ask(`live ${live} ${slots}`);
      subjects.push({ ...pairs, name, process: canned, command: "map" });
    };
    for (const [name, live] of LIVE) {
      const count = Math.ceil(live / (context.reduction === 1 ? 1 : 20));
      await add(`live-${name}`, count, Math.max(FEWEST_SLOTS, count));
    }
    // Each pair maps and unmaps the whole file, which weighs on the engine's collector.
    await add("live-0-of-512m", 0, MOST_SLOTS);
    const client = setup.client(cpu);
    await client.ask(`connect ${await setup.serve("edu", [cpu])}`);
    subjects.push({ ...pairs, name: "our-client", process: client, command: "map" });
    const samples = await inTurns(context, [
      ...subjects,
      { ...pairs, name: "our-client-pipelined", process: client, command: "map-pipelined" },
    ]);
    const aSecond = (name: string, bar: Comparison["bar"]): Comparison => ({
      name: `${name}, pairs a second`,
      value: 1e9 / best(samples.of(name)),
      bar,
    });
    return {
      measurements: measurements(samples),
      comparisons: [
        ...LIVE.map(([name]) => aSecond(`live-${name}`, PAIRS_BAR)),
        ratio(samples, "live-16k", "live-1k", FLAT_BAR),
        ratio(samples, "live-64k", "live-1k", FLAT_BAR),
        aSecond("live-0-of-512m", null),
        aSecond("our-client", null),
        aSecond("our-client-pipelined", null),
        ratio(samples, "live-1k", "floor-round-trip"),
      ],
    };
  },
);

const dmaMapped: Benchmark = {
  name: "dma-mapped",
  group: GROUP,
  unit: "ns",
  about: "a device reads random 8 bytes: 64 k mapped regions, and guest RAM",
  async run(context) {
    const { seed, reduction } = context;
    const parameters = {
      seed,
      conditioning: reduction === 1 ? CONDITIONING : 1000,
      pages: reduction === 1 ? PAGES : PAGES / 16,
      frames: CACHED_FRAMES,
    };
    const samples = await interleave(
      // Nothing waits here, so that a sample is short, and a busy machine spoils more of them.
      { ...context, rounds: 3 * context.rounds },
      ["direct", "server"].map((lane) => ({ worker: WORKER, lane, parameters })),
      { results: "same" },
    );
    return {
      measurements: measurements(samples),
      comparisons: [ratio(samples, "server", "direct", DMA_BAR)],
    };
  },
};

const bulk = overSockets(
  "messages-1m",
  "ns",
  "1 MiB a message: region accesses, and DMA without a descriptor",
  async (context, setup) => {
    const cpu = setup.cpus[0]!;
    // To the device, and back: the client compares.
    const moves = ["region-write", "region-read", "dma-read", "dma-write"] as const;
    const count = { exchanges: BULKS, warmUp: 5 * BULKS } as const;
    const floor = await setup.floor(cpu);
    const canned = await setup.floor(cpu);
    await canned.ask(`connect ${await setup.serve("bulk", [cpu])}`);
    const client = setup.client(cpu);
    await client.ask(`connect ${await setup.serve("bulk", [cpu])}`);
    const samples = await inTurns(context, [
      { ...count, name: "floor", process: floor, command: `stream ${cpu}` },
      ...moves.map((name) => ({ ...count, name, process: canned, command: name })),
      ...moves.slice(0, 2).map((name) => ({
        ...count,
        name: `our-client-${name}`,
        process: client,
        command: name,
      })),
    ]);
    return {
      measurements: measurements(samples, BULK_BYTES),
      comparisons: [
        ...moves.map((name): Comparison => ({
          name: `${name}, GiB a second`,
          value: BULK_BYTES / GIB * 1e9 / best(samples.of(name)),
          bar: BULK_BAR,
        })),
        ...moves.map((name) => ratio(samples, name, "floor")),
      ],
    };
  },
);

/** DESIGN.md 7. */
const peers: readonly PeerFigure[] = [
  {
    name: "libvfio-user (C) region read, ends on one CPU",
    value: 11_000,
    unit: "ns",
    ours: "register-read-1cpu/server",
  },
  {
    name: "libvfio-user region read, ends on two CPUs",
    value: 48_000,
    unit: "ns",
    ours: "register-read-2cpus/auto",
  },
  {
    name: "libvfio-user DMA_MAP and DMA_UNMAP, ends on one CPU",
    value: 30_300,
    unit: "ns",
    ours: "dma-map-unmap/live-1k",
  },
];

/** Everything that goes over a socket of vfio-user, and what that makes possible. */
export const vfioUser: BenchmarkGroup = {
  name: GROUP,
  benchmarks: [registerReadOneCpu, registerReadTwoCpus, mapUnmap, dmaMapped, bulk],
  peers,
};
