/**
 * The thread of `deno task serve`: loads the devices, and runs the reactor that serves them until it
 * is stopped. What it logs goes to stderr, and never waits for it.
 * @module
 */

import { join } from "@std/path";
import { thrownMessage } from "../../core/thrown.ts";
import { FUNCTIONS_PER_DEVICE } from "../../devices/pci/bdf.ts";
import type { DeviceType, PciDevice } from "../../devices/pci/pci_device.ts";
import { LinuxError } from "../../protocols/linux/errno.ts";
import { Reactor } from "../../protocols/linux/reactor.ts";
import type { FrameObserver } from "../../protocols/vfio_user/connection.ts";
import { ServerMachine } from "../../protocols/vfio_user/server/server_machine.ts";
import { VfioUserServer } from "../../protocols/vfio_user/server/server.ts";
import { type MessageConnection, messageFormat, MessageWriter } from "../export/message_writer.ts";
import { ServerWatch } from "../observe/server_watch.ts";
import { describeBriefly, describeError } from "../run/describe_error.ts";
import { LiveOutput } from "./live_output.ts";
import type { ServedDevice, ServeReport, ServeRequest, ServeStart } from "./serve_messages.ts";
import { ServingLog } from "./serving_log.ts";
import { UsageError } from "./usage_error.ts";

declare const self: {
  onmessage: ((event: MessageEvent<ServeRequest>) => void) | null;
  postMessage(message: ServeReport): void;
  close(): void;
};

/** The part of a device type that a server needs. */
type Loaded = Pick<DeviceType<unknown, unknown>, "type" | "create">;

function isDeviceType(value: unknown): value is Loaded {
  if (typeof value !== "object" || value === null) return false;
  const { type, create } = value as Partial<Loaded>;
  return typeof type === "string" && typeof create === "function";
}

/** A type is a file's name too. */
const TYPE = /^[a-z0-9][a-z0-9-]*$/;

async function loadOne(device: ServeStart["devices"][number]): Promise<Loaded> {
  const { name, module, type } = device;
  let exported: Record<string, unknown>;
  try {
    exported = await import(module) as Record<string, unknown>;
  } catch (error) {
    throw new UsageError(`Cannot load ${name}: ${describeBriefly(error)}`);
  }
  const found = [...new Set(Object.values(exported).filter(isDeviceType))]
    .filter((one) => type === null || one.type === type);
  const [only, ...others] = found;
  if (only === undefined) {
    throw new UsageError(`Cannot serve ${name}: it exports no device made by defineDevice()`);
  }
  if (others.length > 0) {
    throw new UsageError(
      `Cannot serve ${name}: it exports ${found.map((one) => one.type).join(", ")}; ` +
        "give each device a file of its own",
    );
  }
  if (!TYPE.test(only.type)) {
    throw new UsageError(
      `Cannot serve ${name}: its type is ${JSON.stringify(only.type)}, and must be kebab-case`,
    );
  }
  return only;
}

async function loadAll(start: ServeStart): Promise<Loaded[]> {
  const loaded: Loaded[] = [];
  for (const device of start.devices) {
    const type = await loadOne(device);
    if (loaded.some((other) => other.type === type.type)) {
      throw new UsageError(
        `Cannot serve ${device.name}: ${type.type} is named twice, and each type has one socket`,
      );
    }
    loaded.push(type);
  }
  return loaded;
}

function make(type: string, create: Loaded["create"]): PciDevice {
  try {
    return create({});
  } catch (error) {
    throw new UsageError(`Cannot make a device of type ${type}: ${describeError(error)}`);
  }
}

/** Everything that is open, to be closed in reverse. */
function open(
  start: ServeStart,
  types: readonly Loaded[],
  log: ServingLog,
  parts: DisposableStack,
): Reactor {
  const reactor = parts.use(
    new Reactor({
      spin: start.spin,
      onError: (error) => log.write(`A handler failed: ${describeError(error)}`),
    }),
  );
  const messages = start.messages === null
    ? null
    : openMessages(start.messages, reactor, log, parts);
  const watch = start.watch === null
    ? null
    : new ServerWatch(start.watch, reactor, (told) => self.postMessage({ kind: "told", told }));
  const machine = new ServerMachine({ reactor, ...watch?.machineOptions });
  watch?.begin(machine);
  const devices: ServedDevice[] = [];
  for (const [device, { type, create }] of types.entries()) {
    const path = join(start.socketDir, `${type}.sock`);
    const say = (line: string): void => {
      log.write(`${type}: ${line}`);
      watch?.log(`${type}: ${line}`);
    };
    let server: VfioUserServer | null = null;
    const observers = [
      ...messages === null ? [] : [messages.observer(path, types.length > 1 ? `${type} ` : "")],
      ...watch === null ? [] : [watch.observer(device, () => server)],
    ];
    const model = make(type, create);
    try {
      server = parts.use(
        new VfioUserServer(machine, {
          path,
          endpoint: start.firstEndpoint + device * FUNCTIONS_PER_DEVICE,
          device: model,
          log: say,
          onError: (error) => say(describeError(error)),
          ...allOf(observers),
        }),
      );
      watch?.add(device, type, server);
    } catch (error) {
      if (error instanceof LinuxError || error instanceof RangeError) {
        throw new UsageError(`Cannot serve ${type}: ${error.message}`);
      }
      throw error;
    }
    devices.push({ type, path });
  }
  watch?.ready();
  messages?.begin();
  const takesStdout = messages?.output.isStdout ?? false;
  self.postMessage({ kind: "listening", devices, handle: reactor.handle, takesStdout });
  return reactor;
}

