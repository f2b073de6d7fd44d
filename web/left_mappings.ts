/**
 * The mappings a run has left, in columns of numbers, to page through and to look up.
 * @module
 */

import {
  type Around,
  MAPPING_FIELDS as FIELDS,
  type MappingTuple,
} from "../harness/observe/observation.ts";

/** The mappings of one domain, ascending by IOVA. */
export class LeftMappings {
  // Little: there may be many domains of few mappings.
  #values = new Float64Array(4 * FIELDS);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds mappings behind those that are there; one that does not come after the last is left out. */
  add(mappings: readonly MappingTuple[]): void {
    for (const mapping of mappings) {
      if (this.#size > 0 && mapping[0] <= this.#start(this.#size - 1)) continue;
      if ((this.#size + 1) * FIELDS > this.#values.length) {
        const grown = new Float64Array(this.#values.length * 2);
        grown.set(this.#values);
        this.#values = grown;
      }
      this.#values.set(mapping, this.#size++ * FIELDS);
    }
  }

  /** At most `limit` that begin at or after `from`. */
  page(from: number, limit: number): MappingTuple[] {
    const first = this.#lowerBound(from);
    const rows: MappingTuple[] = [];
    for (let at = first; at < Math.min(this.#size, first + limit); at++) rows.push(this.#at(at)!);
    return rows;
  }

  /** The mappings round an address. */
  around(iova: number): Around {
    const above = this.#lowerBound(iova + 1);
    const floor = this.#at(above - 1);
    const covers = floor !== null && iova < floor[0] + floor[2];
    return {
      over: covers ? floor : null,
      below: covers ? this.#at(above - 2) : floor,
      above: this.#at(above),
    };
  }

  #start(at: number): number {
    return this.#values[at * FIELDS]!;
  }

  #at(at: number): MappingTuple | null {
    if (at < 0 || at >= this.#size) return null;
    const [iova, gpa, length, access, mappedNs, hits] = this.#values.subarray(
      at * FIELDS,
      (at + 1) * FIELDS,
    );
    return [iova!, gpa!, length!, access!, mappedNs!, hits!];
  }

  #lowerBound(iova: number): number {
    let low = 0, high = this.#size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#start(middle) < iova) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
