/**
 * Something of the server's that a page shows: fetched, fetched again when it may
 * have changed, and kept on show meanwhile.
 * @module
 */

import { useEffect, useRef, useState } from "preact/hooks";
import { getJson, type RequestError } from "../state/request.ts";
import { reconnects } from "../state/store.ts";
import { PacedRequest } from "./paced_request.ts";

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

const NOTHING: Resource<never> = { data: null, error: null, slow: false };

/** Asks for one path. */
class Asker<T> {
  readonly #keep: (change: Partial<Resource<T>>) => void;
  readonly #request: PacedRequest;
  readonly #slow: ReturnType<typeof setTimeout>;

  constructor(path: string, keep: (change: Partial<Resource<T>>) => void) {
    this.#keep = keep;
    this.#slow = setTimeout(() => keep({ slow: true }), SLOW_MS);
    this.#request = new PacedRequest(
      (signal) => this.#fetch(path, signal),
      (error) => keep({ error: error as RequestError, slow: false }),
    );
  }

  ask(): void {
    this.#request.ask();
  }

  stop(): void {
    clearTimeout(this.#slow);
    this.#request.stop();
  }

  async #fetch(path: string, signal: AbortSignal): Promise<void> {
    try {
      const data = await getJson<T>(path, signal);
      if (!signal.aborted) this.#keep({ data, error: null, slow: false });
    } finally {
      clearTimeout(this.#slow);
    }
  }
}

/**
 * JSON of `path`; nothing while that is null. Asked for again when `version` changes,
 * once a second at most, and when the server is there again. Another path starts afresh.
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
  useEffect(() => asker.current?.ask(), [path, version, reconnects.value]);

  return state.path === path ? state.resource : NOTHING;
}
