/**
 * `deno task vm`: a Linux guest in a stock QEMU, with devices of this project plugged in, and a
 * person at its console. A thread of this process serves the devices.
 * @module
 */

import { type ReactorHandle, stopReactor } from "../../protocols/linux/reactor.ts";
import { describeError } from "../run/describe_error.ts";
import { GuestError } from "../vm/guest.ts";
import { PCI_AGENT } from "../vm/image/programs.ts";
import { TerminalListener } from "../vm/fetch/terminal_listener.ts";
import { Vm } from "../vm/vm.ts";
import { VmError } from "../vm/vm_error.ts";
import { ConsoleKeys } from "./console.ts";
import { locate, NAMES } from "./serve.ts";
import type { ServedDevice, ServeReport, ServeStart } from "./serve_messages.ts";
import { Terminal } from "./terminal.ts";
import { UsageError } from "./usage_error.ts";
import { parseVmCommand, type VmCommand } from "./vm_options.ts";

/** Exit codes (DESIGN.md, 5). */
const LEFT = 0, NO_MACHINE = 1, USAGE = 2, INTERNAL = 3, INTERRUPTED = 130;

/** The first device is there, the next ones follow. */
const FIRST_SLOT = 4;
/** Of QEMU's bus 0: what comes after is the machine's own. */
const LAST_SLOT = 0x1c;

const stdout = new Terminal(Deno.stdout);
const stderr = new Terminal(Deno.stderr);

/** Devices on sockets. */
interface Served {
  readonly devices: readonly ServedDevice[];
  readonly stop: () => void;
}

/** Starts the thread that serves them. @throws {UsageError | Error} when it cannot */
async function serveDevices(command: VmCommand, socketDir: string): Promise<Served> {
  const start: ServeStart = {
    devices: command.devices.map(locate),
    socketDir,
    spin: "auto",
    messages: null,
  };
  const worker = new Worker(import.meta.resolve("./serve_worker.ts"), { type: "module" });
  const { promise, resolve, reject } = Promise.withResolvers<Served>();
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(`The thread of the devices failed: ${event.message}`));
  };
  worker.onmessage = ({ data }: MessageEvent<ServeReport>) => {
    if (data.kind === "listening") {
      const handle: ReactorHandle = data.handle;
      resolve({ devices: data.devices, stop: () => stopReactor(handle) });
    } else if (data.kind === "refused") reject(new UsageError(data.message));
    else if (data.kind === "failed") reject(new Error(data.message));
  };
  worker.postMessage(start);
  return await promise;
}

function slotOf(at: number): string {
  return (FIRST_SLOT + at).toString(16).padStart(2, "0");
}

function qemuDevices(devices: readonly ServedDevice[]): string[] {
  return devices.flatMap(({ path }, at) => [
    "-device",
    JSON.stringify({
      driver: "vfio-user-pci",
      addr: `${slotOf(at)}.0`,
      socket: { path, type: "unix" },
      "x-msg-timeout": 60_000,
    }),
  ]);
}

async function boot(command: VmCommand, devices: readonly ServedDevice[]): Promise<Vm> {
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
    }, { network, listener });
  } finally {
    listener.end();
  }
}

/** What is where in the guest, and what to try: registers of each device's first BAR. */
async function introduction(vm: Vm, devices: readonly ServedDevice[]): Promise<string> {
  const places: string[] = [];
  let example = "ls /sys/bus/pci/devices";
  let found = false;
  for (const [at, { type }] of devices.entries()) {
    const address = `0000:00:${slotOf(at)}.0`;
    const { stdout } = await vm.guest.run(
      `cd /sys/bus/pci/devices/${address} && echo 1 > enable; sed -n 1p resource`,
    );
    const bar = stdout.split(" ")[0] ?? "";
    const registers = Number(bar);
    places.push(`${type} at ${address}${registers > 0 ? `, registers at ${hex(registers)}` : ""}`);
    if (registers > 0 && !found) {
      found = true;
      example = `mmio read 4 ${hex(registers)}`;
    }
  }
  return `Linux with ${places.join("; ")}\nTry: ${example}     Ctrl-A X leaves\n`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** Keys to the guest, until they leave or their stream ends. @returns what it was */
async function type(console: Deno.Conn): Promise<"left" | "ended"> {
  const keys = new ConsoleKeys();
  const chunk = new Uint8Array(4096);
  for (;;) {
    const length = await Deno.stdin.read(chunk);
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

/** At the console until the guest ends, or its user leaves. */
async function converse(vm: Vm): Promise<void> {
  const console = vm.console!;
  const terminal = Deno.stdin.isTerminal();
  const shown = show(console);
  if (terminal) Deno.stdin.setRaw(true);
  try {
    const typed = type(console).catch(() => "left" as const);
    const over = await Promise.race([typed, vm.ended.then(() => "off" as const)]);
    if (over === "ended" && !terminal) {
      await writeAll(console, new TextEncoder().encode("\npoweroff -f\n"));
      await vm.ended;
    }
  } finally {
    if (terminal) Deno.stdin.setRaw(false);
    await vm.stop();
    await shown;
    stdout.write("\n");
  }
}

async function run(command: VmCommand): Promise<number> {
  if (command.devices.length > LAST_SLOT - FIRST_SLOT + 1) {
    throw new UsageError(
      `Cannot plug ${command.devices.length} devices in: there is room for ` +
        `${LAST_SLOT - FIRST_SLOT + 1}`,
    );
  }
  const folder = await Deno.makeTempDir({ prefix: "viaduct-" });
  let served: Served | null = null;
  let vm: Vm | null = null;
  const interrupt = () => {
    Deno.removeSync(folder, { recursive: true });
    if (vm === null) Deno.exit(INTERRUPTED);
    void vm.stop().finally(() => Deno.exit(INTERRUPTED));
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, interrupt);
  }
  try {
    served = await serveDevices(command, folder);
    vm = await boot(command, served.devices);
    stderr.write(await introduction(vm, served.devices));
    await converse(vm);
    return LEFT;
  } finally {
    served?.stop();
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
}

async function exitCode(args: readonly string[]): Promise<number> {
  try {
    const command = parseVmCommand(args, NAMES, (text) => stdout.write(text));
    return command === null ? LEFT : await run(command);
  } catch (error) {
    if (error instanceof UsageError) {
      stderr.write(`${error.message}\nSee deno task vm --help\n`);
      return USAGE;
    }
    if (error instanceof VmError || error instanceof GuestError) {
      stderr.write(`${error.message}\n`);
      return NO_MACHINE;
    }
    stderr.write(`Internal error of the virtual machine: ${describeError(error)}\n`);
    return INTERNAL;
  }
}

if (import.meta.main) Deno.exit(await exitCode(Deno.args));
