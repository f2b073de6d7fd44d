/**
 * Something of the server's that a page shows: fetched, fetched again when it may
 * have changed, and kept on show meanwhile.
 * @module
 */

import { useEffect, useRef, useState } from "preact/hooks";
import { getJson, type RequestError } from "../state/request.ts";

/** How it stands. */
export interface Resource<T> {
  /** The last answer; null before the first. */
  readonly data: T | null;
  /** Why the last attempt came to nothing. */
  readonly error: RequestError | null;
  /** The first answer takes longer than people notice. */
  readonly slow: boolean;
}

const SLOW_MS = 300;
const AGAIN_MS = 1000;

const NOTHING: Resource<never> = { data: null, error: null, slow: false };

/** Asks for one path, one request at a time, once a second at most. */
class Asker<T> {
  readonly #path: string;
  readonly #keep: (change: Partial<Resource<T>>) => void;
  readonly #abort = new AbortController();
  #askedMs = -Infinity;
  #isBusy = false;
  #isWanted = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #slow: ReturnType<typeof setTimeout>;

  constructor(path: string, keep: (change: Partial<Resource<T>>) => void) {
    this.#path = path;
    this.#keep = keep;
    this.#slow = setTimeout(() => keep({ slow: true }), SLOW_MS);
  }

  ask(): void {
    this.#isWanted = true;
    if (this.#isBusy || this.#timer !== undefined) return;
    const waitMs = Math.max(0, this.#askedMs + AGAIN_MS - performance.now());
    this.#timer = setTimeout(() => void this.#run(), waitMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#slow);
    this.#abort.abort();
  }

  async #run(): Promise<void> {
    this.#timer = undefined;
    this.#isWanted = false;
    this.#isBusy = true;
    this.#askedMs = performance.now();
    try {
      const data = await getJson<T>(this.#path, this.#abort.signal);
      if (!this.#abort.signal.aborted) this.#keep({ data, error: null, slow: false });
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#keep({ error: error as RequestError, slow: false });
    }
    clearTimeout(this.#slow);
    this.#isBusy = false;
    if (this.#isWanted && !this.#abort.signal.aborted) this.ask();
  }
}

/**
 * JSON of `path`; nothing while that is null. Asked for again when `version` changes,
 * once a second at most. Another path starts afresh.
 */
export function useResource<T>(path: string | null, version: unknown = 0): Resource<T> {
  const [state, setState] = useState<{ path: string | null; resource: Resource<T> }>({
    path,
    resource: NOTHING,
  });
  const asker = useRef<Asker<T> | null>(null);

  useEffect(() => {
    if (path === null) return;
    const mine = new Asker<T>(path, (change) =>
      setState((before) => ({
        path,
        resource: { ...(before.path === path ? before.resource : NOTHING), ...change },
      })));
    asker.current = mine;
    return () => {
      mine.stop();
      asker.current = null;
    };
  }, [path]);
  useEffect(() => asker.current?.ask(), [path, version]);

  return state.path === path ? state.resource : NOTHING;
}
