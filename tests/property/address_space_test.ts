/** AddressSpace and its caches against a plain list of mappings: any map, unmap and translate, by bytes and by pages. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Access, Fault, type Gpa, type Iova } from "../../core/address.ts";
import { AddressSpace, type Mapping } from "../../core/iommu/address_space.ts";
import { IommuError } from "../../core/iommu/iommu_error.ts";
import { RUN } from "../../core/iommu/translation_table.ts";
import { Counter } from "../../core/observe/counters.ts";

const ACCESSES = [Access.READ, Access.WRITE, Access.READ_WRITE];
const counters = new Float64Array(8);

type Step =
  | { kind: "map"; iova: number; gpa: number; length: number; access: number }
  | { kind: "unmap"; iova: number; length: number }
  /** Of a mapping that was used just now: just its range, or `slack` bytes more on both sides. */
  | { kind: "unmapUsed"; at: number; slack: number }
  | { kind: "clear" };

/** 24 pages, at three places of the space, at ends of pages and of bytes. */
const address = fc.record({
  base: fc.constantFrom(0, 2 ** 32 - 4 * 4096, 2 ** 52 - 24 * 4096),
  page: fc.nat(23),
  offset: fc.oneof(fc.constantFrom(0, 0, 0, 1, 0x800, 0xfff), fc.nat(0xfff)),
}).map(({ base, page, offset }) => base + page * 4096 + offset);
const length = fc.oneof(
  fc.integer({ min: 1, max: 8 }).map((pages) => pages * 4096),
  fc.integer({ min: 1, max: 3 * 4096 }),
  fc.constantFrom(1, 2, 0xfff, 0x1001, 2 ** 51),
);
const target = fc.oneof(address, fc.nat(2 ** 20).map((page) => page * 4096));

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("map" as const),
      iova: address,
      gpa: target,
      length,
      access: fc.constantFrom(0, 1, 2, 3, 3, 3),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("unmap" as const), iova: address, length }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("unmapUsed" as const),
      at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      slack: fc.constantFrom(0, 1, 4096),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "clear" as const }) },
);

/** What an address space must do, said as plainly as can be. */
class MappingList {
  list: Mapping[] = [];

  map(mapping: Mapping): "ok" | "range" | "exists" {
    const { iova, gpa, length } = mapping;
    if (iova + length > 2 ** 52 || gpa + length > 2 ** 52) return "range";
    if (this.list.some((m) => m.iova < iova + length && iova < m.iova + m.length)) return "exists";
    this.list.push(mapping);
    this.list.sort((a, b) => a.iova - b.iova);
    return "ok";
  }

  /** The bytes removed. */
  unmap(iova: number, length: number): number | "range" {
    if (iova + length > 2 ** 52) return "range";
    const end = iova + length;
    const met = this.list.filter((m) => m.iova < end && iova < m.iova + m.length);
    if (met.some((m) => m.iova < iova || m.iova + m.length > end)) return "range";
    this.list = this.list.filter((m) => !met.includes(m));
    return met.reduce((sum, m) => sum + m.length, 0);
  }

  translate(iova: number, access: number): { target: number; left: number } {
    const m = this.list.find((m) => m.iova <= iova && iova < m.iova + m.length);
    if (m === undefined) return { target: Fault.UNMAPPED, left: 0 };
    if ((m.access & access) !== access) return { target: Fault.PERMISSION, left: 0 };
    return { target: m.gpa + (iova - m.iova), left: m.iova + m.length - iova };
  }
}

function refusal(body: () => void): string {
  return assertThrows(body, IommuError).code;
}

function run(space: AddressSpace, model: MappingList, todo: Step): void {
  switch (todo.kind) {
    case "map": {
      const { iova, gpa, length, access } = todo as Mapping & { kind: "map" };
      const expected = model.map({ iova, gpa, length, access });
      const map = () => space.map(iova, gpa, length, access);
      if (expected === "ok") map();
      else assertEquals(refusal(map), expected);
      return;
    }
    case "unmap": {
      const { iova, length } = todo;
      const expected = model.unmap(iova, length);
      const unmap = () => space.unmap(iova as Iova, length);
      if (typeof expected === "number") assertEquals(unmap().bytes, expected);
      else assertEquals(refusal(unmap), expected);
      return;
    }
    case "unmapUsed": {
      const used = model.list[Math.floor(todo.at * model.list.length)];
      if (used === undefined) return;
      const { iova, length } = used;
      const use = () =>
        ACCESSES.forEach((access) => checkTranslation(space, model, iova, access, 1));
      use();
      const start = Math.max(0, iova - todo.slack);
      const end = Math.min(2 ** 52, iova + length + todo.slack);
      run(space, model, { kind: "unmap", iova: start, length: end - start });
      use();
      return;
    }
    case "clear": {
      const bytes = model.list.reduce((sum, m) => sum + m.length, 0);
      assertEquals(space.clear().bytes, bytes);
      model.list = [];
    }
  }
}

function checkTranslation(
  space: AddressSpace,
  model: MappingList,
  iova: number,
  access: number,
  wanted: number,
): void {
  const expected = model.translate(iova, access);
  const actual = space.table.translate(iova, access, wanted, counters);
  assertEquals(actual, expected.target, `translate(${iova}, ${access})`);
  if (actual < 0) return;
  const run = space.table.place[RUN]!;
  assert(run >= 1 && run <= expected.left, `a run of ${run}, ${expected.left} are left`);
  // What is cached a page at a time must still say what it can when that is enough.
  assert(run >= Math.min(wanted, expected.left, 4096 - iova % 4096), `a run of ${run} only`);
}

