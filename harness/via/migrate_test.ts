import { assertEquals, assertNotEquals } from "@std/assert";
import { edu } from "../../devices/edu/mod.ts";
import { PCI_BASE_ADDRESS_0 } from "../../devices/pci/spec.ts";
import { buildMachine } from "./registry.ts";
import { endServerProcesses } from "./vfio_user_process.ts";

for (const via of ["direct", "vfio-user"] as const) {
  Deno.test(`Machine.migrate() via ${via} leaves a device its BAR addresses, which no later one gets`, async () => {
    const options = { mode: "identity", memoryMib: 2, seed: 1, trace: "off" } as const;
    const machine = await buildMachine(via, options);
    try {
      const first = await machine.plug(edu, {});
      const address = await first.target.configRead(PCI_BASE_ADDRESS_0, 4);
      await machine.migrate(first.endpoint);
      assertEquals(await first.target.configRead(PCI_BASE_ADDRESS_0, 4), address);
      const second = await machine.plug(edu, {});
      assertNotEquals(await second.target.configRead(PCI_BASE_ADDRESS_0, 4), address);
    } finally {
      await machine.close();
      if (via === "vfio-user") await endServerProcesses();
    }
  });
}
