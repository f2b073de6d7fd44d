/**
 * `deno task serve --dashboard` with a client of our own at its device: for tests.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import type { Gpa } from "../../core/address.ts";
import { Iommu } from "../../core/iommu/iommu.ts";
import { GuestRam } from "../../core/memory/guest_ram.ts";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";
import { EduDriver } from "../../devices/edu/driver.ts";
import { PCI_COMMAND, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY } from "../../devices/pci/spec.ts";
import { createSharedMemory, Mapping } from "../../protocols/linux/mapping.ts";
import { ClientIommu } from "../../protocols/vfio_user/client/client_iommu.ts";
import { VfioUserClient } from "../../protocols/vfio_user/client/client.ts";
import { dmaService } from "../../protocols/vfio_user/client/dma_service.ts";
import { RemoteFunction } from "../../protocols/vfio_user/client/remote_function.ts";
import { type Client, clientOf, Process } from "./_command.ts";

const RAM = 0x10_0000;
const LINK = /^dashboard (http:\/\/127\.0\.0\.1:\d+\/\?token=[0-9a-f]{64})$/m;

/** A server whose page is up. */
export interface Served {
  readonly process: Process;
  readonly api: Client;
  readonly link: string;
  /** The socket of a device. */
  readonly socket: (type: string) => string;
}

/** Serves devices, and sees to it that Ctrl-C leaves nothing of it. */
export async function withServer(
  devices: readonly string[],
  body: (served: Served) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-serve-" });
  try {
    const process = new Process([
      "--no-check",
      "web/serve.ts",
      ...devices,
      "--dashboard=0",
      "--socket-dir",
      folder,
    ]);
    const [, link] = await process.until("stderr", LINK);
    await process.until("stdout", /^ready$/m);
    const socket = (type: string) => join(folder, `${type}.sock`);
    let ended = false;
    process.status.then(() => ended = true);
    try {
      await body({ process, api: clientOf(link!), link: link!, socket });
    } catch (error) {
      throw new Error(`With the server, which said ${process.stderr}`, { cause: error });
    } finally {
      if (!ended) process.signal("SIGINT");
      await process.code();
    }
    assertEquals(await process.code(), 130, process.stderr);
    assertEquals([...Deno.readDirSync(folder)], []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A client, and what it drives. */
export interface Driven {
  readonly edu: EduDriver;
  readonly forwarder: ClientIommu;
  readonly client: VfioUserClient;
}

/** A client of the device, with guest memory of its own and an IOMMU in front of it. */
export async function withClient(
  path: string,
  body: (driven: Driven) => Promise<void>,
): Promise<void> {
  using file = createSharedMemory("ram", RAM);
  using mapping = Mapping.map(file.fd, 0, RAM, "read-write") as Mapping;
  const start = 0 as Gpa;
  const ram = new GuestRam([{ name: "ram", start, length: RAM, bytes: mapping.bytes }]);
  const iommu = new Iommu(ram, { clock: new VirtualClock() });
  const forwarder = new ClientIommu(iommu, [{ start, length: RAM, descriptor: file, offset: 0 }]);
  const { memory } = iommu.addEndpoint(8);
  using client = VfioUserClient.connect(path, { handlers: dmaService(memory, 0x10_0000) });
  using fn = RemoteFunction.open(client, { endpoint: 8 });
  client.wait(forwarder.connect(8, client));
  forwarder.createDomain(1);
  client.wait(forwarder.attach(8, 1));
  await fn.configWrite(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
  await body({ edu: new EduDriver(fn), forwarder, client });
}

/** The device's time is real: it takes 100 ms for a transfer. */
export async function settled({ edu, client }: Driven): Promise<void> {
  for (let looks = 0; looks < 5000; looks++) {
    if (!(await edu.dmaRunning())) return;
    client.group.turn(1);
  }
  assert(false, "the transfer does not end");
}
