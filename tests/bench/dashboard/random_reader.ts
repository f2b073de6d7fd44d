/**
 * A scenario for the benchmark of the dashboard: a device whose doorbell makes it read 8 bytes at
 * random pages, rung for some seconds. Logs of each slice of time when it began and ended, in
 * milliseconds since 1970, and the nanoseconds a read took.
 * @module
 */

import { type Iova, PAGE_SIZE } from "../../../core/address.ts";
import { defineDevice, type PciDevice, type PciHost } from "../../../devices/pci/pci_device.ts";
import { scenario } from "../../../harness/scenario.ts";

const PAGES = 4096;
/** Reads a ring. */
const READS = 10_000;
/** Milliseconds of a slice, and of all. */
const SLICE_MS = 20;
const ALL_MS = 3000;
const WARM_UP_RINGS = 200;

class RandomReader implements PciDevice {
  readonly type = "random-reader";
  readonly ident = { vendorId: 0x1234, deviceId: 0x0bec, revisionId: 1, classCode: 0xff_0000 };
  readonly bars = [{ index: 0, size: 4096, kind: "mmio32" } as const];
  #host: PciHost | null = null;
  #at = 0;
  #start = 0;

  attach(host: PciHost): void {
    this.#host = host;
  }

  barRead(): number {
    return this.#at;
  }

  barWrite(_bar: number, offset: number, _size: number, value: number): void {
    if (offset === 0) {
      this.#start = value * PAGE_SIZE;
      return;
    }
    const { memory } = this.#host!;
    let at = this.#at;
    for (let i = 0; i < READS; i++) {
      at = (at * 1_103_515 + 12_345) % PAGES;
      memory.readU64(this.#start + at * PAGE_SIZE as Iova);
    }
    this.#at = at;
  }

  reset(): void {}

  inspect(): Record<string, unknown> {
    return { at: this.#at };
  }
}

/** Exported for the machine's sake: a device type has to be one of its module's. */
export const randomReader = defineDevice({
  type: "random-reader",
  module: import.meta.url,
  create: () => new RandomReader(),
  driver: (target) => target,
});

export default scenario("bench-random-reader", {
  title: "A device reads at random pages for some seconds",
  modes: ["remap"],
  vias: ["direct"],
  memoryMib: 64,
  timeoutMs: 60_000,
}, async (t) => {
  const device = await t.plug(randomReader, {});
  const buffer = await t.dmaBuffer(device, PAGES * PAGE_SIZE);
  const { target } = device;
  await target.barWrite(0, 0, 4, buffer.iova / PAGE_SIZE);
  for (let ring = 0; ring < WARM_UP_RINGS; ring++) await target.barWrite(0, 4, 4, 1);
  const now = () => performance.timeOrigin + performance.now();
  const end = now() + ALL_MS;
  for (let from = now(); from < end;) {
    let rings = 0;
    let to = from;
    for (; to < from + SLICE_MS; rings++) {
      await target.barWrite(0, 4, 4, 1);
      to = now();
    }
    t.log(`slice ${from} ${to} ${(to - from) * 1e6 / (rings * READS)}`);
    from = now();
  }
  t.check("it has read", await target.barRead(0, 0, 4) >= 0);
});
