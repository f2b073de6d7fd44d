import { defineDevice, type PciDevice } from "../../../devices/pci/pci_device.ts";
import { scenario } from "../../../harness/scenario.ts";

interface OddOptions {
  /** Bytes of its BAR; a page unless told. */
  readonly size?: number;
  /** No JSON. */
  readonly serial?: bigint;
}

/** A device with a state that is no plain JSON. */
class Odd implements PciDevice {
  readonly type = "odd";
  readonly ident = { vendorId: 0x1234, deviceId: 0x0bad, revisionId: 1, classCode: 0xff_0000 };
  readonly bars;
  readonly interrupts = { pin: 1 } as const;
  constructor({ size = 4096 }: OddOptions) {
    this.bars = [{ index: 0, size, kind: "mmio32" } as const];
  }
  attach(): void {}
  barRead(): number {
    return 7;
  }
  barWrite(): void {}
  reset(): void {}
  inspect(): Record<string, unknown> {
    return { serial: 1n };
  }
}

export const odd = defineDevice({
  type: "odd",
  module: import.meta.url,
  create: (options: OddOptions) => new Odd(options),
  driver: (target) => target,
});

export default scenario("errs", {
  title: "asks for what cannot be, and goes on",
  vias: ["vfio-user"],
  modes: ["remap"],
}, async (t) => {
  const { target } = await t.plug(odd, {});
  const wrongs: readonly (readonly [string, () => Promise<unknown>, string])[] = [
    ["a BAR that fits nowhere", () => t.plug(odd, { size: 2 ** 30 }), "RangeError: Cannot assign"],
    ["options that are no JSON", () => t.plug(odd, { serial: 1n }), "TypeError: Cannot plug"],
    ["a state that is no JSON", () => target.inspect(), "TypeError: Do not know how"],
    ["time without end", () => t.clock.advance(Infinity), "RangeError: Cannot advance"],
  ];
  for (const [name, ask, start] of wrongs) {
    const said = await ask().then(() => "done", String);
    t.check(name, said.startsWith(start), said);
    t.equal(`it answers after ${name}`, await target.barRead(0, 0, 4), 7);
  }
});
