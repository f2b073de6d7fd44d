/**
 * Viaduct: PCI devices and an IOMMU. The same device object runs inside the
 * process, behind a vfio-user socket, or as a plug-in of a stock QEMU, and every
 * DMA translation on the way can be seen, measured, made to fail, and replayed.
 *
 * What follows is all a device by itself needs: guest memory, an IOMMU in front
 * of it, a function that hosts the device, and a clock.
 *
 * ```ts
 * import {
 *   Access, Edu, GuestRam, Iommu, PciFunction, VirtualClock, type Gpa, type Iova,
 * } from "@viaduct/viaduct";
 *
 * const clock = new VirtualClock();
 * const ram = new GuestRam([{ name: "ram", start: 0 as Gpa, length: 2 ** 20 }]);
 * const iommu = new Iommu(ram, { clock });
 * const endpoint = iommu.addEndpoint(0x20);
 * iommu.createDomain(1);
 * iommu.attach(0x20, 1);
 * iommu.map(1, 0x10_0000 as Iova, 0x3000 as Gpa, 4096, Access.READ);
 *
 * const sink = { message() {}, intx() {} };
 * const edu = new PciFunction(new Edu(), { memory: endpoint.memory, clock, sink });
 * edu.configWrite(0x04, 2, 0x0006); // memory space and bus master enable
 *
 * ram.write(0x3000 as Gpa, new TextEncoder().encode("over the bus"));
 * edu.barWrite64(0, 0x80, 0x10_0000n); // from this bus address
 * edu.barWrite64(0, 0x88, 0x4_0000n); // to the device's buffer
 * edu.barWrite64(0, 0x90, 12n);
 * edu.barWrite64(0, 0x98, 1n);
 * clock.advance(100);
 *
 * if (endpoint.counters.snapshot().dmaReadBytes !== 12) throw new Error("no DMA");
 * ```
 *
 * @module
 */

export * from "./core/mod.ts";
export * from "./devices/mod.ts";
export {
  type DmaBuffer,
  type DmaBufferOptions,
  type FaultReport,
  type MachineIommu,
  type MachineMemory,
  type MigrateOptions,
  type Mode,
  type Plugged,
  type PlugOptions,
  type Scenario,
  scenario,
  type ScenarioContext,
  type ScenarioOptions,
  type Via,
} from "./harness/scenario.ts";
