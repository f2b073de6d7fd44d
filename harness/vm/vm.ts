/**
 * A virtual machine: stock QEMU, a Debian kernel, and our agent in it. It always
 * ends with its object, and with this process however that ends.
 * @module
 */

import { ConsoleLimit } from "./console_limit.ts";
import { consoleTail } from "./console_log.ts";
import { within } from "./deadline.ts";
import { SILENT } from "./fetch/listener.ts";
import { Guest, type GuestBoot, GuestError } from "./guest.ts";
import { guestImage } from "./image/guest_image.ts";
import { Qmp } from "./qmp.ts";
import { qemuCommand, type VmFiles } from "./qemu.ts";
import { Supervised } from "./supervised.ts";
import { noTemporaryFolder, VmError } from "./vm_error.ts";
import { modulesFor, qemuArguments, type VmOptions, type VmPaths, vmPaths } from "./vm_options.ts";

const BOOT_TIMEOUT_MS = 60_000;
const SILENCE_MS = 20_000;
/** Lines of the console in errors. */
const TAIL_LINES = 25;
/** Between two looks at how long the console's log has become. */
const LOOK_MS = 1000;
/** How long QEMU may take to end: asked, then told, then killed. */
const QUIT_MS = 2000;
const TERMINATE_MS = 1000;
/** How long QEMU may take to come up. */
const START_MS = 20_000;

/** How a machine ended. */
export interface VmEnd {
  /** As the shell would say it. */
  readonly code: number;
  /** The signal that ended QEMU, or null. */
  readonly signal: Deno.Signal | null;
  /** What QEMU printed. */
  readonly output: string;
}

/** A machine that runs. */
export class Vm implements AsyncDisposable {
  readonly #process: Supervised;
  readonly #paths: VmPaths;
  readonly #bootTimeoutMs: number;
  /** QEMU's monitor. */
  readonly qmp: Qmp;
  /** What runs in it. */
  readonly guest: Guest;
  /** The console's other end; null unless it is interactive. */
  readonly console: Deno.Conn | null;
  /** Resolves when QEMU has ended, for whatever reason. */
  readonly ended: Promise<VmEnd>;
  /** From QEMU's start to the agent's first hello, in milliseconds of the wall's clock. */
  bootMs = 0;
  #stopping: Promise<VmEnd> | null = null;

  private constructor(
    process: Supervised,
    paths: VmPaths,
    connections: Connections,
    options: VmOptions,
  ) {
    this.#process = process;
    this.#paths = paths;
    this.#bootTimeoutMs = options.bootTimeoutMs ?? BOOT_TIMEOUT_MS;
    this.qmp = connections.qmp;
    this.console = connections.console;
    this.guest = new Guest(connections.agent, {
      silenceMs: options.silenceMs ?? SILENCE_MS,
      consoleTail: () => this.consoleTail(),
    });
    this.qmp.onEvent(({ name }) => {
      if (name === "RESET") this.guest.wasReset();
    });
    const limit = new ConsoleLimit(paths.consoleLog);
    const looking = setInterval(() => limit.look(), LOOK_MS);
    this.ended = process.ended.then(async ({ code, signal }) => {
      clearInterval(looking);
      this.qmp.close();
      this.guest.close();
      await Promise.all([this.qmp.ended, this.guest.ended]);
      if (this.console !== null) closeQuietly(this.console);
      return { code, signal, output: await process.output };
    });
  }

