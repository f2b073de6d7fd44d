/**
 * A server in this thread, driven turn by turn, and the count of what it may not leave behind.
 * @module
 */

import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import type { PciDevice } from "../../../devices/pci/pci_device.ts";
import { type Descriptor, liveDescriptors } from "../../../protocols/linux/descriptor.ts";
import { createSharedMemory, liveMappings, Mapping } from "../../../protocols/linux/mapping.ts";
import {
  type StartedServer,
  startServer,
  type StartServerOptions,
} from "../../../protocols/vfio_user/server/start_server.ts";
import { Probe } from "./probe.ts";
import { RawClient } from "./raw_client.ts";
import { regionWrite } from "./wire.ts";

/** A server with its device and a way to connect. */
export class Host<Device extends PciDevice> {
  readonly path: string;
  readonly device: Device;
  readonly started: StartedServer;

  constructor(device: Device, path: string, options: Partial<StartServerOptions>) {
    this.path = path;
    this.device = device;
    this.started = startServer({ seed: 1, ...options, path, device });
  }

  get server() {
    return this.started.server;
  }

  get machine() {
    return this.started.machine;
  }

  /** Lets the server do what is due, and not wait. */
  turn(times = 1): void {
    for (let i = 0; i < times; i++) this.started.reactor.turn(0);
  }

  /** A client that has sent nothing. */
  connect(): RawClient {
    return RawClient.connect(this.path, () => this.turn());
  }

  /** A client that has agreed on a version. */
  client(capabilities: Record<string, unknown> = {}): RawClient {
    const client = this.connect();
    client.negotiate(capabilities);
    return client;
  }

  /** The same, with memory space and bus mastering on. */
  driver(capabilities: Record<string, unknown> = {}): RawClient {
    const client = this.client(capabilities);
    client.call(10, regionWrite(7, 4, new Uint8Array([7, 0])));
    return client;
  }
}

/** Runs `body` with a server of the probe, and sees to it that nothing is left. */
export function withProbe(
  body: (host: Host<Probe>) => void,
  options: Partial<StartServerOptions> = {},
): void {
  withDevice(new Probe(), body, options);
}

/** As {@link withProbe}, for any device. */
export function withDevice<Device extends PciDevice>(
  device: Device,
  body: (host: Host<Device>) => void,
  options: Partial<StartServerOptions> = {},
): void {
  const directory = Deno.makeTempDirSync();
  const before = [liveDescriptors(), liveMappings()];
  try {
    const host = new Host(device, join(directory, "device.sock"), options);
    try {
      body(host);
    } finally {
      host.started[Symbol.dispose]();
    }
    assertEquals([liveDescriptors(), liveMappings()], before, "descriptors and mappings left");
    assertEquals(host.machine.memory.windows, 0, "windows left");
    assertEquals(host.machine.files.count, 0, "files left");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** Memory of a client: a sealed memfd, with the client's own view of it. */
export class ClientMemory implements Disposable {
  readonly descriptor: Descriptor;
  readonly #mapping: Mapping;

  constructor(length = 0x1_0000) {
    this.descriptor = createSharedMemory("client", length);
    this.#mapping = Mapping.map(this.descriptor.fd, 0, length, "read-write") as Mapping;
  }

  get fd(): number {
    return this.descriptor.fd;
  }

  get bytes(): Uint8Array {
    return this.#mapping.bytes;
  }

  [Symbol.dispose](): void {
    this.#mapping.close();
    this.descriptor.close();
  }
}
