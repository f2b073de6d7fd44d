import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Access, type Gpa, type Iova } from "../../core/address.ts";
import { Iommu } from "../../core/iommu/iommu.ts";
import { GuestRam } from "../../core/memory/guest_ram.ts";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";
import { MappingNotes } from "./mapping_notes.ts";
import { aroundOf, mappingsFrom, nearestOf, SIDE } from "./mapping_query.ts";
import type { MappingTuple } from "./observation.ts";

const PARTS = fc.array(
  fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })),
  { maxLength: 20 },
);

/** A domain of the mappings, given as gaps and lengths, and what is told of them. */
function bench(parts: readonly (readonly [number, number])[]) {
  const ram = new GuestRam([{ name: "ram", start: 0 as Gpa, length: 4096 }]);
  const iommu = new Iommu(ram, { clock: new VirtualClock() });
  iommu.createDomain(1);
  const tuples: MappingTuple[] = [];
  let end = 0;
  for (const [gap, length] of parts) {
    const iova = end + gap - 1;
    end = iova + length;
    iommu.map(1, iova as Iova, iova * 3 as Gpa, length, Access.READ);
    tuples.push([iova, iova * 3, length, Access.READ, -1, 0]);
  }
  return { domain: iommu.domain(1), notes: new MappingNotes(iommu), tuples, end };
}

Deno.test("aroundOf() finds what a search through all finds", () => {
  fc.assert(fc.property(PARTS, (parts) => {
    const { domain, notes, tuples, end } = bench(parts);
    for (let iova = 0; iova <= end + 1; iova++) {
      assertEquals(aroundOf(domain, iova, notes), {
        over: tuples.find(([start, , length]) => iova >= start && iova < start + length) ?? null,
        below: tuples.findLast(([start, , length]) => start + length <= iova) ?? null,
        above: tuples.find(([start]) => start > iova) ?? null,
      });
    }
  }));
});

Deno.test("mappingsFrom() gives those that begin at an address or after it, and no more than asked for", () => {
  fc.assert(fc.property(PARTS, fc.nat(200), fc.nat(30), (parts, from, limit) => {
    const { domain, notes, tuples } = bench(parts);
    const expected = tuples.filter(([start]) => start >= from).slice(0, limit);
    assertEquals(mappingsFrom(domain, from, limit, notes), expected);
  }));
});

Deno.test("nearestOf() prefers the mapping over the address, then the nearer side, then below", () => {
  const below: MappingTuple = [0x1000, 0, 0x1000, 1, -1, 0];
  const above: MappingTuple = [0x5000, 0, 0x1000, 1, -1, 0];
  const over: MappingTuple = [0x3000, 0, 0x1000, 1, -1, 0];
  const cases = [
    [{ over, below, above }, 0x3001, SIDE.OVER, over],
    [{ over: null, below, above }, 0x2000, SIDE.BELOW, below],
    [{ over: null, below, above }, 0x4fff, SIDE.ABOVE, above],
    [{ over: null, below, above: [0x3000, 0, 1, 1, -1, 0] }, 0x2800 - 1, SIDE.BELOW, below],
    [{ over: null, below, above: null }, 2 ** 40, SIDE.BELOW, below],
    [{ over: null, below: null, above }, 0, SIDE.ABOVE, above],
    [{ over: null, below: null, above: null }, 0, SIDE.NONE, null],
    [null, 0, SIDE.NONE, null],
  ] as const;
  for (const [near, iova, side, mapping] of cases) {
    assertEquals<unknown>(nearestOf(near, iova), [side, mapping]);
  }
});
