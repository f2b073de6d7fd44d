/**
 * The process that devices live in via `vfio-user`: started by a process that runs scenarios,
 * serves one machine after the other, and ends with it. Its argument is the directory of its
 * sockets, which it makes, and which goes with it.
 *
 * One loop has all sockets, the control socket as well as those of the devices. It waits in
 * the kernel and not in the event loop, so what needs that, importing a device's module and
 * looking for errors that nobody has caught, stands between two stretches of the loop.
 *
 * @module
 */

import type { DeviceType } from "../../devices/pci/pci_device.ts";
import {
  liveDescriptors,
  liveMappings,
  POLLIN,
  POLLOUT,
  Reactor,
  UnixListener,
  type UnixStream,
} from "../../protocols/linux/mod.ts";
import { thrownName } from "../../core/thrown.ts";
import { describeBriefly, describeError } from "../run/describe_error.ts";
import { JsonLines, MAX_LINE } from "./json_lines.ts";
import { memoryFiles } from "./memory_files.ts";
import { removeDirectory } from "../folder/remove_directory.ts";
import {
  type ControlMessage,
  type ControlReply,
  type ControlRequest,
  controlSocket,
  type Happened,
  parseRequest,
} from "./vfio_user_control.ts";
import { VfioUserHost } from "./vfio_user_host.ts";

const [directory = ""] = Deno.args;
const NOTHING: Happened = {
  faults: [],
  errors: [],
  dma: [],
  invalidations: [],
  dropped: 0,
  messages: [],
  messagesLost: 0,
};

const reactor = new Reactor({
  onError: (error) => {
    if (host === null) throw error;
    host.deviceError("the server", error);
  },
});
let host: VfioUserHost | null = null;
const control = new JsonLines(arrival());
/** What was open when the machine was made. */
let before = openNow();
/** What has to be done outside the loop. */
const outside: (() => Promise<unknown>)[] = [];

interface OpenNow {
  readonly descriptors: number;
  readonly mappings: number;
  readonly files: ReadonlyMap<string, number>;
}

function openNow(): OpenNow {
  return { descriptors: liveDescriptors(), mappings: liveMappings(), files: memoryFiles() };
}

/** Makes the directory, listens in it, and gives the harness's connection. */
function arrival(): UnixStream {
  try {
    Deno.mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    complain(error);
    Deno.exit(1);
  }
  // Not before: what it removes, nobody makes after it.
  new Worker(import.meta.resolve("./vfio_user_watch.ts"), { type: "module", name: directory });
  try {
    using listener = UnixListener.listen(controlSocket(directory));
    let arrived: UnixStream | null = null;
    const registration = reactor.add(listener.fd, POLLIN, () => {
      const stream = listener.accept({ receiveLimit: MAX_LINE, sendLimit: MAX_LINE });
      if (typeof stream !== "number") arrived = stream;
    });
    while (arrived === null) reactor.turn();
    registration.remove();
    return arrived;
  } catch (error) {
    fail(error);
  }
}

function complain(error: unknown): void {
  try {
    Deno.stderr.writeSync(new TextEncoder().encode(`${describeError(error)}\n`));
  } catch {
    // Nobody reads it any more: that is why.
  }
}

function fail(error: unknown): never {
  complain(error);
  leave(1);
}

/** The harness is gone, or says what cannot be understood. */
function leave(code: number): never {
  removeDirectory(directory);
  Deno.exit(code);
}

function machine(): VfioUserHost {
  if (host === null) throw new Error("There is no machine: begin one first");
  return host;
}

async function deviceType(module: string, type: string): Promise<DeviceType<unknown, unknown>> {
  const exports = await import(module) as Record<string, unknown>;
  for (const value of Object.values(exports)) {
    const found = value as Partial<DeviceType<unknown, unknown>> | null | undefined;
    if (found?.type === type && typeof found.create === "function") {
      return found as DeviceType<unknown, unknown>;
    }
  }
  throw new Error(`Cannot find device ${type}: ${module} exports no device of that type`);
}

/** Known from earlier: a module is imported once. */
const types = new Map<string, DeviceType<unknown, unknown>>();

