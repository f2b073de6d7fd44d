/**
 * `deno task serve`: devices on vfio-user sockets, for QEMU and other clients. A thread of its own
 * serves them (`serve_worker.ts`); this one listens to signals.
 * @module
 */

import { isAbsolute, join, toFileUrl } from "@std/path";
import { thrownMessage } from "../../core/thrown.ts";
import { edu } from "../../devices/edu/mod.ts";
import { requesterId } from "../../devices/pci/bdf.ts";
import { streamer } from "../../devices/streamer/mod.ts";
import { privateDirectory } from "../../protocols/linux/unix_socket.ts";
import { ServerObservation } from "../observe/server_observation.ts";
import { shellWord, taskCommand } from "../task_command.ts";
import { vfioUserPci } from "../vm/vfio_user_pci.ts";
import { endWhenUncaught, tellFailure, tellUnwritten } from "./command_failure.ts";
import { type EndSignal, onEndSignal } from "./end_signals.ts";
import { INTERRUPTED } from "./exit_code.ts";
import type { MachineOnlooker, OpenMachineOnlooker, WatchedMachine } from "./machine_onlooker.ts";
import type { ServedDevice, ServeStart } from "./serve_messages.ts";
import { parseServeCommand, type ServeCommand } from "./serve_options.ts";
import { type ServingThread, startServing } from "./serving_thread.ts";
import { didYouMean } from "./suggest.ts";
import { Terminal } from "./terminal.ts";
import { UsageError } from "./usage_error.ts";

/** Exit code (DESIGN.md, 5), beside those of `exit_code.ts`. */
const ENDED = 0;

/** Devices that need no path. */
const DEVICES = [edu, streamer];
/** Of the devices that need no path. */
export const NAMES: readonly string[] = DEVICES.map(({ type }) => type).sort();

/** Where the first device stands, as behind an IOMMU; the others follow (DESIGN.md, 5). */
const FIRST_ENDPOINT = requesterId(0, 4);

const stdout = new Terminal(Deno.stdout);
const stderr = new Terminal(Deno.stderr);
const COMMAND = { task: "serve", culprit: "the server", stderr };

/** Where a device comes from. @throws {UsageError} for a name that is not known */
export function locate(name: string): ServeStart["devices"][number] {
  if (name.includes("/") || name.endsWith(".ts")) {
    const path = isAbsolute(name) ? name : join(Deno.cwd(), name);
    let reason = "it is no file; name one that exports a device";
    try {
      if (Deno.statSync(path).isFile) return { name, module: toFileUrl(path).href, type: null };
    } catch (error) {
      reason = error instanceof Deno.errors.NotFound
        ? "there is no such file"
        : thrownMessage(error);
    }
    throw new UsageError(`Cannot serve ${name}: ${reason}`);
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

/** QEMU's arguments for the devices, one a line (spec/09 rules 5 and 6). */
export function qemuArguments(devices: readonly ServedDevice[]): string {
  const lines = [
    "-object memory-backend-memfd,id=mem,size=512M,share=on",
    "-machine q35,memory-backend=mem",
    ...devices.map(({ path }) => `-device ${shellWord(JSON.stringify(vfioUserPci(path)))}`),
  ];
  return lines.join("\n") + "\n";
}

function describe(command: ServeCommand, args: readonly string[]): WatchedMachine {
  const names = command.devices.join(", ");
  return {
    name: `serve ${names}`,
    title: `vfio-user ${command.devices.length > 1 ? "servers" : "server"} of ${names}. ` +
      "An address here is the device's number; the bus of its client gives it another",
    command: taskCommand("serve", args),
    kind: "server",
    mode: "remap",
    via: "vfio-user",
  };
}

/** Brings the dashboard, where it is wanted. */
async function openOnlooker(
  command: ServeCommand,
  args: readonly string[],
  observation: ServerObservation,
  open: OpenMachineOnlooker | null,
): Promise<MachineOnlooker | null> {
  if (command.dashboard === null) return null;
  if (open === null) {
    throw new UsageError("Cannot serve --dashboard from here: start it as deno task serve");
  }
  return await open(describe(command, args), observation, command.dashboard);
}

/** Serves until it ends, by itself or by a signal. @returns the exit code */
async function run(
  command: ServeCommand,
  args: readonly string[],
  open: OpenMachineOnlooker | null,
): Promise<number> {
  const start: Omit<ServeStart, "watch" | "logRoom"> = {
    devices: command.devices.map(locate),
    firstEndpoint: FIRST_ENDPOINT,
    socketDir: prepare(command.socketDir),
    spin: command.spin,
    messages: command.messages,
  };
  let serving: ServingThread | null = null;
  let code = ENDED;
  const stopping = new AbortController();
  const { signal } = stopping;
  const codeOf = (name: EndSignal): number => name === "SIGINT" ? INTERRUPTED : ENDED;
  const stop = (name: EndSignal): void => {
    code = codeOf(name);
    stopping.abort();
    serving?.stop();
  };
  // Who asks twice has waited long enough.
  onEndSignal(stop, (name) => Deno.exit(codeOf(name)));
  const observation = new ServerObservation();
  const onlooker = await openOnlooker(command, args, observation, open);
  try {
    // What stdout carries is for programs.
    if (onlooker !== null) stderr.write(`dashboard ${onlooker.link}\n`);
    serving = await startServing(start, onlooker === null ? null : observation, signal);
    if (signal.aborted) serving.stop();
    else {
      const results = serving.takesStdout ? stderr : stdout;
      results.write(qemuArguments(serving.devices) + "ready\n");
    }
    await serving.ended;
    return code;
  } catch (error) {
    if (signal.aborted && error === signal.reason) return code;
    throw error;
  } finally {
    await onlooker?.close();
  }
}

async function exitCode(
  args: readonly string[],
  open: OpenMachineOnlooker | null,
): Promise<number> {
  try {
    const command = parseServeCommand(args, NAMES, (text) => stdout.write(text));
    return command === null ? ENDED : await run(command, args, open);
  } catch (error) {
    return tellFailure(COMMAND, error);
  }
}

/** The whole command: serves, and ends the process. `open` brings the dashboard, where there is one. */
export async function serveCommand(
  args: readonly string[],
  open: OpenMachineOnlooker | null = null,
): Promise<never> {
  endWhenUncaught(COMMAND);
  Deno.exit(tellUnwritten(stdout, stderr, await exitCode(args, open)));
}

if (import.meta.main) await serveCommand(Deno.args);
