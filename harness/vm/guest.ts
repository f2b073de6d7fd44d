/**
 * The guest as the harness talks to it: programs to run, and whether it is alive.
 * @module
 */

import { encodeBase64 } from "./base64.ts";
import { within } from "./deadline.ts";
import { type GuestExit, GuestProcess } from "./guest_process.ts";
import {
  AGENT_LINE_LIMIT,
  AGENT_VERSION,
  type AgentOperation,
  type AgentRequest,
  COMMAND_LIMIT,
  parseAgentLine,
} from "./guest_protocol.ts";
import { LineSocket } from "./line_socket.ts";

/** What a command came to. */
export interface GuestResult extends GuestExit {
  /** As UTF-8. */
  readonly stdout: string;
  /** As UTF-8. */
  readonly stderr: string;
  readonly stdoutBytes: Uint8Array;
}

/** How a command is run. */
export interface RunOptions {
  /** Given to it whole; nothing unless told. */
  readonly stdin?: string | Uint8Array;
  /** Wall-clock milliseconds, after which it is killed; 30 000 unless told. */
  readonly timeoutMs?: number;
}

/** The guest failed, not a command in it: it hung, was reset, or its machine ended. */
export class GuestError extends Error {
  override readonly name = "GuestError";

  /** `consoleTail` are the last lines of its console; `mend` is as in `VmError`. */
  constructor(
    readonly code: "silent" | "reset" | "gone" | "timeout" | "protocol",
    readonly what: string,
    readonly consoleTail: string,
    mend?: string,
  ) {
    super(
      (consoleTail === ""
        ? `${what}; its console is empty`
        : `${what}. The end of its console:\n${consoleTail}`) +
        (mend === undefined ? "" : `\nTo mend it: ${mend}`),
    );
  }
}

/** How a guest is watched. */
export interface GuestOptions {
  /** Milliseconds without a sign of life after which it counts as hung. It beats once a second. */
  readonly silenceMs: number;
  /** The last lines of its console, for errors. */
  readonly consoleTail: () => string;
}

/** A boot of the guest, as its agent tells of it. */
export interface GuestBoot {
  /** Differs from boot to boot. */
  readonly number: number;
  /** Milliseconds from the kernel's start to the agent's hello. */
  readonly uptimeMs: number;
}

/** How often the silence is looked at while something is under way. */
const WATCH_MS = 500;
/** What one look may add to the silence: where we were busy ourselves, the guest may have spoken. */
const LOOK_MS = 2 * WATCH_MS;

/** The harness's end of the agent. */
export class Guest {
  readonly #socket: LineSocket;
  readonly #options: GuestOptions;
  readonly #processes = new Map<number, GuestProcess>();
  #nextId = 1;
  #boot: GuestBoot | null = null;
  #gone: GuestError | null = null;
  /** Since the guest was last heard of, as far as we listened. */
  #silentMs = 0;
  #watch: ReturnType<typeof setInterval> | undefined;
  #waiters: (() => void)[] = [];
  /** Lines that were no message, for {@linkcode GuestError}. */
  #garbled = 0;
  /** Since the last hello. */
  #resets = 0;
  /** None in the first boot. Later one that ends a boot, and one by SeaBIOS, which finds itself in use. */
  #resetsAllowed = 0;
  /** Why the boot that goes on will come to nothing. */
  #broken: GuestError | null = null;