/** The result, or a promise that needs the event loop. */
function execute(request: ControlRequest): unknown | (() => Promise<unknown>) {
  switch (request.kind) {
    case "begin":
      host?.end();
      host = null;
      before = openNow();
      host = new VfioUserHost(reactor, request);
      return {};
    case "plug": {
      const key = `${request.type} ${request.module}`;
      const known = types.get(key);
      if (known !== undefined) return machine().plug(request, known);
      return async () => {
        const type = await deviceType(request.module, request.type);
        types.set(key, type);
        return machine().plug(request, type);
      };
    }
    case "unplug":
      machine().unplug(request.endpoint);
      return {};
    case "advance":
      machine().advance(request.ms);
      return {};
    case "sync":
      return {};
    case "inspect":
      return machine().inspect(request.endpoint);
    case "counters":
      return machine().counters();
    case "look":
      return machine().look();
    case "tell":
      machine().tell(request.path);
      return {};
    case "settle":
      return async () => {
        // Rejections that nobody handles surface once the tasks now queued have run.
        for (let turn = 0; turn < 2; turn++) await new Promise((done) => setTimeout(done, 0));
        return {};
      };
    case "end": {
      machine().end();
      const left = [...machine().left(), ...leaks()];
      return { left };
    }
  }
}

function leaks(): string[] {
  const after = openNow();
  const left: string[] = [];
  const compare = (was: number, is: number, what: string): void => {
    if (is !== was) left.push(`${is} ${what}, ${was} before`);
  };
  compare(before.descriptors, after.descriptors, "descriptors in use");
  compare(before.mappings, after.mappings, "mappings in use");
  for (const [kind, count] of after.files) compare(before.files.get(kind) ?? 0, count, kind);
  return left;
}

function answer(id: number, outcome: Pick<ControlReply, "result" | "error">): void {
  const happened = host?.happened() ?? NOTHING;
  try {
    control.send({ id, ...outcome, ...happened });
  } catch (error) {
    // What a model says of itself may be no JSON, or too much of it.
    control.send({ id, ...failure(error), ...happened });
  }
  watch();
}

function failure(error: unknown): Pick<ControlReply, "error"> {
  return { error: { name: thrownName(error), message: describeBriefly(error) } };
}

function take(line: string): void {
  let message: ControlMessage;
  try {
    message = parseRequest(line);
  } catch (error) {
    fail(error);
  }
  const { id, request } = message;
  let result: unknown;
  try {
    result = execute(request);
  } catch (error) {
    return later(() => answer(id, failure(error)));
  }
  if (typeof result !== "function") return later(() => answer(id, { result }));
  const task = result as () => Promise<unknown>;
  outside.push(async () => {
    try {
      const value = await task();
      later(() => answer(id, { result: value }));
    } catch (error) {
      later(() => answer(id, failure(error)));
    }
  });
}

/** After what devices have put off to the end of the turn: then all they did can be seen. */
function later(task: () => void): void {
  reactor.post(task);
}

function watch(): void {
  registration.watch(control.stream.pendingBytes > 0 ? POLLIN | POLLOUT : POLLIN);
}

const registration = reactor.add(control.stream.fd, POLLIN, () => {
  if (control.stream.pendingBytes > 0 && control.stream.flush() < 0) leave(0);
  const lines = control.receive();
  if (lines === null) leave(0);
  for (const line of lines) take(line);
  watch();
});

for (const event of ["unhandledrejection", "error"] as const) {
  globalThis.addEventListener(event, (caught) => {
    caught.preventDefault();
    const error = caught instanceof PromiseRejectionEvent
      ? caught.reason
      : (caught as ErrorEvent).error;
    if (host === null) fail(error);
    host.deviceError("a device, where nobody caught it,", error);
  });
}

// What a device prints is for people; they find it with the run.
for (const method of ["log", "info", "debug", "dir", "table"] as const) {
  // deno-lint-ignore no-console
  console[method] = console.error.bind(console);
}

for (;;) {
  while (outside.length === 0) reactor.turn();
  await outside.shift()!();
}
