import { defineDevice, type PciDevice } from "../../../devices/pci/pci_device.ts";
import { scenario } from "../../../harness/scenario.ts";
import { serverPids } from "./_server.ts";

/** A device that never answers. */
class Endless implements PciDevice {
  readonly type = "endless";
  readonly ident = { vendorId: 0x1234, deviceId: 0x0bad, revisionId: 1, classCode: 0xff_0000 };
  readonly bars = [{ index: 0, size: 4096, kind: "mmio32" } as const];
  attach(): void {}
  barRead(): number {
    for (;;);
  }
  barWrite(): void {}
  reset(): void {}
  inspect(): Record<string, unknown> {
    return {};
  }
}

export const endless = defineDevice({
  type: "endless",
  module: import.meta.url,
  create: () => new Endless(),
  driver: (target) => target,
});

export default scenario("hangs-server", {
  title: "reads a register of a device model that loops for ever",
  vias: ["vfio-user"],
  modes: ["remap"],
  timeoutMs: 3000,
}, async (t) => {
  const { target } = await t.plug(endless, {});
  t.log(`pid ${serverPids().join(" ")}`);
  await t.step("for ever", () => target.barRead(0, 0, 4));
});
