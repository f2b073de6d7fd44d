/**
 * Lists of the server's that grow while they are looked at, fetched page by page and
 * then only at the end where they grow.
 * @module
 */

import { useEffect, useRef, useState } from "preact/hooks";
import { getJson, type RequestError } from "../state/request.ts";
import { reconnects } from "../state/store.ts";
import { PacedRequest } from "./paced_request.ts";

/** Rows kept on the page: the newest. */
export const MOST_ROWS = 50_000;
/** Milliseconds between two looks at what has come so far. */
const SHOW_MS = 300;
/** A list that grows faster than it is fetched is left alone for a moment after so many pages. */
const PAGES_AT_A_TIME = 64;

/** A page of any list. */
export interface ListPage<Row> {
  readonly rows: readonly Row[];
  readonly next: string | null;
}

/** How far it has come. */
export interface LoadedList<Row, Page> {
  readonly rows: readonly Row[];
  /** The newest page that came. */
  readonly page: Page;
  readonly isWhole: boolean;
}

/** What a list is, and which way it grows. */
export interface ListSource<Row, Page> {
  /** Without its cursor; another path is another list. */
  readonly path: string;
  /** Whose list it is, where the path does not say: another run's is another list. */
  readonly of: string;
  /** `first`: new rows come on the first page. `last`: on the last. */
  readonly grows: "first" | "last";
  readonly read: (page: Page) => ListPage<Row>;
  /** Greater for newer rows: tells where a new first page meets what is known. */
  readonly numberOf: (row: Row) => number;
  /** Number of the oldest row that the server may still have; older ones go here too. Left out where none go. */
  readonly oldestKept?: (page: Page) => number;
}

class Loader<Row, Page> {
  readonly #source: ListSource<Row, Page>;
  readonly #tell: (loaded: LoadedList<Row, Page> | null, error: RequestError | null) => void;
  readonly #request: PacedRequest;
  #rows: Row[] = [];
  /** Cursor of the last page, and the rows before it. */
  #cursor = "";
  #before = 0;
  #isWhole = false;
  #shownMs = -Infinity;
  #loaded: LoadedList<Row, Page> | null = null;

  constructor(
    source: ListSource<Row, Page>,
    tell: (loaded: LoadedList<Row, Page> | null, error: RequestError | null) => void,
  ) {
    this.#source = source;
    this.#tell = tell;
    this.#request = new PacedRequest(
      (signal) => this.#load(signal),
      (error) => tell(this.#loaded, error as RequestError),
    );
  }

  ask(): void {
    this.#request.ask();
  }

  stop(): void {
    this.#request.stop();
  }

  async #load(signal: AbortSignal): Promise<void> {
    if (this.#source.grows === "first" && this.#rows.length > 0) await this.#newest(signal);
    else await this.#onwards(signal);
  }

  #show(page: Page): void {
    this.#shownMs = performance.now();
    // A copy: the page is drawn again while more rows come, and they must be those its numbers are of.
    this.#loaded = { rows: this.#rows.slice(), page, isWhole: this.#isWhole };
    this.#tell(this.#loaded, null);
  }

  async #fetch(cursor: string, signal: AbortSignal): Promise<Page> {
    const { path } = this.#source;
    const query = cursor === ""
      ? ""
      : `${path.includes("?") ? "&" : "?"}cursor=${encodeURIComponent(cursor)}`;
    const page = await getJson<Page>(path + query, signal);
    signal.throwIfAborted();
    return page;
  }

  async #onwards(signal: AbortSignal): Promise<void> {
    for (let pages = 0; pages < PAGES_AT_A_TIME; pages++) {
      const page = await this.#fetch(this.#cursor, signal);
      const { rows, next } = this.#source.read(page);
      this.#rows.length = this.#before;
      this.#forget(page);
      for (const row of rows) this.#rows.push(row);
      this.#isWhole = next === null;
      if (next !== null && rows.length > 0) {
        this.#cursor = next;
        this.#before = this.#rows.length;
      }
      const extra = this.#rows.length - MOST_ROWS;
      if (extra > 0) {
        if (this.#source.grows === "first") {
          this.#rows.length = MOST_ROWS;
          this.#isWhole = true;
          this.#show(page);
          return;
        }
        this.#cut(extra);
      }
      const isLast = next === null || rows.length === 0 || pages + 1 === PAGES_AT_A_TIME;
      // Not drawn with every page: there may be hundreds.
      if (isLast || performance.now() - this.#shownMs >= SHOW_MS) this.#show(page);
      if (isLast) return;
    }
  }

  /** Lets go of what the server has let go of, in a list that grows at its end. */
  #forget(page: Page): void {
    const oldest = this.#source.oldestKept?.(page);
    if (oldest === undefined || this.#source.grows === "first") return;
    const kept = this.#rows.findIndex((row) => this.#source.numberOf(row) >= oldest);
    this.#cut(kept < 0 ? this.#rows.length : kept);
  }

  #cut(count: number): void {
    this.#rows.splice(0, count);
    this.#before = Math.max(0, this.#before - count);
  }

  async #newest(signal: AbortSignal): Promise<void> {
    const known = this.#source.numberOf(this.#rows[0]!);
    const fresh: Row[] = [];
    let cursor = "";
    let first: Page | null = null;
    for (;;) {
      const page: Page = await this.#fetch(cursor, signal);
      first ??= page;
      const { rows, next } = this.#source.read(page);
      let met = false;
      for (const row of rows) {
        if (this.#source.numberOf(row) <= known) {
          met = true;
          break;
        }
        fresh.push(row);
      }
      if (met || next === null || fresh.length >= MOST_ROWS) break;
      cursor = next;
    }
    if (fresh.length > 0) {
      this.#rows = fresh.concat(this.#rows).slice(0, MOST_ROWS);
      this.#before += fresh.length;
    }
    this.#show(first);
    if (!this.#isWhole) await this.#onwards(signal);
  }
}

/**
 * The rows of a list so far; asked for again when `version` changes, once a second at most, and when
 * the server is there again.
 */
export function useList<Row, Page>(
  source: ListSource<Row, Page>,
  version: unknown,
): { loaded: LoadedList<Row, Page> | null; error: RequestError | null } {
  const identity = `${source.path}#${source.of}`;
  const [state, setState] = useState<{
    identity: string;
    loaded: LoadedList<Row, Page> | null;
    error: RequestError | null;
  }>({ identity, loaded: null, error: null });
  const loader = useRef<Loader<Row, Page> | null>(null);

  useEffect(() => {
    const mine = new Loader<Row, Page>(
      source,
      (loaded, error) => setState({ identity, loaded, error }),
    );
    loader.current = mine;
    return () => {
      mine.stop();
      loader.current = null;
    };
  }, [identity]);
  useEffect(() => loader.current?.ask(), [identity, version, reconnects.value]);

  return state.identity === identity ? state : { loaded: null, error: null };
}