  /**
   * Fetches what is missing, boots, and waits for the agent.
   * @throws {VmError | GuestError}; the reason of `files.signal` when that is aborted: nothing is left then
   */
  static async start(
    options: VmOptions = {},
    files: VmFiles = { network: "allowed", listener: SILENT },
  ): Promise<Vm> {
    const qemu = await qemuCommand(files);
    const image = await guestImage({ ...options.image, modules: modulesFor(options) }, files);
    const folder = await Deno.makeTempDir({ prefix: "viaduct-vm-" }).catch((error) => {
      throw noTemporaryFolder(error);
    });
    const began = performance.now();
    let process: Supervised | null = null;
    const { signal } = files;
    const breakOff = (): void => process?.kill("SIGKILL");
    signal?.addEventListener("abort", breakOff);
    try {
      signal?.throwIfAborted();
      const paths = vmPaths(folder);
      options.onConsole?.(paths.consoleLog);
      const args = [...qemu.args, ...qemuArguments(options, image, paths)];
      using sockets = listen(options, paths);
      process = new Supervised(qemu.program, args, { folder, env: qemu.env });
      const connections = await connect(process, sockets);
      sockets[Symbol.dispose]();
      const vm = new Vm(process, paths, connections, options);
      try {
        await vm.guest.ready(vm.#bootTimeoutMs);
      } catch (error) {
        const { output } = await vm.stop();
        throw error instanceof GuestError ? bootError(error, output, options) : error;
      }
      vm.bootMs = performance.now() - began;
      return vm;
    } catch (error) {
      process?.kill("SIGKILL");
      await process?.ended;
      await removeFolder(folder);
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", breakOff);
    }
  }

  /** QEMU's process ID. */
  get pid(): number {
    return this.#process.pid;
  }

  /** The file of the console's log: of one that has grown long, the beginning and the end. */
  get consoleLog(): string {
    return this.#paths.consoleLog;
  }

  /** The last lines of the guest's console. */
  consoleTail(lines: number = TAIL_LINES): string {
    return consoleTail(this.#paths.consoleLog, lines);
  }

  /** Presses the reset button, and waits until the guest is up again. @throws {GuestError} */
  async systemReset(): Promise<GuestBoot> {
    const before = this.guest.boot;
    await this.qmp.execute("system_reset");
    return await this.guest.ready(this.#bootTimeoutMs, before);
  }

  /** Has the guest reboot itself, and waits until it is up again. @throws {GuestError} */
  async reboot(): Promise<GuestBoot> {
    const before = this.guest.boot;
    // The command ends with its guest.
    this.guest.start("reboot -f");
    return await this.guest.ready(this.#bootTimeoutMs, before);
  }

  /** Has the guest switch itself off, and waits for QEMU's end. @throws {GuestError} `timeout` */
  async powerOff(): Promise<VmEnd> {
    this.guest.start("poweroff -f");
    const end = await within(this.ended, this.#bootTimeoutMs, null);
    if (end === null) {
      throw new GuestError("timeout", "The guest does not switch itself off", this.consoleTail());
    }
    return end;
  }

  /** Ends QEMU: asks it to quit, then terminates, then kills it. Idempotent. */
  stop(): Promise<VmEnd> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<VmEnd> {
    this.qmp.execute("quit").catch(() => {});
    if (await within(this.ended, QUIT_MS, null) === null) {
      this.#process.kill("SIGTERM");
      if (await within(this.ended, TERMINATE_MS, null) === null) this.#process.kill("SIGKILL");
    }
    const end = await this.ended;
    await removeFolder(this.#paths.folder);
    return end;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Why a boot came to nothing, with what QEMU has printed, and how to go on. */
function bootError(
  { code, what, consoleTail }: GuestError,
  output: string,
  { accelerator }: VmOptions,
): GuestError {
  const said = output === "" ? what : `${what} (QEMU says: ${output.trim()})`;
  const mend = accelerator === "kvm"
    ? "leave --kvm out: inside a virtual machine it often starts, and fails then"
    : "`export VIADUCT_CACHE=/a/new/folder` has all fetched and built anew, should the cache be damaged";
  return new GuestError(code, said, consoleTail, mend);
}

/** QEMU's sockets, on which it connects to us: there is no moment at which one is not there yet. */
interface Sockets extends Disposable {
  readonly qmp: Deno.Listener;
  readonly agent: Deno.Listener;
  readonly console: Deno.Listener | null;
}

interface Connections {
  readonly qmp: Qmp;
  readonly agent: Deno.Conn;
  readonly console: Deno.Conn | null;
}

function listen(options: VmOptions, paths: VmPaths): Sockets {
  using opened = new DisposableStack();
  const at = (path: string): Deno.Listener => opened.use(Deno.listen({ transport: "unix", path }));
  const sockets = {
    qmp: at(paths.qmp),
    agent: at(paths.agent),
    console: options.console === "interactive" ? at(paths.console) : null,
  };
  const kept = opened.move();
  return { ...sockets, [Symbol.dispose]: () => kept.dispose() };
}

async function connect(process: Supervised, sockets: Sockets): Promise<Connections> {
  const accepted: Deno.Conn[] = [];
  const accept = async (socket: Deno.Listener): Promise<Deno.Conn> => {
    const conn = await socket.accept();
    accepted.push(conn);
    return conn;
  };
  const opened = (async (): Promise<Connections> => {
    const [qmp, agent, console] = await Promise.all([
      accept(sockets.qmp),
      accept(sockets.agent),
      sockets.console === null ? null : accept(sockets.console),
    ]);
    return { qmp: await Qmp.open(qmp), agent, console };
  })();
  // QEMU connects before it looks at its devices, and hangs up when it refuses them.
  const refused = opened.then(() => false, () => true);
  const ended = process.ended.then(() => true);
  if (!await within(Promise.race([refused, ended]), START_MS, true)) return await opened;
  process.kill("SIGTERM");
  if (await within(ended, TERMINATE_MS, false) === false) process.kill("SIGKILL");
  const { code, signal } = await process.ended;
  const output = (await process.output).trim();
  accepted.forEach(closeQuietly);
  throw new VmError(
    `Cannot start QEMU: it ended with ${signal ?? `exit code ${code}`}` +
      (output === "" ? "" : ` and said:\n${output}`),
    "see what QEMU says of its arguments; `VIADUCT_CACHE=/tmp/new` tries a fresh one",
  );
}

async function removeFolder(folder: string): Promise<void> {
  await Deno.remove(folder, { recursive: true }).catch(() => {});
}

function closeQuietly(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // Its user has closed it.
  }
}
