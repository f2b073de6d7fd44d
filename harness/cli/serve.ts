/**
 * `deno task serve`: devices on vfio-user sockets, for QEMU and other clients. A thread of its own
 * serves them (`serve_worker.ts`); this one listens to signals.
 * @module
 */

import { isAbsolute, join, toFileUrl } from "@std/path";
import { edu } from "../../devices/edu/mod.ts";
import { streamer } from "../../devices/streamer/mod.ts";
import { type ReactorHandle, stopReactor } from "../../protocols/linux/reactor.ts";
import { privateDirectory } from "../../protocols/linux/unix_socket.ts";
import { describeError } from "../run/describe_error.ts";
import type { ServedDevice, ServeReport, ServeStart } from "./serve_messages.ts";
import { parseServeCommand, type ServeCommand } from "./serve_options.ts";
import { didYouMean } from "./suggest.ts";
import { Terminal } from "./terminal.ts";
import { UsageError } from "./usage_error.ts";

/** Exit codes (DESIGN.md, 5). */
const ENDED = 0, USAGE = 2, INTERNAL = 3, INTERRUPTED = 130;

/** Devices that need no path. */
const DEVICES = [edu, streamer];
/** Of the devices that need no path. */
export const NAMES: readonly string[] = DEVICES.map(({ type }) => type).sort();

/** Milliseconds that QEMU waits for a reply before it gives the connection up (spec/09 rule 6). */
const MESSAGE_TIMEOUT_MS = 60_000;

const stdout = new Terminal(Deno.stdout);
const stderr = new Terminal(Deno.stderr);

/** Where a device comes from. @throws {UsageError} for a name that is not known */
export function locate(name: string): ServeStart["devices"][number] {
  if (name.includes("/") || name.endsWith(".ts")) {
    const path = isAbsolute(name) ? name : join(Deno.cwd(), name);
    try {
      if (Deno.statSync(path).isFile) return { name, module: toFileUrl(path).href, type: null };
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    throw new UsageError(`Cannot serve ${name}: there is no such file`);
  }
  const known = DEVICES.find(({ type }) => type === name);
  if (known === undefined) {
    throw new UsageError(
      `There is no device ${name}${didYouMean(name, NAMES)}; there are ${NAMES.join(", ")}, ` +
        "and files that export one",
    );
  }
  return { name, module: known.module, type: known.type };
}

/** Makes the directory, for its owner alone. @throws {UsageError} when it cannot be used */
function prepare(socketDir: string): string {
  const path = isAbsolute(socketDir) ? socketDir : join(Deno.cwd(), socketDir);
  try {
    privateDirectory(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(
      reason.startsWith("Cannot") ? reason : `Cannot make the directory ${socketDir}: ${reason}`,
    );
  }
  return path;
}

/** An argument as a POSIX shell takes it. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** QEMU's arguments for the devices, one a line (spec/09 rules 5 and 6). */
export function qemuArguments(devices: readonly ServedDevice[]): string {
  const lines = [
    "-object memory-backend-memfd,id=mem,size=512M,share=on",
    "-machine q35,memory-backend=mem",
    ...devices.map(({ path }) => {
      const device = {
        driver: "vfio-user-pci",
        socket: { path, type: "unix" },
        "x-msg-timeout": MESSAGE_TIMEOUT_MS,
      };
      return `-device ${quoted(JSON.stringify(device))}`;
    }),
  ];
  return lines.join("\n") + "\n";
}

/** Serves until it ends, by itself or by a signal. @returns the exit code */
function run(command: ServeCommand): Promise<number> {
  const start: ServeStart = {
    devices: command.devices.map(locate),
    socketDir: prepare(command.socketDir),
    spin: command.spin,
    messages: command.messages,
  };
  const { promise, resolve } = Promise.withResolvers<number>();
  const worker = new Worker(import.meta.resolve("./serve_worker.ts"), { type: "module" });
  let handle: ReactorHandle | null = null;
  let code = ENDED;
  let asked = false;
  const stop = (exitCode: number) => {
    // Who asks twice has waited long enough.
    if (asked) Deno.exit(exitCode);
    asked = true;
    code = exitCode;
    if (handle !== null) stopReactor(handle);
  };
  Deno.addSignalListener("SIGINT", () => stop(INTERRUPTED));
  Deno.addSignalListener("SIGTERM", () => stop(ENDED));
  Deno.addSignalListener("SIGHUP", () => stop(ENDED));
  worker.onerror = (event) => {
    event.preventDefault();
    stderr.write(`Internal error of the server: ${event.message}\n`);
    resolve(INTERNAL);
  };
  worker.onmessage = ({ data }: MessageEvent<ServeReport>) => {
    switch (data.kind) {
      case "listening":
        handle = data.handle;
        if (asked) stopReactor(handle);
        else stdout.write(qemuArguments(data.devices) + "ready\n");
        break;
      case "ended":
        resolve(code);
        break;
      case "refused":
        stderr.write(`${data.message}\nSee deno task serve --help\n`);
        resolve(USAGE);
        break;
      case "failed":
        stderr.write(`Internal error of the server: ${data.message}\n`);
        resolve(INTERNAL);
        break;
    }
  };
  worker.postMessage(start);
  return promise;
}

async function exitCode(args: readonly string[]): Promise<number> {
  try {
    const command = parseServeCommand(args, NAMES, (text) => stdout.write(text));
    return command === null ? ENDED : await run(command);
  } catch (error) {
    if (error instanceof UsageError) {
      stderr.write(`${error.message}\nSee deno task serve --help\n`);
      return USAGE;
    }
    stderr.write(`Internal error of the server: ${describeError(error)}\n`);
    return INTERNAL;
  }
}

if (import.meta.main) Deno.exit(await exitCode(Deno.args));
