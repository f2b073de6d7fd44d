/**
 * A device-side cache of translations over byte-granular ranges, as vhost-user
 * and ATS devices keep one: it knows what it was told, lists what it lacks, and
 * can ask its source for that.
 * @module
 */

import { Access, accessName, type Gpa, hex, hexRange, type Iova, isRange } from "../address.ts";
import { TranslationTable } from "./translation_table.ts";

/** A contiguous piece of a translated range. */
export interface Fragment {
  /** First address as the device uses it. */
  readonly iova: Iova;
  /** First address as the guest has it. */
  readonly gpa: Gpa;
  /** Bytes. */
  readonly length: number;
}

/** A piece of a range that could not be translated. */
export interface IovaRange {
  /** First address. */
  readonly iova: Iova;
  /** Bytes. */
  readonly length: number;
}

/** The whole range is cached, with the permission wanted. */
export interface IotlbHit {
  /** Tells it from a miss. */
  readonly ok: true;
  /** Ascending, without gaps; empty for a lookup of length 0. */
  readonly fragments: readonly Fragment[];
}

/** Some of the range is not. Both lists are complete and ascending; at least one is not empty. */
export interface IotlbMiss {
  /** Tells it from a hit. */
  readonly ok: false;
  /** What no entry covers. */
  readonly misses: readonly IovaRange[];
  /** What an entry covers that forbids the access. */
  readonly permissionFailures: readonly IovaRange[];
}

/** Who knows the translations that an {@linkcode Iotlb} lacks. */
export interface IotlbSource {
  /**
   * Asked on a miss or a permission failure for what `miss` lists, with the access
   * that was wanted. Answers by setting entries of `iotlb` before it returns, as
   * many or as few as it has; setting none is how it says no.
   */
  refill(iotlb: Iotlb, miss: IotlbMiss, access: number): void;
}

/**
 * Cached translations. An entry that is set replaces what was there; entries
 * merge when they are contiguous on both sides and alike, so a table that is set
 * page by page costs what one big entry does.
 */
export class Iotlb {
  /** For an access path that translates on its own. Change it only through this IOTLB. */
  readonly table: TranslationTable;
  readonly #source: IotlbSource | null;

  /**
   * Makes an empty IOTLB.
   * @param source asked by {@linkcode translate} for what is lacking; without one nothing is
   * @param seed of the page cache's hash
   */
  constructor(source: IotlbSource | null = null, seed = 0) {
    this.#source = source;
    this.table = new TranslationTable(seed);
  }

  /** Number of entries, after merging. */
  get size(): number {
    return this.table.size;
  }

  /**
   * Sets the translation of `length` bytes at `iova` to `gpa`, for the accesses in
   * `access`, in place of any that is there. Length 0 sets nothing.
   * @throws {RangeError} when either range is not within 0..2^52-1, or for other bits of `access`
   */
  set(iova: Iova, gpa: Gpa, length: number, access: number): void {
    if (!isRange(iova, length) || !isRange(gpa, length)) {
      throw new RangeError(
        `Cannot set the translation of ${length} bytes at ${iova} to ${gpa}: ` +
          `both ranges are integers within 0..2^52-1`,
      );
    }
    if ((access & Access.READ_WRITE) !== access) {
      throw new RangeError(
        `Cannot set the translation of ${hexRange(iova, length)} with access ${access}: ` +
          `READ is 1, WRITE is 2, and there are no others`,
      );
    }
    if (length === 0) return;
    this.#cut(iova, iova + length - 1);
    let start: number = iova;
    let last = iova + length - 1;
    let target: number = gpa;
    const map = this.table.ranges;
    const before = iova > 0 ? map.find(iova - 1) : -1;
    if (
      before >= 0 && map.flagsOf(before) === access &&
      map.targetOf(before) - map.startOf(before) === target - start
    ) {
      start = map.startOf(before);
      target = map.targetOf(before);
      this.table.remove(start);
    }
    const after = map.find(last + 1);
    if (
      after >= 0 && map.flagsOf(after) === access &&
      map.targetOf(after) - map.startOf(after) === target - start
    ) {
      const afterStart = map.startOf(after);
      last = map.lastOf(after);
      this.table.remove(afterStart);
    }
    this.table.insert(start, last, target, access);
  }

