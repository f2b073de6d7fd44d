import { existsSync } from "node:fs";
import { defineDevice, type PciDevice, type PciHost } from "../../../devices/pci/pci_device.ts";
import { scenario } from "../../../harness/scenario.ts";

/** Why a device cannot move: it is not made at its new home, not restored there, or the scenario breaks off. */
type Way = "made" | "restored" | "awaited";

interface StubbornOptions {
  readonly way: Way;
  /** A file; where it is, no device is made. */
  readonly marker: string;
}

/** Milliseconds until a write is seen. */
const DELAY_MS = 5;

/** A device that says a moment later what was written. */
class Stubborn implements PciDevice {
  readonly type = "stubborn";
  readonly ident = { vendorId: 0x1234, deviceId: 0x0bad, revisionId: 1, classCode: 0xff_0000 };
  readonly bars = [{ index: 0, size: 4096, kind: "mmio32" } as const];
  readonly #way: Way;
  #clock: PciHost["clock"] | null = null;
  #said = 0;
  #paused = false;
  constructor({ way, marker }: StubbornOptions) {
    this.#way = way;
    if (existsSync(marker)) throw new Error("no room here");
  }
  attach({ clock }: PciHost): void {
    this.#clock = clock;
  }
  barRead(): number {
    return this.#said;
  }
  barWrite(_bar: number, _offset: number, _size: number, value: number): void {
    this.#clock?.defer(DELAY_MS, () => {
      if (!this.#paused) this.#said = value;
    });
  }
  reset(): void {}
  pause(): void {
    this.#paused = true;
  }
  resume(): void {
    this.#paused = false;
  }
  save(): number {
    return this.#said;
  }
  restore(state: unknown): string | null {
    if (this.#way === "restored") return "it does not like it here";
    this.#said = state as number;
    return null;
  }
  inspect(): Record<string, unknown> {
    return {};
  }
}

export const stubborn = defineDevice({
  type: "stubborn",
  module: import.meta.url,
  create: (options: StubbornOptions) => new Stubborn(options),
  driver: (target) => target,
});

export default scenario("moves-in-vain", {
  title: "migrates a device that cannot, which goes on where it is",
  modes: ["remap"],
}, async (t) => {
  const folder = Deno.makeTempDirSync({ prefix: "viaduct-test-" });
  try {
    for (const way of ["made", "restored", "awaited"] as const) {
      const marker = `${folder}/${way}`;
      const device = await t.plug(stubborn, { way, marker });
      const { target } = device;
      const buffer = await t.dmaBuffer(device, 4096);
      await target.barWrite(0, 0, 4, 5);
      if (way === "made") Deno.writeTextFileSync(marker, "");
      const preCopy = () => {
        throw new Error("not now");
      };
      const moved = await t.migrate(device, way === "awaited" ? { preCopy } : {}).then(
        () => "done",
        String,
      );
      t.check(`it is not ${way}`, moved !== "done", moved);
      await t.clock.advance(DELAY_MS);
      t.equal(`its time goes on when it is not ${way}`, await target.barRead(0, 0, 4), 5);
      await buffer.unmap();
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
