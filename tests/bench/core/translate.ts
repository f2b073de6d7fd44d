/**
 * Lanes of random 8-byte accesses: bare translation, and the whole way to the
 * bytes. The same accesses for each, and the same sum from each.
 * @module
 */

import { Access, type Gpa, type Iova, PAGE_SIZE } from "../../../core/address.ts";
import { AddressSpace } from "../../../core/iommu/address_space.ts";
import { Iommu } from "../../../core/iommu/iommu.ts";
import type { TranslationTable } from "../../../core/iommu/translation_table.ts";
import { GuestRam } from "../../../core/memory/guest_ram.ts";
import type { Memory } from "../../../core/memory/memory.ts";
import { PAGE_REGISTERS, SOUGHT_PAGE, TARGET_PAGE } from "../../../core/memory/page_registers.ts";
import { EndpointCounters } from "../../../core/observe/counters.ts";
import { VirtualClock } from "../../../core/observe/virtual_clock.ts";
import type { LaneFactory, LaneParameters, Subject } from "../subject.ts";
import { conditionCore } from "./conditioning.ts";
import { BigIntPageTable, NumberPageTable } from "./naive_tables.ts";
import { numberOf, RAM_BASE, ScatteredPages, selfDescribingBytes } from "./workload.ts";

// Subjects are objects with fields, as devices are: a table in a constant would
// let the compiler build its address into the code.

/** A lane's parameters, made into what its subject needs. */
function workload(parameters: LaneParameters): { pages: ScatteredPages; order: Float64Array } {
  const seed = numberOf(parameters, "seed");
  const pages = new ScatteredPages(
    numberOf(parameters, "pages"),
    numberOf(parameters, "frames"),
    seed,
  );
  return { pages, order: pages.accesses(numberOf(parameters, "hot"), seed + 1) };
}

class ReadU64 implements Subject {
  readonly name = "read-u64";
  readonly pass: number;
  readonly #memory: Memory<Iova>;
  readonly #order: Float64Array;
  #at = 0;

  constructor(memory: Memory<Iova>, order: Float64Array) {
    this.pass = order.length;
    this.#memory = memory;
    this.#order = order;
  }

  run(operations: number): number {
    const order = this.#order;
    const memory = this.#memory;
    let at = this.#at;
    let sum = 0;
    for (let i = 0; i < operations; i++) {
      sum += memory.readU64(order[at]! as Iova);
      if (++at === order.length) at = 0;
    }
    this.#at = at;
    return sum;
  }
}

class Bare implements Subject {
  readonly name = "bare";
  readonly pass: number;
  readonly #table: TranslationTable;
  readonly #counters = new EndpointCounters().values;
  readonly #pages = new Float64Array(PAGE_REGISTERS);
  readonly #order: Float64Array;
  #at = 0;

  constructor(table: TranslationTable, order: Float64Array) {
    this.pass = order.length;
    this.#table = table;
    this.#order = order;
  }

  run(operations: number): number {
    const order = this.#order;
    const table = this.#table;
    const counters = this.#counters;
    const pages = this.#pages;
    let at = this.#at;
    let sum = 0;
    for (let i = 0; i < operations; i++) {
      // As IommuMemory does it for an access within a page.
      const iova = order[at]!;
      pages[SOUGHT_PAGE] = Math.floor(iova / PAGE_SIZE);
      sum += table.translatePage(pages, Access.READ, counters);
      sum += pages[TARGET_PAGE]! * PAGE_SIZE + (iova & (PAGE_SIZE - 1));
      if (++at === order.length) at = 0;
    }
    this.#at = at;
    return sum;
  }
}

class MapBigInt implements Subject {
  readonly name = "map-bigint";
  readonly pass: number;
  readonly #table: BigIntPageTable;
  /** BigInts that are there already, as those of a parsed descriptor are: making them is not timed. */
  readonly #order: readonly bigint[];
  #at = 0;

  constructor(table: BigIntPageTable, order: Float64Array) {
    this.pass = order.length;
    this.#table = table;
    this.#order = Array.from(order, BigInt);
  }

