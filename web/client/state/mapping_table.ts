/**
 * The mappings of a domain in typed arrays, filled a page of the server's at a time:
 * 64 Ki of them are 3 MB and no objects.
 * @module
 */

import type { MappingRow, MappingsPage } from "../../api.ts";

const ACCESSES: readonly string[] = ["none", "r", "w", "rw"];

/** Rows, ascending by IOVA. */
export class MappingTable {
  #capacity = 1024;
  #length = 0;
  #iova = new Float64Array(this.#capacity);
  #last = new Float64Array(this.#capacity);
  #gpa = new Float64Array(this.#capacity);
  #mappedNs = new Float64Array(this.#capacity);
  #hits = new Float64Array(this.#capacity);
  #access = new Uint8Array(this.#capacity);

  /** Rows there are. */
  get length(): number {
    return this.#length;
  }

  /** Adds the rows of a page, which follow those there are. */
  append({ mappings }: Pick<MappingsPage, "mappings">): void {
    while (this.#length + mappings.length > this.#capacity) this.#grow();
    for (const { iova, last, gpa, access, mappedNs, hits } of mappings) {
      const at = this.#length++;
      this.#iova[at] = iova;
      this.#last[at] = last;
      this.#gpa[at] = gpa;
      this.#access[at] = Math.max(0, ACCESSES.indexOf(access));
      this.#mappedNs[at] = mappedNs ?? NaN;
      this.#hits[at] = hits ?? NaN;
    }
  }

  /** First IOVA of a row. */
  iova(index: number): number {
    return this.#iova[index]!;
  }

  /** Last IOVA of a row. */
  last(index: number): number {
    return this.#last[index]!;
  }

  /** Access bits of a row. */
  access(index: number): number {
    return this.#access[index]!;
  }

  /** A row; null beyond the end. */
  row(index: number): MappingRow | null {
    if (index < 0 || index >= this.#length) return null;
    const iova = this.#iova[index]!;
    const last = this.#last[index]!;
    const mappedNs = this.#mappedNs[index]!, hits = this.#hits[index]!;
    return {
      iova,
      last,
      gpa: this.#gpa[index]!,
      length: last - iova + 1,
      access: ACCESSES[this.#access[index]!]!,
      mappedNs: Number.isNaN(mappedNs) ? null : mappedNs,
      hits: Number.isNaN(hits) ? null : hits,
    };
  }

  /** The row that covers `iova`, or the first one after it; `length` when there is none. */
  find(iova: number): number {
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#last[middle]! < iova) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #grow(): void {
    this.#capacity *= 2;
    const bigger = (old: Float64Array): Float64Array<ArrayBuffer> => {
      const array = new Float64Array(this.#capacity);
      array.set(old);
      return array;
    };
    this.#iova = bigger(this.#iova);
    this.#last = bigger(this.#last);
    this.#gpa = bigger(this.#gpa);
    this.#mappedNs = bigger(this.#mappedNs);
    this.#hits = bigger(this.#hits);
    const access = new Uint8Array(this.#capacity);
    access.set(this.#access);
    this.#access = access;
  }
}
