/**
 * Puts our access path into the state in which real code meets it.
 *
 * A loop that only ever reads 8 bytes through one table is compiled for just
 * that. In a machine the same methods have served several devices with spaces
 * small, large and bypassed, with every kind of access, with hits, walks and
 * faults, before any one access comes along. Each lane of ours goes through all
 * that first; the baselines do not, and stay at their best.
 * @module
 */

import { Access, type Gpa, type Iova, PAGE_SIZE } from "../../../core/address.ts";
import { Iommu } from "../../../core/iommu/iommu.ts";
import { GuestRam } from "../../../core/memory/guest_ram.ts";
import type { Memory, ScalarSize } from "../../../core/memory/memory.ts";
import { VirtualClock } from "../../../core/observe/virtual_clock.ts";
import { Random } from "../../../harness/random.ts";

const PAGES = 2048;
const WIDE_IOVA = 0x40_0000_0000 as Iova;
const HIGH_RAM = 0x1_0000_0000 as Gpa;
const ROM = 0xfff0_0000 as Gpa;

/**
 * Uses every way of accessing memory, on a machine that is thrown away. After
 * 30 000 rounds the optimising compiler has seen, and compiled, everything.
 */
export function conditionCore(seed: number, rounds: number): void {
  const random = new Random(seed);
  const ram = new GuestRam([
    { name: "ram-low", start: 0 as Gpa, length: 512 * PAGE_SIZE },
    { name: "rom", start: ROM, length: 16 * PAGE_SIZE, readOnly: true },
    { name: "ram-high", start: HIGH_RAM, length: 512 * PAGE_SIZE },
  ]);
  const iommu = new Iommu(ram, { clock: new VirtualClock(), seed });
  const memories: Memory<Iova>[] = [];
  for (let id = 1; id <= 4; id++) memories.push(iommu.addEndpoint(id).memory);
  iommu.createDomain(1);
  iommu.createDomain(2);
  iommu.createDomain(3, "bypass");
  iommu.attach(1, 1);
  iommu.attach(2, 2);
  iommu.attach(3, 3);
  // Endpoint 4 is attached to nothing: it faults.
  for (let page = 0; page < PAGES; page++) {
    // One in eight is a hole, one in eight read-only, one in eight shorter than a page.
    const kind = random.below(8);
    if (kind === 0) continue;
    const gpa = (page % 2 === 0 ? 0 : HIGH_RAM) + random.below(512) * PAGE_SIZE;
    const length = kind === 1 ? 1 + random.below(PAGE_SIZE) : PAGE_SIZE;
    const access = kind === 2 ? Access.READ : Access.READ_WRITE;
    iommu.map(1, (page * PAGE_SIZE) as Iova, gpa as Gpa, length, access);
  }
  iommu.map(2, WIDE_IOVA, HIGH_RAM, 256 * PAGE_SIZE, Access.READ_WRITE);
  iommu.map(2, 0 as Iova, 0 as Gpa, 8 * PAGE_SIZE, Access.READ);
  iommu.map(2, 0x10_0000 as Iova, ROM, 8 * PAGE_SIZE, Access.READ_WRITE);
  const buffers = [8, 64, 1500, PAGE_SIZE, 3 * PAGE_SIZE].map((size) => new Uint8Array(size));
  const sizes: readonly ScalarSize[] = [1, 2, 4, 8];
  for (let round = 0; round < rounds; round++) {
    const memory = memories[random.below(16) === 0 ? 3 : random.below(3)]!;
    const base = random.below(2) === 0 ? 0 : WIDE_IOVA;
    const iova = (base + random.below(PAGES * PAGE_SIZE)) as Iova;
    memory.readU8(iova);
    memory.readU16(iova);
    memory.readU32(iova);
    memory.readU64(iova);
    memory.writeU8(iova, round);
    memory.writeU16(iova, round);
    memory.writeU32(iova, round);
    memory.writeU64(iova, round);
    const size = sizes[random.below(4)]!;
    memory.atomicLoad(iova, size);
    memory.atomicStore((iova - iova % 8) as Iova, size, round);
    const buffer = buffers[random.below(buffers.length)]!;
    if (round % 4 === 0) memory.read(iova, buffer);
    else if (round % 4 === 1) memory.write(iova, buffer);
    else if (round % 64 === 2) memory.slices(iova, buffer.length, Access.READ);
    if (round % 16 === 0) {
      const page = (PAGES + random.below(64)) * PAGE_SIZE as Iova;
      iommu.map(1, page, 0 as Gpa, PAGE_SIZE, Access.READ_WRITE);
      iommu.unmap(1, page, PAGE_SIZE);
    }
  }
}
