import { defineDevice, type PciDevice } from "../../../devices/pci/pci_device.ts";
import { scenario } from "../../../harness/scenario.ts";

/** A device whose register 0 throws. */
class Broken implements PciDevice {
  readonly type = "broken";
  readonly ident = { vendorId: 0x1234, deviceId: 0x0bad, revisionId: 1, classCode: 0xff_0000 };
  readonly bars = [{ index: 0, size: 4096, kind: "mmio32" } as const];
  attach(): void {}
  barRead(): number {
    throw new Error("no such luck");
  }
  barWrite(): void {}
  reset(): void {}
  inspect(): Record<string, unknown> {
    return {};
  }
}

const broken = defineDevice({
  type: "broken",
  module: import.meta.url,
  create: () => new Broken(),
  driver: (target) => target,
});

export default scenario("breaks", {
  title: "reads a register of a device model that throws",
  tags: ["bad"],
  modes: ["remap"],
}, async (t) => {
  const { target } = await t.plug(broken, {});
  t.equal("the access reads all ones", await target.barRead(0, 0, 4), 0xffff_ffff);
});
