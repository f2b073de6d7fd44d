/**
 * `deno task vm`: a Linux guest in a stock QEMU, with devices of this project plugged in, and a
 * person at its console. A thread of this process serves the devices.
 * @module
 */

import { requesterId } from "../../devices/pci/bdf.ts";
import { ServerObservation } from "../observe/server_observation.ts";
import { GuestError } from "../vm/guest.ts";
import { PCI_AGENT } from "../vm/image/programs.ts";
import { firstMemoryBar } from "../vm/pci_resource.ts";
import { TerminalListener } from "../vm/fetch/terminal_listener.ts";
import { OwnFolder } from "../folder/own_folder.ts";
import { vfioUserPci } from "../vm/vfio_user_pci.ts";
import { Vm, type VmEnd } from "../vm/vm.ts";
import { noTemporaryFolder, VmError } from "../vm/vm_error.ts";
import { endWhenUncaught, tellFailure, tellUnwritten } from "./command_failure.ts";
import { ConsoleKeys } from "./console.ts";
import { followConsoleSize } from "./console_size.ts";
import { onEndSignal } from "./end_signals.ts";
import { INTERRUPTED } from "./exit_code.ts";
import { locate, NAMES } from "./serve.ts";
import type { OpenMachineOnlooker, WatchedMachine } from "./machine_onlooker.ts";
import type { ServedDevice } from "./serve_messages.ts";
import { type ServingThread, startServing } from "./serving_thread.ts";
import { taskCommand } from "../task_command.ts";
import { Terminal } from "./terminal.ts";
import { UsageError } from "./usage_error.ts";
import { parseVmCommand, type VmCommand } from "./vm_options.ts";

/** Exit codes (DESIGN.md, 5), beside those of `exit_code.ts`. */
const LEFT = 0, NO_MACHINE = 1;

/** The first device is there, the next ones follow. */
const FIRST_SLOT = 4;
/** Of QEMU's bus 0: what comes after is the machine's own. */
const LAST_SLOT = 0x1c;

const stdout = new Terminal(Deno.stdout);
const stderr = new Terminal(Deno.stderr);
const COMMAND = { task: "vm", culprit: "the virtual machine", stderr };

function describe(command: VmCommand, args: readonly string[]): WatchedMachine {
  const { iommu, memoryMib, cpus, devices } = command;
  const places = devices.map((name, at) => `${name} at 00:${slotOf(at)}.0`).join(", ");
  const front = iommu === "none" ? "no IOMMU" : `QEMU's ${iommu} IOMMU in front`;
  return {
    name: `vm ${devices.join(", ")}`,
    title: `Linux guest in QEMU, ${memoryMib} MiB, ${cpus} ${
      cpus === 1 ? "processor" : "processors"
    }, ${front}: ${places}`,
    command: taskCommand("vm", args),
    kind: "guest",
    mode: iommu === "none" ? "identity" : "remap",
    via: "qemu",
  };
}

function slotOf(at: number): string {
  return (FIRST_SLOT + at).toString(16).padStart(2, "0");
}

function qemuDevices(devices: readonly ServedDevice[]): string[] {
  return devices.flatMap(({ path }, at) => [
    "-device",
    JSON.stringify(vfioUserPci(path, { addr: `${slotOf(at)}.0` })),
  ]);
}

async function boot(
  command: VmCommand,
  devices: readonly ServedDevice[],
  signal: AbortSignal,
): Promise<Vm> {
  const { iommu, accelerator, network, memoryMib, cpus } = command;
  const listener = new TerminalListener(stderr);
  try {
    return await Vm.start({
      devices: qemuDevices(devices),
      iommu,
      accelerator,
      memoryMib,
      cpus,
      console: "interactive",
      image: {
        modules: iommu === "none" ? [] : ["vfio_iommu_type1 allow_unsafe_interrupts=1", "vfio-pci"],
        programs: [PCI_AGENT],
      },
    }, { network, listener, signal });
  } finally {
    listener.end();
  }
}

