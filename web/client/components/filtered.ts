/**
 * Rows that pass a filter, looked for a few milliseconds at a time: a list of any
 * length never holds the page up.
 * @module
 */

import { useEffect, useState } from "preact/hooks";
import { type Columns, parseFilter } from "../state/filter.ts";

const SLICE_MS = 8;
/** Rows between two looks at the clock. */
const BATCH = 256;

/**
 * Indices of the rows that pass, ascending, so far; null when all do. `source` and `count` say when
 * to look again: another source is another list, and one that has grown is looked at where it grew.
 */
export function useFiltered(
  text: string,
  source: unknown,
  count: number,
  columnsAt: (index: number) => Columns,
): readonly number[] | null {
  const [state, setState] = useState<{
    text: string;
    source: unknown;
    found: readonly number[];
    seen: number;
  }>({ text: "", source: null, found: [], seen: 0 });
  const filter = parseFilter(text);
  const isAll = filter.terms.length === 0;
  const goesOn = state.text === text && state.source === source && state.seen <= count;

  useEffect(() => {
    if (isAll) return;
    const found: number[] = goesOn ? [...state.found] : [];
    let next = goesOn ? state.seen : 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const slice = () => {
      const until = performance.now() + SLICE_MS;
      while (next < count && performance.now() < until) {
        const end = Math.min(count, next + BATCH);
        for (; next < end; next++) if (filter.matches(columnsAt(next))) found.push(next);
      }
      if (next < count) timer = setTimeout(slice);
      else setState({ text, source, found, seen: count });
    };
    slice();
    return () => clearTimeout(timer);
  }, [text, source, count]);

  if (isAll) return null;
  return goesOn ? state.found : [];
}