Deno.test("AddressSpace agrees with a list of mappings, byte by byte, whatever it has cached", () => {
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 5, maxLength: 50, size: "max" }),
      fc.array(fc.tuple(address, fc.constantFrom(1, 8, 4096, 2 ** 20)), {
        minLength: 12,
        maxLength: 12,
      }),
      fc.integer(),
      (steps, probes, seed) => {
        const space = new AddressSpace("space", seed);
        const model = new MappingList();
        for (const todo of steps) {
          run(space, model, todo);
          assertEquals([...space.mappings()], model.list);
          assertEquals(space.size, model.list.length);
          assertEquals(space.mappedBytes, model.list.reduce((sum, m) => sum + m.length, 0));
          // Twice, so that the second asks what the first has cached.
          for (let round = 0; round < 2; round++) {
            for (const [iova, wanted] of probes) {
              for (const access of ACCESSES) checkTranslation(space, model, iova, access, wanted);
            }
            for (const { iova, length } of model.list) {
              for (const at of [iova - 1, iova, iova + length - 1, iova + length]) {
                if (at >= 0) checkTranslation(space, model, at, Access.READ, 1);
              }
            }
          }
        }
      },
    ),
    { numRuns: 200 },
  );
});

type PageStep =
  | { kind: "map"; page: number; count: number; frame: number; access: number }
  | { kind: "mapBig"; page: number; count: number; frame: number; access: number }
  | { kind: "unmap"; page: number; count: number }
  | { kind: "touch"; page: number; count: number; stride: number };

const PAGES = 4096;
const pageNumber = fc.nat(PAGES - 1);
const pageCount = fc.oneof(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 1500 }));
const frame = fc.nat(2 ** 39);

const pageStep: fc.Arbitrary<PageStep> = fc.oneof(
  fc.record({
    kind: fc.constant("map" as const),
    page: pageNumber,
    count: pageCount,
    frame,
    access: fc.constantFrom(1, 2, 3),
  }),
  fc.record({
    kind: fc.constant("mapBig" as const),
    page: pageNumber,
    count: pageCount,
    frame,
    access: fc.constantFrom(1, 2, 3),
  }),
  fc.record({ kind: fc.constant("unmap" as const), page: pageNumber, count: pageCount }),
  fc.record({
    kind: fc.constant("touch" as const),
    page: pageNumber,
    count: fc.nat(2000),
    stride: fc.integer({ min: 1, max: 64 }),
  }),
);

interface Page {
  readonly frame: number;
  readonly access: number;
  /** The mapping it is part of: its first page, and its pages. */
  readonly first: number;
  readonly count: number;
}

Deno.test("TranslationTable is never stale: every translation of thousands of pages is the truth", () => {
  let hits = 0;
  fc.assert(
    fc.property(
      fc.array(pageStep, { minLength: 8, maxLength: 40, size: "max" }),
      fc.integer(),
      (steps, seed) => {
        const space = new AddressSpace("space", seed);
        const pages = new Map<number, Page>();
        const tally = new Float64Array(8);
        const mapping = (first: number, count: number, frame: number, access: number) => {
          for (let i = 0; i < count; i++) if (pages.has(first + i)) return;
          space.map(first * 4096 as Iova, frame * 4096 as Gpa, count * 4096, access);
          for (let i = 0; i < count; i++) {
            pages.set(first + i, { frame: frame + i, access, first, count });
          }
        };
        const check = (page: number, access: number) => {
          const there = pages.get(page);
          const expected = there === undefined
            ? Fault.UNMAPPED
            : (there.access & access) !== access
            ? Fault.PERMISSION
            : there.frame * 4096 + 0x123;
          const actual = space.table.translate(page * 4096 + 0x123, access, 8, tally);
          if (actual !== expected) assertEquals(actual, expected, `page ${page}`);
        };
        for (const todo of steps) {
          const count = Math.min(todo.count, PAGES - todo.page);
          switch (todo.kind) {
            case "map":
              // Neighbours to frames that are not.
              for (let i = 0; i < count; i++) {
                mapping(todo.page + i, 1, (todo.frame + i * 7919) % 2 ** 39, todo.access);
              }
              break;
            case "mapBig":
              mapping(todo.page, count, todo.frame, todo.access);
              break;
            case "unmap": {
              const end = todo.page + count;
              const cut = [pages.get(todo.page), pages.get(end - 1)]
                .some((p) => p !== undefined && (p.first < todo.page || p.first + p.count > end));
              const unmap = () => space.unmap(todo.page * 4096 as Iova, count * 4096);
              if (cut) {
                assertEquals(refusal(unmap), "range");
                break;
              }
              unmap();
              for (let page = todo.page; page < end; page++) pages.delete(page);
              break;
            }
            case "touch":
              for (let i = 0; i < todo.count; i++) {
                check((todo.page + i * todo.stride) % PAGES, ACCESSES[i % 3]!);
              }
          }
          for (let page = 0; page < PAGES; page += 3) check(page, Access.READ);
        }
        hits += tally[Counter.IOTLB_HITS]!;
      },
    ),
    { numRuns: 120 },
  );
  assert(hits > 10_000, `only ${hits} came from a cache`);
});
