import { defineDevice, type PciDevice, type PciHost } from "../../../devices/pci/pci_device.ts";
import { scenario } from "../../../harness/scenario.ts";
import { createSharedMemory } from "../../../protocols/linux/mod.ts";

/** A device that prints, throws, rejects and leaks, by the register that is read or written. */
class Misbehaved implements PciDevice {
  readonly type = "misbehaved";
  readonly ident = { vendorId: 0x1234, deviceId: 0x0bad, revisionId: 1, classCode: 0xff_0000 };
  readonly bars = [{ index: 0, size: 4096, kind: "mmio32" } as const];
  #host: PciHost | null = null;
  #armed = false;
  #inspectsLate = false;
  attach(host: PciHost): void {
    this.#host = host;
  }
  barRead(_bar: number, offset: number): number {
    switch (offset) {
      case 0x0:
        // deno-lint-ignore no-console -- this is what it does wrong
        console.log("I am a device");
        break;
      case 0x4:
        throw new Error("no such luck");
      case 0x8:
        Promise.reject(new Error("nobody caught me"));
        break;
      case 0xc:
        createSharedMemory("lost", 4096);
        break;
      case 0x10:
        throw {
          toString() {
            throw 1;
          },
        };
      case 0x14:
        return undefined as unknown as number;
      case 0x18:
        return Promise.reject(new Error("too late")) as unknown as number;
      case 0x20:
        throw new Error("no luck ".repeat(1000));
      case 0x1c:
        // More than any pipe holds, with nobody to read it before the access is done.
        // deno-lint-ignore no-console -- this is what it does wrong
        for (let line = 0; line < 3000; line++) console.log(`${"and on ".repeat(20)}${line}`);
        break;
    }
    return offset;
  }
  barWrite(_bar: number, offset: number): void | Promise<void> {
    switch (offset) {
      case 0x1c:
        return Promise.reject(new Error("written too late"));
      case 0x20:
        return new Promise(() => {});
      case 0x24:
        this.#armed = true;
        break;
      case 0x28:
        this.#host?.clock.defer(1, () => Promise.reject(new Error("timed too late")));
        break;
      case 0x2c:
        this.#inspectsLate = true;
        break;
    }
  }
  reset(): void | Promise<void> {
    const armed = this.#armed;
    this.#armed = false;
    if (armed) return Promise.reject(new Error("reset too late"));
  }
  inspect(): Record<string, unknown> {
    if (this.#inspectsLate) return Promise.resolve({ late: true }) as never;
    throw new Error("look elsewhere");
  }
}

export const misbehaved = defineDevice({
  type: "misbehaved",
  module: import.meta.url,
  create: ({ refuse }: { readonly refuse?: "openly" | "secretly" }) => {
    if (refuse === "openly") throw new RangeError("I will not be made");
    if (refuse === "secretly") throw Object.create(null);
    return new Misbehaved();
  },
  driver: (target) => target,
});

/** One scenario a way to misbehave; `WAY` of the environment says which. */
const WAYS: Readonly<Record<string, number>> = {
  prints: 0x0,
  throws: 0x4,
  rejects: 0x8,
  leaks: 0xc,
  hides: 0x10,
  nothing: 0x14,
  promises: 0x18,
  chatters: 0x1c,
};
/** Those that write. */
const WRITES: Readonly<Record<string, number>> = {
  "writes late": 0x1c,
  "never ends a write": 0x20,
  "resets late": 0x24,
  "times late": 0x28,
  "inspects late": 0x2c,
};

export default scenario("misbehaves", {
  title: "reads a register of a device that does what it should not",
  modes: ["remap"],
}, async (t) => {
  const way = Deno.env.get("WAY") ?? "";
  const refuse = way === "refuses" ? "openly" : way === "shuns" ? "secretly" : undefined;
  const { target } = await t.plug(misbehaved, refuse === undefined ? {} : { refuse });
  if (WRITES[way] !== undefined) {
    await target.barWrite(0, WRITES[way], 4, 1);
    if (way === "times late") await t.clock.advance(1);
    if (way === "resets late") await target.reset();
    if (way === "inspects late") t.log(JSON.stringify(await target.inspect()));
  } else if (way === "inspect") t.log(JSON.stringify(await target.inspect()));
  else if (way === "throws and throws") {
    for (let count = 0; count < 20_000; count++) await target.barRead(0, 0x20, 4);
  } else t.log(`read ${await target.barRead(0, WAYS[way]!, 4)}`);
});
