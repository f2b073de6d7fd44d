/**
 * The thread of `deno task serve`: loads the devices, and runs the reactor that serves them until it
 * is stopped. Logs go to stderr.
 * @module
 */

import { join } from "@std/path";
import { FUNCTIONS_PER_DEVICE } from "../../devices/pci/bdf.ts";
import type { DeviceType } from "../../devices/pci/pci_device.ts";
import { LinuxError } from "../../protocols/linux/errno.ts";
import { Reactor } from "../../protocols/linux/reactor.ts";
import type { FrameObserver } from "../../protocols/vfio_user/connection.ts";
import { ServerMachine } from "../../protocols/vfio_user/server/server_machine.ts";
import { VfioUserServer } from "../../protocols/vfio_user/server/server.ts";
import { messageFormat, MessageWriter } from "../export/message_writer.ts";
import { ServerWatch } from "../observe/server_watch.ts";
import { describeBriefly, describeError } from "../run/describe_error.ts";
import type { ServedDevice, ServeReport, ServeStart } from "./serve_messages.ts";
import { Terminal } from "./terminal.ts";
import { UsageError } from "./usage_error.ts";

declare const self: {
  onmessage: ((event: MessageEvent<ServeStart>) => void) | null;
  postMessage(message: ServeReport): void;
  close(): void;
};

const stderr = new Terminal(Deno.stderr);

/** The part of a device type that a server needs. */
type Loaded = Pick<DeviceType<unknown, unknown>, "type" | "create">;

function isDeviceType(value: unknown): value is Loaded {
  if (typeof value !== "object" || value === null) return false;
  const { type, create } = value as Partial<Loaded>;
  return typeof type === "string" && typeof create === "function";
}

/** A type is a file's name too. */
const TYPE = /^[a-z0-9][a-z0-9-]*$/;

async function load(device: ServeStart["devices"][number]): Promise<Loaded> {
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
    const type = await load(device);
    if (loaded.some((other) => other.type === type.type)) {
      throw new UsageError(
        `Cannot serve ${device.name}: ${type.type} is named twice, and each type has one socket`,
      );
    }
    loaded.push(type);
  }
  return loaded;
}

/** Everything that is open, to be closed in reverse. */
function open(start: ServeStart, types: readonly Loaded[], parts: DisposableStack): Reactor {
  const reactor = parts.use(
    new Reactor({
      spin: start.spin,
      onError: (error) => stderr.write(`A handler failed: ${describeError(error)}\n`),
    }),
  );
  const messages = start.messages === null
    ? null
    : parts.use(openMessages(start.messages, reactor));
  const watch = start.watch === null
    ? null
    : new ServerWatch(start.watch, reactor, (told) => self.postMessage({ kind: "told", told }));
  const machine = new ServerMachine({ reactor, ...watch?.machineOptions });
  watch?.begin(machine);
  const devices: ServedDevice[] = [];
  for (const [device, { type, create }] of types.entries()) {
    const path = join(start.socketDir, `${type}.sock`);
    const prefix = types.length > 1 ? `${type} ` : "";
    const say = (line: string): void => {
      stderr.write(`${type}: ${line}\n`);
      watch?.log(`${type}: ${line}`);
    };
    let server: VfioUserServer | null = null;
    const observers = [
      ...messages === null ? [] : [observe(messages, reactor, path, prefix)],
      ...watch === null ? [] : [watch.observer(device, () => server)],
    ];
    try {
      server = parts.use(
        new VfioUserServer(machine, {
          path,
          endpoint: start.firstEndpoint + device * FUNCTIONS_PER_DEVICE,
          device: create({}),
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
  self.postMessage({ kind: "listening", devices, handle: reactor.handle });
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

function openMessages(path: string, reactor: Reactor): MessageWriter {
  try {
    const file = Deno.openSync(path, { write: true, create: true });
    return new MessageWriter(file, messageFormat(path), Date.now() - reactor.nowNs / 1e6);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`Cannot write --messages ${path}: ${reason}`);
  }
}

/** Messages are in the file at once: somebody may look on. */
function observe(
  messages: MessageWriter,
  reactor: Reactor,
  name: string,
  prefix: string,
): FrameObserver {
  const connection = messages.connection(name, { prefix });
  return {
    frame(direction, bytes, descriptors): void {
      messages.add(connection, { timeNs: reactor.nowNs, direction, bytes, descriptors });
      messages.flush();
    },
  };
}

async function serve(start: ServeStart): Promise<ServeReport> {
  try {
    const types = await loadAll(start);
    using parts = new DisposableStack();
    open(start, types, parts).run();
    return { kind: "ended" };
  } catch (error) {
    return error instanceof UsageError
      ? { kind: "refused", message: error.message }
      : { kind: "failed", message: describeError(error) };
  }
}

self.onmessage = async ({ data }) => {
  self.postMessage(await serve(data));
  self.close();
};
