/**
 * The benchmarks under a guest: what a register read costs Linux, and how long a machine takes to be
 * there. They fetch QEMU and a kernel when these are not there yet, so they run when asked for.
 * @module
 */

import { Terminal } from "../../harness/cli/terminal.ts";
import { TerminalListener } from "../../harness/vm/fetch/terminal_listener.ts";
import { Vm } from "../../harness/vm/vm.ts";
import { VmError } from "../../harness/vm/vm_error.ts";
import type { VmOptions } from "../../harness/vm/vm_options.ts";
import { enable, plugged, serve } from "../vm/_served.ts";
import type {
  BenchContext,
  Benchmark,
  BenchmarkGroup,
  Measurement,
  Outcome,
  PeerFigure,
} from "./benchmark.ts";
import { bestRatio } from "./statistics.ts";

const GROUP = "vm";
/** Reads in one sample. */
const READS = 2000;
/** Microseconds that the spinning server looks for the next message. */
const SPIN_US = 2000;
/** Boots in a full run: each takes seconds. */
const BOOTS = 5;

const NOTHING: Outcome = { measurements: [], comparisons: [] };

/** A benchmark in a guest; where none can be had, it says so and measures nothing. */
function inGuest(
  name: string,
  about: string,
  measure: (context: BenchContext, folder: string) => Promise<Outcome>,
): Benchmark {
  return {
    name,
    group: GROUP,
    unit: "ns",
    about,
    onDemand: true,
    async run(context) {
      const folder = await Deno.makeTempDir({ prefix: "viaduct-bench-" });
      try {
        return await measure(context, folder);
      } catch (error) {
        if (!(error instanceof VmError)) throw error;
        const line = `SKIPPED ${name}: ${error.message}\n`;
        Deno.stderr.writeSync(new TextEncoder().encode(line));
        return NOTHING;
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  };
}

async function boot(options: VmOptions): Promise<Vm> {
  const listener = new TerminalListener(new Terminal(Deno.stderr));
  try {
    return await Vm.start(options, { network: "allowed", listener });
  } finally {
    listener.end();
  }
}

const read = inGuest(
  "guest-register-read",
  "a 4-byte read of edu's identification by a program in a Linux guest (TCG)",
  async (context, folder) => {
    context.progress("boots a guest");
    await using blocking = await serve(`${folder}/blocking`, "edu", "--spin", "off");
    await using spinning = await serve(`${folder}/spinning`, "edu", "--spin", `${SPIN_US}`);
    await using vm = await boot({
      devices: [
        ...["-device", "edu,addr=04.0"],
        ...plugged(blocking.socket("edu"), { addr: "05.0" }),
        ...plugged(spinning.socket("edu"), { addr: "06.0" }),
      ],
    });
    const subjects: { name: string; bar: string; samples: number[] }[] = [];
    for (const [at, name] of ["built-in", "blocking", "spinning"].entries()) {
      subjects.push({ name, bar: await enable(vm, `0000:00:0${4 + at}.0`), samples: [] });
    }
    const reads = Math.max(50, Math.round(READS / Math.min(context.reduction, 20)));
    // The first round warms up.
    for (let round = -1; round < context.rounds; round++) {
      for (const { name, bar, samples } of subjects) {
        context.progress(`${name}, round ${round + 1}`);
        const { stdout } = await vm.guest.run(`mmio time 4 ${bar} ${reads}`);
        if (round >= 0) samples.push(Number(stdout));
      }
    }
    const [builtin, ...ours] = subjects;
    return {
      measurements: subjects.map(({ name, samples }): Measurement => ({ name, samples })),
      comparisons: ours.map(({ name, samples }) => ({
        name: `${name} / built-in`,
        value: bestRatio(samples, builtin!.samples),
        bar: null,
      })),
    };
  },
);

const bootTime = inGuest(
  "guest-boot",
  "from QEMU's start to the guest's init, without and with a device of ours",
  async (context, folder) => {
    await using server = await serve(folder, "edu");
    const device = plugged(server.socket("edu"), { addr: "04.0" });
    const plain: number[] = [], withEdu: number[] = [], kernel: number[] = [];
    const boots = context.reduction === 1 ? BOOTS : 1;
    for (let at = 0; at < boots; at++) {
      context.progress(`boot ${at + 1} of ${boots}`);
      {
        await using vm = await boot({});
        plain.push(vm.bootMs * 1e6);
        kernel.push(vm.guest.boot!.uptimeMs * 1e6);
      }
      await using vm = await boot({ devices: device });
      withEdu.push(vm.bootMs * 1e6);
    }
    return {
      measurements: [
        { name: "plain", samples: plain },
        { name: "with-our-edu", samples: withEdu },
        { name: "kernel-to-init", samples: kernel },
      ],
      comparisons: [
        { name: "with-our-edu / plain", value: bestRatio(withEdu, plain), bar: null },
      ],
    };
  },
);

/** spec/09, 9.5: libvfio-user's C server under the same guest, its ends not pinned. */
const peers: readonly PeerFigure[] = [
  {
    name: "libvfio-user (C) under QEMU, blocking",
    value: 51_000,
    unit: "ns",
    ours: "guest-register-read/blocking",
  },
];

/** Everything that needs a guest. */
export const vm: BenchmarkGroup = { name: GROUP, benchmarks: [read, bootTime], peers };
