/**
 * Lists of the server's that grow while they are looked at, fetched page by page and
 * then only at the end where they grow.
 * @module
 */

import { useEffect, useRef, useState } from "preact/hooks";
import { getJson, type RequestError } from "../state/request.ts";

/** Rows kept on the page: the newest. */
export const MOST_ROWS = 50_000;
const AGAIN_MS = 1000;
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
}

class Loader<Row, Page> {
  readonly #source: ListSource<Row, Page>;
  readonly #tell: (loaded: LoadedList<Row, Page> | null, error: RequestError | null) => void;
  readonly #abort = new AbortController();
  #rows: Row[] = [];
  /** Cursor of the last page, and the rows before it. */
  #cursor = "";
  #before = 0;
  #isWhole = false;
  #isBusy = false;
  #isWanted = false;
  #askedMs = -Infinity;
  #shownMs = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    source: ListSource<Row, Page>,
    tell: (loaded: LoadedList<Row, Page> | null, error: RequestError | null) => void,
  ) {
    this.#source = source;
    this.#tell = tell;
  }

  ask(): void {
    this.#isWanted = true;
    if (this.#isBusy || this.#timer !== undefined) return;
    const waitMs = Math.max(0, this.#askedMs + AGAIN_MS - performance.now());
    this.#timer = setTimeout(() => void this.#run(), waitMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  async #run(): Promise<void> {
    this.#timer = undefined;
    this.#isWanted = false;
    this.#isBusy = true;
    this.#askedMs = performance.now();
    try {
      if (this.#source.grows === "first" && this.#rows.length > 0) await this.#newest();
      else await this.#onwards();
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#tell(this.#loaded, error as RequestError);
    }
    this.#isBusy = false;
    if (this.#isWanted && !this.#abort.signal.aborted) this.ask();
  }

  #loaded: LoadedList<Row, Page> | null = null;

  #show(page: Page): void {
    this.#shownMs = performance.now();
    // A fresh array would cost as much as the list is long; who looks is told by the object around it.
    this.#loaded = { rows: this.#rows, page, isWhole: this.#isWhole };
    this.#tell(this.#loaded, null);
  }

  async #fetch(cursor: string): Promise<Page> {
    const { path } = this.#source;
    const query = cursor === ""
      ? ""
      : `${path.includes("?") ? "&" : "?"}cursor=${encodeURIComponent(cursor)}`;
    const page = await getJson<Page>(path + query, this.#abort.signal);
    this.#abort.signal.throwIfAborted();
    return page;
  }

  async #onwards(): Promise<void> {
    for (let pages = 0; pages < PAGES_AT_A_TIME; pages++) {
      const page = await this.#fetch(this.#cursor);
      const { rows, next } = this.#source.read(page);
      this.#rows.length = this.#before;
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
        this.#rows.splice(0, extra);
        this.#before = Math.max(0, this.#before - extra);
      }
      const isLast = next === null || rows.length === 0 || pages + 1 === PAGES_AT_A_TIME;
      // Not drawn with every page: there may be hundreds.
      if (isLast || performance.now() - this.#shownMs >= SHOW_MS) this.#show(page);
      if (isLast) return;
    }
  }

  async #newest(): Promise<void> {
    const known = this.#source.numberOf(this.#rows[0]!);
    const fresh: Row[] = [];
    let cursor = "";
    let first: Page | null = null;
    for (;;) {
      const page: Page = await this.#fetch(cursor);
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
    if (!this.#isWhole) await this.#onwards();
  }
}

/** The rows of a list so far; asked for again when `version` changes, once a second at most. */
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
  useEffect(() => loader.current?.ask(), [identity, version]);

  return state.identity === identity ? state : { loaded: null, error: null };
}
