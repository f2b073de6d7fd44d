/**
 * Fetches all mappings of a domain, page after page, while the reader looks at the first.
 * @module
 */

import { useEffect, useState } from "preact/hooks";
import type { MappingsPage } from "../../api.ts";
import { MappingTable } from "../state/mapping_table.ts";
import { getJson, type RequestError } from "../state/request.ts";
import { ofRun } from "../state/store.ts";

/** More are left on the server: beyond this, go to an address. */
export const MOST_MAPPINGS = 262_144;
const PAGE = 1000;
/** Milliseconds between two looks at what has come so far. */
const SHOW_MS = 300;

/** How far it has come. */
export interface LoadedMappings {
  readonly table: MappingTable;
  /** Mappings on the server. */
  readonly total: number;
  readonly mappedBytes: number;
  /** Mappings that not even the server has any more. */
  readonly leftOut: number;
  readonly isWhole: boolean;
}

/** The mappings of `domain`; fetched afresh when `version` changes, and shown when the whole is there. */
export function useMappings(
  domain: number | null,
  version: unknown,
): { loaded: LoadedMappings | null; error: RequestError | null } {
  const [state, setState] = useState<{
    domain: number | null;
    run: string;
    loaded: LoadedMappings | null;
    error: RequestError | null;
  }>({ domain: null, run: "", loaded: null, error: null });
  const run = ofRun("");

  useEffect(() => {
    if (domain === null) return;
    const abort = new AbortController();
    const isAgain = state.domain === domain && state.run === run && state.loaded !== null;
    void (async () => {
      const table = new MappingTable();
      let shownMs = -Infinity;
      let cursor: string | null = "";
      try {
        while (cursor !== null && table.length < MOST_MAPPINGS) {
          const query: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
          const page: MappingsPage = await getJson<MappingsPage>(
            ofRun(`/api/domains/${domain}/mappings?limit=${PAGE}${query}`),
            abort.signal,
          );
          if (abort.signal.aborted) return;
          table.append(page);
          cursor = page.mappings.length === 0 ? null : page.next;
          // Not drawn with every page: there may be hundreds.
          if (cursor !== null && (isAgain || performance.now() - shownMs < SHOW_MS)) continue;
          shownMs = performance.now();
          setState({
            domain,
            run,
            loaded: {
              table,
              total: page.total,
              mappedBytes: page.mappedBytes,
              leftOut: page.leftOut,
              isWhole: cursor === null,
            },
            error: null,
          });
        }
      } catch (error) {
        if (!abort.signal.aborted) {
          setState((before) => ({ ...before, domain, run, error: error as RequestError }));
        }
      }
    })();
    return () => abort.abort();
  }, [domain, run, version]);

  return state.domain === domain && state.run === run
    ? { loaded: state.loaded, error: state.error }
    : { loaded: null, error: null };
}
