/**
 * Views of the pages of one stretch of bytes that are in use just now.
 * @module
 */

import { PAGE_SIZE } from "../address.ts";

/** Places. The views of all of them together fit into a processor's cache. */
const PLACES = 512;
/** How often in a row a page is asked for before it takes another's place. */
const PERSISTENCE = 3;
/** Calls of `get()` for each place that is taken over: a view for so many comes to a hundredth of a byte each. */
const CALLS_A_VIEW = 8192;

/**
 * Gives out views of whole pages without making one each time. Pages that find
 * no place get none, or accesses all over a large memory would make one each.
 */
export class PageViews {
  readonly #bytes: Uint8Array;
  readonly #views: (Uint8Array | null)[] = new Array(PLACES).fill(null);
  readonly #pages = new Int32Array(PLACES).fill(-1);
  /** Of each place: who asked for it last without having it, and how often in a row. */
  readonly #rivals = new Int32Array(PLACES).fill(-1);
  readonly #asked = new Uint8Array(PLACES);
  /** Calls since a place was taken over. */
  #calls = 0;

  /** @param bytes at most 2^31 pages */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** A view of the page, counted from the first byte; null while it is not in use enough. */
  get(page: number): Uint8Array | null {
    const place = page & (PLACES - 1);
    this.#calls++;
    if (this.#pages[place] === page) return this.#views[place]!;
    if (this.#views[place] !== null && !this.#mayTake(place, page)) return null;
    this.#pages[place] = page;
    return this.#views[place] = this.#bytes.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
  }

  /** Whether the page may have the place of another. */
  #mayTake(place: number, page: number): boolean {
    if (this.#rivals[place] !== page) {
      this.#rivals[place] = page;
      this.#asked[place] = 1;
      return false;
    }
    if (this.#asked[place]! < PERSISTENCE) this.#asked[place]!++;
    if (this.#asked[place]! < PERSISTENCE || this.#calls < CALLS_A_VIEW) return false;
    this.#calls = 0;
    this.#rivals[place] = -1;
    return true;
  }
}
