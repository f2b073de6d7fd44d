/**
 * The driver's half of edu over a socket, on a real server: what it does in one process it does
 * between two, interrupts and DMA included.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Access, type Gpa, type Iova } from "../../core/address.ts";
import { Iommu } from "../../core/iommu/iommu.ts";
import { GuestRam } from "../../core/memory/guest_ram.ts";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";
import { EduDriver } from "../../devices/edu/driver.ts";
import { EDU_IDENTIFICATION, EduInterrupt } from "../../devices/edu/spec.ts";
import { PCI_COMMAND, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY } from "../../devices/pci/spec.ts";
import { liveDescriptors } from "../../protocols/linux/descriptor.ts";
import { createSharedMemory, liveMappings, Mapping } from "../../protocols/linux/mapping.ts";
import { withRemote } from "../../protocols/vfio_user/client/_test_remote.ts";
import { ClientIommu } from "../../protocols/vfio_user/client/client_iommu.ts";
import { VfioUserClient } from "../../protocols/vfio_user/client/client.ts";
import { dmaService } from "../../protocols/vfio_user/client/dma_service.ts";
import { RemoteFunction } from "../../protocols/vfio_user/client/remote_function.ts";

const RAM = 0x10_0000;

interface Parts {
  readonly edu: EduDriver;
  readonly fn: RemoteFunction;
  readonly client: VfioUserClient;
  readonly forwarder: ClientIommu;
  readonly ram: GuestRam;
}

async function withEdu(
  descriptors: "pass" | "withhold",
  body: (parts: Parts) => Promise<void>,
): Promise<void> {
  const before = [liveDescriptors(), liveMappings()];
  await withRemote(async ({ path }) => {
    using file = createSharedMemory("ram", RAM);
    using mapping = Mapping.map(file.fd, 0, RAM, "read-write") as Mapping;
    const start = 0 as Gpa;
    const ram = new GuestRam([{ name: "ram", start, length: RAM, bytes: mapping.bytes }]);
    const iommu = new Iommu(ram, { clock: new VirtualClock() });
    const forwarder = new ClientIommu(iommu, [{ start, length: RAM, descriptor: file, offset: 0 }]);
    const { memory } = iommu.addEndpoint(8);
    using client = VfioUserClient.connect(path, { handlers: dmaService(memory, 0x10_0000) });
    using fn = RemoteFunction.open(client, { endpoint: 8 });
    client.wait(forwarder.connect(8, client, { descriptors }));
    forwarder.createDomain(1);
    client.wait(forwarder.attach(8, 1));
    await fn.configWrite(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    await body({ edu: new EduDriver(fn), fn, client, forwarder, ram });
  }, "edu");
  assertEquals([liveDescriptors(), liveMappings()], before);
}

/** The device's time is the server's own here; the group is served while it passes. */
async function until(client: VfioUserClient, done: () => Promise<boolean>): Promise<void> {
  for (let looks = 0; looks < 5000; looks++) {
    if (await done()) return;
    client.group.turn(1);
  }
  assert(false, "the device does not finish");
}

Deno.test("edu over a socket: identification, factorial and INTx", async () => {
  await withEdu("pass", async ({ edu, fn, client }) => {
    assertEquals(await edu.identification(), EDU_IDENTIFICATION);
    assertEquals(await edu.liveness(0x1234_5678), 0xedcb_a987);
    await edu.setFactorialInterrupt("on");
    await edu.startFactorial(10);
    await until(client, () => fn.intxAsserted());
    assertEquals(await edu.factorialResult(), 3_628_800);
    assertEquals(await edu.interruptStatus(), EduInterrupt.FACTORIAL);
    await edu.acknowledgeInterrupt(EduInterrupt.FACTORIAL);
    assertEquals(await fn.intxAsserted(), false);
  });
});

for (const descriptors of ["pass", "withhold"] as const) {
  Deno.test(`edu over a socket: DMA both ways over scattered pages with MSI, descriptors ${descriptors}`, async () => {
    await withEdu(descriptors, async ({ edu, fn, client, forwarder, ram }) => {
      await edu.enableMsi();
      // Two pages that follow each other for the device alone.
      client.wait(forwarder.map(1, 0x8000 as Iova, 0x5000 as Gpa, 0x1000, Access.READ_WRITE));
      client.wait(forwarder.map(1, 0x9000 as Iova, 0x2000 as Gpa, 0x1000, Access.READ_WRITE));
      const bytes = Uint8Array.from({ length: 512 }, (_, at) => at * 7);
      ram.write(0x5f00 as Gpa, bytes.subarray(0, 256));
      ram.write(0x2000 as Gpa, bytes.subarray(256));
      await edu.dmaToDevice(0x8f00, 0, 512, "raise");
      let messages = 0;
      const arrived = async (): Promise<boolean> => {
        messages += await fn.takeInterrupts(0);
        return messages > 0;
      };
      await until(client, arrived);
      assertEquals([messages, await edu.dmaRunning()], [1, false]);
      await edu.acknowledgeInterrupt(EduInterrupt.DMA);
      await edu.dmaFromDevice(0, 0x8100, 512, "raise");
      messages = 0;
      await until(client, arrived);
      const back = new Uint8Array(512);
      assertEquals(ram.read(0x5100 as Gpa, back), 0);
      assertEquals(back, bytes);
      assertEquals(await fn.intxAsserted(), false);
    });
  });
}
