import { assert, assertEquals, assertThrows } from "@std/assert";
import { Access, Fault, type Gpa, type Iova, PAGE_SIZE, type Status } from "../address.ts";
import { GuestRam } from "../memory/guest_ram.ts";
import type { Pin } from "../memory/memory.ts";
import { RamPin } from "../memory/ram_pin.ts";
import type { FaultRecord } from "./fault_log.ts";
import { Iommu } from "./iommu.ts";

const IOVA = 0x10_0000 as Iova;

/** Memory whose pins are copies, which store what they are told of. */
class CopyingRam extends GuestRam {
  pins = 0;
  fault: Status = 0;
  #stored = -1;

  override get transferred(): number {
    return this.#stored >= 0 ? this.#stored : super.transferred;
  }

  override pin(gpa: Gpa, length: number, access: number): Pin | Fault {
    const status = this.check(gpa, length, access);
    if (status !== 0) return status;
    const view = new Uint8Array(length);
    if ((access & Access.READ) !== 0) this.read(gpa, view);
    this.pins++;
    const pin = new RamPin([view], length, (access & Access.WRITE) === 0 ? null : () => {});
    const wrote = pin.wrote.bind(pin), release = pin.release.bind(pin);
    pin.wrote = (offset, count) => {
      wrote(offset, count);
      this.#stored = this.fault === 0 ? -1 : 3;
      if (this.fault !== 0) return this.fault;
      return this.write((gpa + offset) as Gpa, view.subarray(offset, offset + count));
    };
    pin.release = () => {
      this.pins--;
      release();
    };
    return pin;
  }
}

/** Three pages at IOVA, in descending order of GPA. */
function bench(ram: GuestRam) {
  const iommu = new Iommu(ram, { clock: { nowNs: 7, defer: () => ({ cancel: () => {} }) } });
  const { memory } = iommu.addEndpoint(8);
  iommu.createDomain(1);
  iommu.attach(8, 1);
  for (let page = 0; page < 3; page++) {
    const gpa = (0x8000 - page * 2 * PAGE_SIZE) as Gpa;
    iommu.map(1, (IOVA + page * PAGE_SIZE) as Iova, gpa, PAGE_SIZE, Access.READ_WRITE);
  }
  const pinned = (access: number, length = 3 * PAGE_SIZE): Pin => {
    const pin = memory.pin(IOVA, length, access);
    assert(typeof pin !== "number");
    return pin;
  };
  return { iommu, memory, pinned };
}

const regions = [{ name: "ram", start: 0 as Gpa, length: 0x1_0000 }];

Deno.test("IommuMemory.pin() of memory that gives copies: wrote() stores what it says in each, and release() lets them go", () => {
  const ram = new CopyingRam(regions);
  ram.write(0 as Gpa, new Uint8Array(0x1_0000).fill(0xee));
  const { pinned, memory } = bench(ram);
  const pin = pinned(Access.WRITE);
  assertEquals([pin.slices.length, ram.pins], [3, 3]);
  for (const slice of pin.slices) slice.fill(5);
  assertEquals(pin.wrote(PAGE_SIZE - 2, PAGE_SIZE + 3), 0);
  const seen = new Uint8Array(3 * PAGE_SIZE);
  memory.read(IOVA, seen);
  const wanted = new Uint8Array(3 * PAGE_SIZE).fill(0xee);
  wanted.fill(5, PAGE_SIZE - 2, 2 * PAGE_SIZE + 1);
  assertEquals(seen, wanted);
  pin.release();
  memory.read(IOVA, seen);
  assertEquals([seen, ram.pins], [wanted, 0]);
});

Deno.test("IommuMemory.pin() that faults in the middle lets go of what it had", () => {
  const ram = new CopyingRam(regions);
  const { iommu, memory } = bench(ram);
  assertEquals(memory.pin(IOVA, 4 * PAGE_SIZE, Access.WRITE), Fault.UNMAPPED);
  assertEquals([ram.pins, iommu.domain(1).space.inFlight.count], [0, 0]);
});

Deno.test("Pin.wrote() that the memory does not take is a fault with a record of where", () => {
  const ram = new CopyingRam(regions);
  const { iommu, pinned } = bench(ram);
  const pin = pinned(Access.WRITE);
  ram.fault = Fault.NO_MEMORY;
  assertEquals(pin.wrote(PAGE_SIZE + 0x10, 0x20), Fault.NO_MEMORY);
  const [{ endpoint, iova, access, reason }] = iommu.drainFaults() as [FaultRecord];
  assertEquals([endpoint, iova, access, reason], [
    8,
    IOVA + PAGE_SIZE + 0x13,
    Access.WRITE,
    Fault.NO_MEMORY,
  ]);
  pin.release();
});

Deno.test("Pin.wrote() marks the pages that were written, by GPA and by IOVA, at once", () => {
  const ram = new GuestRam(regions);
  const { iommu, pinned } = bench(ram);
  ram.startDirtyLog();
  const { space } = iommu.domain(1);
  space.startDirtyTracking(IOVA, 3 * PAGE_SIZE);
  const pin = pinned(Access.WRITE);
  ram.takeDirtyPages();
  space.dirty!.take();
  pin.wrote(PAGE_SIZE, 1);
  assertEquals([ram.takeDirtyPages(), space.dirty!.take()], [[0x6000], [IOVA + PAGE_SIZE]]);
  pin.release();
});

Deno.test("Pin.wrote() behind an IOMMU refuses what the holder cannot have written", () => {
  const { pinned } = bench(new GuestRam(regions));
  const pin = pinned(Access.READ_WRITE);
  for (const [offset, length] of [[0, 3 * PAGE_SIZE + 1], [-1, 1], [NaN, 1]] as const) {
    assertThrows(() => pin.wrote(offset, length), RangeError, "it has 12288 bytes");
  }
  pin.release();
  assertThrows(() => pin.wrote(0, 1), RangeError, "was released");
  assertThrows(() => pinned(Access.READ).wrote(0, 1), RangeError, "without WRITE");
});