  run(operations: number): number {
    const order = this.#order;
    const table = this.#table;
    let at = this.#at;
    let sum = 0;
    for (let i = 0; i < operations; i++) {
      // As a number, for memory is indexed by nothing else.
      sum += Number(table.translate(order[at]!)!);
      if (++at === order.length) at = 0;
    }
    this.#at = at;
    return sum;
  }
}

class MapBigIntRead implements Subject {
  readonly name = "map-bigint-read";
  readonly pass: number;
  readonly #table: BigIntPageTable;
  readonly #view: DataView;
  readonly #order: readonly bigint[];
  #at = 0;

  constructor(table: BigIntPageTable, bytes: Uint8Array, order: Float64Array) {
    this.pass = order.length;
    this.#table = table;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#order = Array.from(order, BigInt);
  }

  run(operations: number): number {
    const order = this.#order;
    const table = this.#table;
    const view = this.#view;
    let at = this.#at;
    let sum = 0;
    for (let i = 0; i < operations; i++) {
      const gpa = table.translate(order[at]!)!;
      sum += Number(view.getBigUint64(Number(gpa) - RAM_BASE, true));
      if (++at === order.length) at = 0;
    }
    this.#at = at;
    return sum;
  }
}

class MapNumber implements Subject {
  readonly name = "map-number";
  readonly pass: number;
  readonly #table: NumberPageTable;
  readonly #order: Float64Array;
  #at = 0;

  constructor(table: NumberPageTable, order: Float64Array) {
    this.pass = order.length;
    this.#table = table;
    this.#order = order;
  }

  run(operations: number): number {
    const order = this.#order;
    const table = this.#table;
    let at = this.#at;
    let sum = 0;
    for (let i = 0; i < operations; i++) {
      sum += table.translate(order[at]!)!;
      if (++at === order.length) at = 0;
    }
    this.#at = at;
    return sum;
  }
}

function bigIntTable(pages: ScatteredPages): BigIntPageTable {
  const table = new BigIntPageTable();
  pages.mapEach((iova, gpa) => table.map(BigInt(iova), BigInt(gpa)));
  return table;
}

/** Parameters: `seed`; `pages` mapped to `frames` of RAM; `hot` of them accessed. */
export const translateLanes: Readonly<Record<string, LaneFactory>> = {
  "read-u64": (parameters) => {
    const seed = numberOf(parameters, "seed");
    conditionCore(seed, numberOf(parameters, "conditioning"));
    const { pages, order } = workload(parameters);
    const ram = new GuestRam([{
      name: "ram",
      start: RAM_BASE as Gpa,
      length: pages.frames * PAGE_SIZE,
      bytes: selfDescribingBytes(pages.frames),
    }]);
    const iommu = new Iommu(ram, { clock: new VirtualClock(), seed });
    const { memory } = iommu.addEndpoint(1);
    iommu.createDomain(1);
    iommu.attach(1, 1);
    pages.mapEach((iova, gpa) => iommu.map(1, iova, gpa, PAGE_SIZE, Access.READ_WRITE));
    return [new ReadU64(memory, order)];
  },
  bare: (parameters) => {
    const seed = numberOf(parameters, "seed");
    conditionCore(seed, numberOf(parameters, "conditioning"));
    const { pages, order } = workload(parameters);
    const space = new AddressSpace("domain 1", seed);
    pages.mapEach((iova, gpa) => space.map(iova, gpa, PAGE_SIZE, Access.READ_WRITE));
    return [new Bare(space.table, order)];
  },
  "map-bigint": (parameters) => {
    const { pages, order } = workload(parameters);
    return [new MapBigInt(bigIntTable(pages), order)];
  },
  "map-bigint-read": (parameters) => {
    const { pages, order } = workload(parameters);
    return [new MapBigIntRead(bigIntTable(pages), selfDescribingBytes(pages.frames), order)];
  },
  "map-number": (parameters) => {
    const { pages, order } = workload(parameters);
    const table = new NumberPageTable();
    pages.mapEach((iova, gpa) => table.map(iova, gpa));
    return [new MapNumber(table, order)];
  },
};
