import { assertEquals } from "@std/assert";
import { Access, type Gpa, type Iova } from "../../core/address.ts";
import type { Domain } from "../../core/iommu/domain.ts";
import { Iommu } from "../../core/iommu/iommu.ts";
import { GuestRam } from "../../core/memory/guest_ram.ts";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";
import { MappingNotes } from "./mapping_notes.ts";

const PAGE = 4096;

function bench(): { iommu: Iommu; domain: Domain; notes: MappingNotes; map(iova: number): void } {
  const ram = new GuestRam([{ name: "ram", start: 0 as Gpa, length: PAGE }]);
  const iommu = new Iommu(ram, { clock: new VirtualClock() });
  iommu.createDomain(1);
  return {
    iommu,
    domain: iommu.domain(1),
    notes: new MappingNotes(iommu),
    map: (iova) => iommu.map(1, iova as Iova, 0 as Gpa, PAGE, Access.READ),
  };
}

const at = (iova: number) => ({ iova, gpa: 0, length: PAGE, access: Access.READ });

Deno.test("MappingNotes.hit() counts for the mapping that covers the address, and for no other", () => {
  const { domain, notes, map } = bench();
  map(0x1000);
  map(0x2000);
  for (const iova of [0x1000, 0x1fff, 0x2000, 0x3000, 0]) notes.hit(domain, iova, 0);
  assertEquals(notes.tuple(domain, at(0x1000)), [0x1000, 0, PAGE, 1, -1, 2]);
  assertEquals(notes.tuple(domain, at(0x2000)), [0x2000, 0, PAGE, 1, -1, 1]);
});

Deno.test("MappingNotes.mapped() begins anew: hits of an earlier mapping at the place are not its own", () => {
  const { domain, notes, map } = bench();
  map(0x1000);
  notes.mapped(1, 0x1000, 5);
  notes.hit(domain, 0x1000, 5);
  notes.mapped(1, 0x1000, 9);
  assertEquals(notes.tuple(domain, at(0x1000)), [0x1000, 0, PAGE, 1, 9, 0]);
  // Seen late: it was made through the mapping before.
  notes.hit(domain, 0x1000, 8);
  assertEquals(notes.tuple(domain, at(0x1000))[5], 0);
  notes.hit(domain, 0x1000, 9);
  assertEquals(notes.tuple(domain, at(0x1000))[5], 1);
});

Deno.test("MappingNotes.forget() leaves nothing to a domain of the same number", () => {
  const { domain, notes, map } = bench();
  map(0x1000);
  notes.mapped(1, 0x1000, 5);
  notes.hit(domain, 0x1000, 5);
  notes.forget(1);
  assertEquals(notes.tuple(domain, at(0x1000)), [0x1000, 0, PAGE, 1, -1, 0]);
});

Deno.test("MappingNotes counts for as many mappings as it has room for, and says so of the others", () => {
  const { domain, notes, map } = bench();
  const room = 65_536;
  for (let page = 0; page <= room; page++) {
    map(page * PAGE);
    notes.hit(domain, page * PAGE, 0);
  }
  const hits = (page: number) => notes.tuple(domain, at(page * PAGE))[5];
  assertEquals([hits(0), hits(room - 1), hits(room)], [1, 1, -1]);
});

Deno.test("MappingNotes makes room when mappings are gone", () => {
  const { iommu, domain, notes, map } = bench();
  const room = 65_536;
  for (let page = 0; page < room; page++) {
    map(page * PAGE);
    notes.hit(domain, page * PAGE, 0);
  }
  iommu.unmap(1, 0 as Iova, room * PAGE);
  map(room * PAGE);
  notes.hit(domain, room * PAGE, 0);
  assertEquals(notes.tuple(domain, at(room * PAGE))[5], 1);
});