/** What is where in the guest, and what to try: registers of each device's first BAR of memory. */
async function introduction(vm: Vm, devices: readonly ServedDevice[]): Promise<string> {
  const places: string[] = [];
  let example = "ls /sys/bus/pci/devices";
  let found = false;
  for (const [at, { type }] of devices.entries()) {
    const address = `0000:00:${slotOf(at)}.0`;
    const { stdout } = await vm.guest.run(
      `cd /sys/bus/pci/devices/${address} && echo 1 > enable; cat resource`,
    );
    const registers = firstMemoryBar(stdout);
    places.push(
      `${type} at ${address}${registers === null ? "" : `, registers at ${hex(registers)}`}`,
    );
    if (registers !== null && !found) {
      found = true;
      example = `mmio read 4 ${hex(registers)}`;
    }
  }
  return `Linux with ${places.join("; ")}\nTry: ${example}     Ctrl-A X leaves\n`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** Keys to the guest, until they leave or their stream ends. @returns what it was @throws when the guest takes no more */
async function type(console: Deno.Conn): Promise<"left" | "ended"> {
  const keys = new ConsoleKeys();
  const chunk = new Uint8Array(4096);
  for (;;) {
    // A terminal that hangs up may give an error for its end.
    const length = await Deno.stdin.read(chunk).catch(() => null);
    if (length === null) return "ended";
    const { bytes, leaves } = keys.take(chunk.subarray(0, length));
    await writeAll(console, bytes);
    if (leaves) return "left";
  }
}

async function writeAll(to: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

/** Shows what the guest prints, until it ends. */
async function show(console: Deno.Conn): Promise<void> {
  const chunk = new Uint8Array(16384);
  const decoder = new TextDecoder();
  for (;;) {
    const length = await console.read(chunk).catch(() => null);
    if (length === null) return;
    stdout.write(decoder.decode(chunk.subarray(0, length), { stream: true }));
  }
}

/** At the console until the guest ends, or its user leaves. @returns how QEMU ended by itself; null when it was left */
async function converse(vm: Vm): Promise<VmEnd | null> {
  const console = vm.console!;
  const terminal = Deno.stdin.isTerminal();
  // Before anything is shown: its user would type already.
  const unfollow = terminal ? await followConsoleSize(vm.guest) : () => {};
  const shown = show(console);
  if (terminal) Deno.stdin.setRaw(true);
  try {
    // A guest that takes no more keys is about to end.
    const typed = type(console).catch(() => vm.ended);
    const over = await Promise.race([typed, vm.ended]);
    if (typeof over === "object") return over;
    if (over === "left" || terminal) return null;
    await writeAll(console, new TextEncoder().encode("\npoweroff -f\n")).catch(() => {});
    return await vm.ended;
  } finally {
    if (terminal) Deno.stdin.setRaw(false);
    unfollow();
    await vm.stop();
    await shown;
    stdout.write("\n");
  }
}

/** For the devices' sockets. @throws {VmError} */
function makeFolder(): OwnFolder {
  try {
    return new OwnFolder("viaduct-");
  } catch (error) {
    throw noTemporaryFolder(error);
  }
}

async function run(
  command: VmCommand,
  args: readonly string[],
  open: OpenMachineOnlooker | null,
): Promise<number> {
  if (command.devices.length > LAST_SLOT - FIRST_SLOT + 1) {
    throw new UsageError(
      `Cannot plug ${command.devices.length} devices in: there is room for ` +
        `${LAST_SLOT - FIRST_SLOT + 1}`,
    );
  }
  if (command.dashboard !== null && open === null) {
    throw new UsageError("Cannot serve --dashboard from here: start it as deno task vm");
  }
  const located = command.devices.map(locate);
  const observation = new ServerObservation();
  const onlooker = command.dashboard === null || open === null
    ? null
    : await open(describe(command, args), observation, command.dashboard);
  if (onlooker !== null) stderr.write(`dashboard ${onlooker.link}\n`);
  const folder = makeFolder();
  let serving: ServingThread | null = null;
  let booting: Promise<Vm> | null = null;
  let vm: Vm | null = null;
  const interrupted = new AbortController();
  const { signal } = interrupted;
  const interrupt = () => {
    interrupted.abort();
    folder.remove();
    void Promise.allSettled([booting, vm?.stop(), onlooker?.close()])
      .finally(() => Deno.exit(INTERRUPTED));
  };
  // Who asks twice has waited long enough.
  onEndSignal(interrupt, () => Deno.exit(INTERRUPTED));
  try {
    serving = await startServing({
      devices: located,
      firstEndpoint: requesterId(0, FIRST_SLOT),
      socketDir: folder.path,
      spin: "auto",
      messages: null,
    }, onlooker === null ? null : observation);
    // Nobody waits for that thread while the guest runs; the guest hears of its end by itself.
    serving.ended.catch((error: Error) => {
      stderr.write(`The thread of the devices failed: ${error.message}\n`);
    });
    booting = boot(command, serving.devices, signal);
    vm = await booting;
    stderr.write(await introduction(vm, serving.devices));
    const end = await converse(vm);
    if (signal.aborted) return INTERRUPTED;
    if (end === null || end.code === 0) return LEFT;
    stderr.write(`QEMU has ended (${end.signal ?? `exit code ${end.code}`})\n${end.output}`);
    return NO_MACHINE;
  } catch (error) {
    // What fails now is the consequence.
    if (signal.aborted) return INTERRUPTED;
    throw error;
  } finally {
    serving?.stop();
    await folder.close();
    await onlooker?.close();
  }
}

async function exitCode(
  args: readonly string[],
  open: OpenMachineOnlooker | null,
): Promise<number> {
  try {
    const command = parseVmCommand(args, NAMES, (text) => stdout.write(text));
    return command === null ? LEFT : await run(command, args, open);
  } catch (error) {
    if (error instanceof VmError || error instanceof GuestError) {
      stderr.write(`${error.message}\n`);
      return NO_MACHINE;
    }
    return tellFailure(COMMAND, error);
  }
}

/** The whole command: boots, and ends the process. `open` brings the dashboard, where there is one. */
export async function vmCommand(
  args: readonly string[],
  open: OpenMachineOnlooker | null = null,
): Promise<never> {
  endWhenUncaught(COMMAND);
  Deno.exit(tellUnwritten(stdout, stderr, await exitCode(args, open)));
}

if (import.meta.main) await vmCommand(Deno.args);
