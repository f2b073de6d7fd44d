/**
 * Lanes of map and unmap in pairs, one 4 KiB page each, among mappings that stay.
 * @module
 */

import { Access, type Gpa, type Iova, PAGE_SIZE } from "../../../core/address.ts";
import { Iommu } from "../../../core/iommu/iommu.ts";
import { GuestRam } from "../../../core/memory/guest_ram.ts";
import { VirtualClock } from "../../../core/observe/virtual_clock.ts";
import { Random } from "../../../harness/random.ts";
import type { LaneFactory, LaneParameters, Subject } from "../subject.ts";
import { conditionCore } from "./conditioning.ts";
import { BigIntPageTable, NumberPageTable } from "./naive_tables.ts";
import { IOVA_BASE, numberOf, permutation } from "./workload.ts";

/** Every other page stays mapped; pairs take place in the holes between. */
function iovaOf(index: number, where: "live" | "hole"): number {
  return IOVA_BASE + (2 * index + (where === "live" ? 0 : 1)) * PAGE_SIZE;
}

function gpaOf(index: number): number {
  return index % 4096 * PAGE_SIZE;
}

/** What a lane's parameters ask for: the mappings that stay, shuffled, and where the pairs go. */
function workload(parameters: LaneParameters): { live: Uint32Array; order: Float64Array } {
  const random = new Random(numberOf(parameters, "seed"));
  const live = permutation(numberOf(parameters, "live"), random);
  const holes = Math.max(live.length, 1024);
  const order = Float64Array.from({ length: 65536 }, () => iovaOf(random.below(holes), "hole"));
  return { live, order };
}

class MapUnmap implements Subject {
  readonly name = "iommu";
  readonly pass: number;
  readonly #iommu: Iommu;
  readonly #order: Float64Array;
  #at = 0;

  constructor(iommu: Iommu, order: Float64Array) {
    this.pass = order.length;
    this.#iommu = iommu;
    this.#order = order;
  }

  run(operations: number): number {
    const iommu = this.#iommu;
    let pairs = 0;
    for (let i = 0; i < operations; i++) {
      const iova = this.#order[this.#at]! as Iova;
      iommu.map(1, iova, gpaOf(i) as Gpa, PAGE_SIZE, Access.READ_WRITE);
      const completion = iommu.unmap(1, iova, PAGE_SIZE);
      if (completion.done && completion.bytes === PAGE_SIZE) pairs++;
      if (++this.#at === this.#order.length) this.#at = 0;
    }
    return pairs;
  }
}

class MapUnmapBigInt implements Subject {
  readonly name = "map-bigint";
  readonly pass: number;
  readonly #table: BigIntPageTable;
  readonly #order: readonly bigint[];
  #at = 0;

  constructor(table: BigIntPageTable, order: Float64Array) {
    this.pass = order.length;
    this.#table = table;
    this.#order = Array.from(order, BigInt);
  }

  run(operations: number): number {
    const table = this.#table;
    const before = table.size;
    let pairs = 0;
    for (let i = 0; i < operations; i++) {
      const iova = this.#order[this.#at]!;
      table.map(iova, 0x1000n);
      table.unmap(iova);
      if (table.size === before) pairs++;
      if (++this.#at === this.#order.length) this.#at = 0;
    }
    return pairs;
  }
}

class MapUnmapNumber implements Subject {
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
    const table = this.#table;
    const before = table.size;
    let pairs = 0;
    for (let i = 0; i < operations; i++) {
      const iova = this.#order[this.#at]!;
      table.map(iova, 0x1000);
      table.unmap(iova);
      if (table.size === before) pairs++;
      if (++this.#at === this.#order.length) this.#at = 0;
    }
    return pairs;
  }
}

/** Parameters: `seed`; `live` mappings that stay. */
export const mappingLanes: Readonly<Record<string, LaneFactory>> = {
  "map-unmap-iommu": (parameters) => {
    const seed = numberOf(parameters, "seed");
    conditionCore(seed, numberOf(parameters, "conditioning"));
    const { live, order } = workload(parameters);
    const ram = new GuestRam([{ name: "ram", start: 0 as Gpa, length: PAGE_SIZE }]);
    const iommu = new Iommu(ram, { clock: new VirtualClock(), seed });
    iommu.addEndpoint(1);
    iommu.createDomain(1);
    iommu.attach(1, 1);
    for (const index of live) {
      iommu.map(1, iovaOf(index, "live") as Iova, gpaOf(index) as Gpa, PAGE_SIZE, Access.READ);
    }
    return [new MapUnmap(iommu, order)];
  },
  "map-unmap-bigint": (parameters) => {
    const { live, order } = workload(parameters);
    const table = new BigIntPageTable();
    for (const index of live) table.map(BigInt(iovaOf(index, "live")), BigInt(gpaOf(index)));
    return [new MapUnmapBigInt(table, order)];
  },
  "map-unmap-number": (parameters) => {
    const { live, order } = workload(parameters);
    const table = new NumberPageTable();
    for (const index of live) table.map(iovaOf(index, "live"), gpaOf(index));
    return [new MapUnmapNumber(table, order)];
  },
};