  constructor(conn: Deno.Conn, options: GuestOptions) {
    this.#options = options;
    this.#socket = new LineSocket(conn, AGENT_LINE_LIMIT, {
      line: (text) => this.#line(text),
      end: (reason) => this.#end("gone", `The guest's machine ended: ${reason}`),
    });
  }

  /** The boot that runs now, or null while there is none. */
  get boot(): GuestBoot | null {
    return this.#boot;
  }

  /**
   * Waits for an agent other than `after`'s.
   * @throws {GuestError} `timeout`; `reset` when the boot breaks off; `gone` when the machine ends
   */
  async ready(timeoutMs: number, after: GuestBoot | null = null): Promise<GuestBoot> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      if (this.#gone !== null) throw this.#gone;
      if (this.#boot !== null && this.#boot.number !== after?.number) return this.#boot;
      if (this.#broken !== null) throw this.#broken;
      const left = deadline - performance.now();
      if (left <= 0) {
        const garbled = this.#garbled > 0 ? ` (${this.#garbled} lines of it made no sense)` : "";
        throw this.#error(
          "timeout",
          `The guest's agent did not say hello within ${timeoutMs / 1000} s${garbled}`,
        );
      }
      await within(new Promise<void>((resolve) => this.#waiters.push(resolve)), left, undefined);
    }
  }

  /**
   * Runs a shell command to its end. A command that fails is a result, not an error.
   * @throws {GuestError} when the guest hangs, is reset or ends, or the command takes too long
   */
  async run(command: string, options: RunOptions = {}): Promise<GuestResult> {
    const timeoutMs = options.timeoutMs ?? 30_000;
    const process = this.start(command);
    if (options.stdin !== undefined) void process.write(options.stdin);
    void process.closeStdin();
    const exit = await within(process.exited, timeoutMs, null);
    if (exit === null) {
      process.signal(9);
      throw this.#error(
        "timeout",
        `Cannot finish ${JSON.stringify(command)} in the guest within ${timeoutMs / 1000} s` +
          shownOutput(process),
      );
    }
    const stdoutBytes = process.takeStdout();
    const text = new TextDecoder();
    return {
      ...exit,
      stdout: text.decode(stdoutBytes),
      stderr: text.decode(process.takeStderr()),
      stdoutBytes,
    };
  }

  /**
   * Starts a shell command and leaves it running.
   * @throws {GuestError} when the guest is not there
   * @throws {RangeError} when the command is longer than 64 KiB: what is long goes to stdin
   */
  start(command: string): GuestProcess {
    const bytes = new TextEncoder().encode(command);
    if (bytes.length > COMMAND_LIMIT) {
      throw new RangeError(
        `Cannot run a command of ${bytes.length} bytes: want ${COMMAND_LIMIT} at most`,
      );
    }
    if (this.#gone !== null) throw this.#gone;
    const boot = this.#boot?.number;
    if (boot === undefined) {
      throw this.#error("reset", `Cannot run ${JSON.stringify(command)}: the guest is starting`);
    }
    const id = this.#nextId++;
    const send = (operation: AgentOperation): void => {
      const request: AgentRequest = { boot, id, ...operation };
      this.#socket.send(JSON.stringify(request));
    };
    const process = new GuestProcess(command, {
      stdin: (data) => send({ op: "stdin", data }),
      close: () => send({ op: "close" }),
      signal: (signal) => send({ op: "signal", signal }),
    });
    this.#processes.set(id, process);
    const forget = (): void => {
      this.#processes.delete(id);
      if (this.#processes.size === 0) this.#stopWatch();
    };
    process.exited.then(forget, forget);
    this.#startWatch();
    send({ op: "start", command: encodeBase64(bytes) });
    return process;
  }

  /**
   * For {@linkcode Vm}: the machine was reset. What ran is gone; a new hello will come,
   * unless this was within a boot: then the kernel has given up, and would again.
   */
  wasReset(): void {
    this.#resets++;
    if (this.#resets > this.#resetsAllowed) {
      this.#broken = this.#error("reset", "The guest was reset before its agent said hello");
      this.#wakeAll();
    }
    this.#boot = null;
    this.#failAll(this.#error("reset", "The guest was reset"));
  }

  /** Ends the conversation. Idempotent. */
  close(): void {
    this.#socket.close();
    this.#stopWatch();
  }

  /** Resolves when the conversation is over. */
  get ended(): Promise<void> {
    return this.#socket.ended;
  }

  #line(text: string): void {
    this.#silentMs = 0;
    if (text === "") return;
    const message = parseAgentLine(text);
    if (message === null) {
      this.#garbled++;
      return;
    }
    switch (message.kind) {
      case "ready":
        if (message.version !== AGENT_VERSION) {
          this.#end(
            "protocol",
            `The guest's agent speaks version ${message.version}, not ${AGENT_VERSION}`,
          );
          return;
        }
        this.#failAll(this.#error("reset", "The guest started anew"));
        this.#broken = null;
        this.#resets = 0;
        this.#resetsAllowed = 2;
        this.#boot = { number: message.boot, uptimeMs: message.uptimeMs };
        this.#wakeAll();
        break;
      case "beat":
        break;
      case "output":
        this.#processes.get(message.id)?.output(message.stream === 1 ? 1 : 2, message.data);
        break;
      case "taken":
        this.#processes.get(message.id)?.taken();
        break;
      case "exit": {
        const signal = message.signal ?? null;
        const code = message.code ?? 128 + (signal ?? 0);
        this.#processes.get(message.id)?.exit({ code, signal });
        break;
      }
      case "error": {
        const what = `The guest's agent cannot ${message.what}: ${message.reason}`;
        const error = this.#error("protocol", what);
        // A line that it could not read may have been anyone's.
        if (message.id === 0) this.#failAll(error);
        else this.#processes.get(message.id)?.fail(error);
        break;
      }
    }
  }

  #startWatch(): void {
    if (this.#watch !== undefined) return;
    this.#silentMs = 0;
    let lookedAt = performance.now();
    this.#watch = setInterval(() => {
      const now = performance.now();
      this.#silentMs += Math.min(now - lookedAt, LOOK_MS);
      lookedAt = now;
      const silentMs = this.#silentMs;
      if (silentMs < this.#options.silenceMs) return;
      const commands = [...this.#processes.values()].map(({ command }) => JSON.stringify(command));
      const what = `The guest hangs: nothing heard for ${(silentMs / 1000).toFixed(0)} s while ` +
        `it ran ${commands.join(", ")}`;
      this.#failAll(this.#error("silent", what));
    }, WATCH_MS);
  }

  #stopWatch(): void {
    clearInterval(this.#watch);
    this.#watch = undefined;
  }

  #error(code: GuestError["code"], what: string): GuestError {
    return new GuestError(code, what, this.#options.consoleTail());
  }

  #end(code: GuestError["code"], what: string): void {
    this.#gone ??= this.#error(code, what);
    this.#boot = null;
    this.#failAll(this.#gone);
    this.#wakeAll();
    this.close();
  }

  #failAll(error: GuestError): void {
    for (const process of [...this.#processes.values()]) process.fail(error);
  }

  #wakeAll(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }
}

/** What a command that took too long has printed so far. */
function shownOutput(process: GuestProcess): string {
  const text = new TextDecoder();
  const printed = text.decode(process.takeStdout()) + text.decode(process.takeStderr());
  return printed === "" ? ", which printed nothing" : `, which printed:\n${printed.slice(-2000)}`;
}