function allOf(observers: readonly FrameObserver[]): { readonly observer?: FrameObserver } {
  const [first, second] = observers;
  if (first === undefined || second === undefined) {
    return first === undefined ? {} : { observer: first };
  }
  return {
    observer: {
      frame(direction, bytes, descriptors): void {
        first.frame(direction, bytes, descriptors);
        second.frame(direction, bytes, descriptors);
      },
    },
  };
}

/** The messages of all devices in one file. Until {@linkcode MessagesOutput.begin} the file keeps what it held. */
class MessagesOutput implements Disposable {
  readonly output: LiveOutput;
  readonly #path: string;
  readonly #reactor: Reactor;
  readonly #log: ServingLog;
  readonly #connections: { readonly name: string; readonly prefix: string }[] = [];
  #writer: MessageWriter | null = null;
  #begun: readonly MessageConnection[] = [];

  /** @throws {Error} when `path` cannot be written */
  constructor(path: string, reactor: Reactor, log: ServingLog) {
    this.#path = path;
    this.#reactor = reactor;
    this.#log = log;
    this.output = new LiveOutput(path, reactor, (why) => this.#say(why));
  }

  /** Gets the messages of one device. They are in the file at once: somebody may look on. */
  observer(name: string, prefix: string): FrameObserver {
    const device = this.#connections.push({ name, prefix }) - 1;
    return {
      frame: (direction, bytes, descriptors): void => {
        const writer = this.#writer, connection = this.#begun[device];
        if (writer === null || connection === undefined) return;
        const timeNs = this.#reactor.nowNs;
        const { leftOut } = writer;
        writer.add(connection, { timeNs, direction, bytes, descriptors });
        writer.flush();
        // How many is said at the end, which may be far.
        if (leftOut === 0 && writer.leftOut > 0) {
          this.#say("messages are left out from now on: the reader is too slow");
        }
      },
    };
  }

  /** All devices listen: what the file held goes. */
  begin(): void {
    const startMs = Date.now() - this.#reactor.nowNs / 1e6;
    const writer = new MessageWriter(this.output, messageFormat(this.#path), startMs);
    this.#begun = this.#connections.map(({ name, prefix }) => writer.connection(name, { prefix }));
    this.#writer = writer;
  }

  [Symbol.dispose](): void {
    this.#writer?.close();
    this.output.close();
  }

  #say(why: string): void {
    this.#log.write(`Cannot write all of --messages ${this.#path}: ${why}`);
  }
}

function openMessages(
  path: string,
  reactor: Reactor,
  log: ServingLog,
  parts: DisposableStack,
): MessagesOutput {
  try {
    return parts.use(new MessagesOutput(path, reactor, log));
  } catch (error) {
    throw new UsageError(`Cannot write --messages ${path}: ${thrownMessage(error)}`);
  }
}

/** Does one part of the work. @returns what it gives, or how it failed */
async function attempt<T>(work: () => T | Promise<T>): Promise<T | ServeReport> {
  try {
    return await work();
  } catch (error) {
    return error instanceof UsageError
      ? { kind: "refused", message: error.message }
      : { kind: "failed", message: describeError(error) };
  }
}

function end(report: ServeReport): void {
  self.postMessage(report);
  self.close();
}

async function load(start: ServeStart): Promise<void> {
  const types = await attempt(() => loadAll(start));
  if (!Array.isArray(types)) return end(types);
  const log = new ServingLog(
    start.logRoom,
    (text) => self.postMessage({ kind: "log", text }),
  );
  self.onmessage = async () => {
    const report = await attempt((): ServeReport => {
      using parts = new DisposableStack();
      open(start, types, log, parts).run();
      return { kind: "ended" };
    });
    log.end();
    end(report);
  };
  self.postMessage({ kind: "loaded" });
}

self.onmessage = async ({ data }) => {
  if (data.kind === "load") await load(data.start);
};