  /** Forgets the translation of every byte in the range; an entry that sticks out keeps the rest. @throws {RangeError} */
  invalidate(iova: Iova, length: number): void {
    if (!isRange(iova, length)) {
      throw new RangeError(
        `Cannot invalidate ${length} bytes at ${iova}: the range is integers within 0..2^52-1`,
      );
    }
    if (length > 0) this.#cut(iova, iova + length - 1);
  }

  /** Forgets everything. */
  invalidateAll(): void {
    this.table.clear();
  }

  /**
   * The fragments behind [iova, iova + length), or everything that stands in the
   * way of an access that wants `access`. What lies beyond 2^52 - 1 is a miss.
   * Asks nobody.
   */
  lookup(iova: Iova, length: number, access: number): IotlbHit | IotlbMiss {
    const fragments: Fragment[] = [];
    const misses: IovaRange[] = [];
    const permissionFailures: IovaRange[] = [];
    const map = this.table.ranges;
    const end = iova + length;
    let at: number = iova;
    for (let slot = map.from(iova); at < end; slot = map.next(slot)) {
      const start = slot < 0 ? end : Math.min(end, map.startOf(slot));
      if (start > at) {
        misses.push({ iova: at as Iova, length: start - at });
        at = start;
      }
      if (at >= end) break;
      const run = Math.min(end, map.lastOf(slot) + 1) - at;
      if ((map.flagsOf(slot) & access) === access) {
        const gpa = map.targetOf(slot) + (at - map.startOf(slot));
        fragments.push({ iova: at as Iova, gpa: gpa as Gpa, length: run });
      } else {
        permissionFailures.push({ iova: at as Iova, length: run });
      }
      at += run;
    }
    if (misses.length === 0 && permissionFailures.length === 0) return { ok: true, fragments };
    return { ok: false, misses: joined(misses), permissionFailures: joined(permissionFailures) };
  }

  /**
   * As {@linkcode lookup}; when something is lacking the source is asked once, and
   * what it set is looked up again.
   */
  translate(iova: Iova, length: number, access: number): IotlbHit | IotlbMiss {
    const first = this.lookup(iova, length, access);
    if (first.ok || this.#source === null) return first;
    this.#source.refill(this, first, access);
    return this.lookup(iova, length, access);
  }

  /** The entries, ascending. Stale after a change. */
  *entries(): Generator<Fragment & { readonly access: number }> {
    const map = this.table.ranges;
    for (let slot = map.first(); slot >= 0; slot = map.next(slot)) {
      const start = map.startOf(slot);
      yield {
        iova: start as Iova,
        gpa: map.targetOf(slot) as Gpa,
        length: map.lastOf(slot) - start + 1,
        access: map.flagsOf(slot),
      };
    }
  }

  /** `iova 0x1000..0x1fff -> 0x8000 (rw)`, a line an entry. */
  toString(): string {
    return [...this.entries()].map((entry) =>
      `iova ${hexRange(entry.iova, entry.length)} -> ${hex(entry.gpa)} (${
        accessName(entry.access)
      })`
    ).join("\n");
  }

  /** Removes [start, last]; entries at the edges keep what lies outside. */
  #cut(start: number, last: number): void {
    const map = this.table.ranges;
    for (let slot = map.from(start); slot >= 0; slot = map.from(start)) {
      const entryStart = map.startOf(slot);
      if (entryStart > last) return;
      const entryLast = map.lastOf(slot);
      const target = map.targetOf(slot);
      const flags = map.flagsOf(slot);
      this.table.remove(entryStart);
      if (entryStart < start) this.table.insert(entryStart, start - 1, target, flags);
      if (entryLast > last) {
        this.table.insert(last + 1, entryLast, target + (last + 1 - entryStart), flags);
        return;
      }
    }
  }
}

/** Neighbouring pieces as one: what is lacking is asked for in as few ranges as can be. */
function joined(ranges: readonly IovaRange[]): IovaRange[] {
  const result: IovaRange[] = [];
  for (const range of ranges) {
    const before = result.at(-1);
    if (before !== undefined && before.iova + before.length === range.iova) {
      result[result.length - 1] = { iova: before.iova, length: before.length + range.length };
    } else result.push(range);
  }
  return result;
}
