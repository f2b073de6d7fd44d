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

/** What was found, and in what. */
export interface Filtered<Source> {
  /** The list that was looked through: the one before while a new one is. */
  readonly source: Source;
  /** Indices of its rows that pass, ascending, so far; null when all do. */
  readonly passed: readonly number[] | null;
}

interface Look<Source> {
  readonly text: string;
  readonly source: Source;
  readonly found: readonly number[];
  readonly seen: number;
}

/**
 * The rows of `source` that pass. `source` and `count` say when to look again: another source is
 * another list, and one that has grown is looked at where it grew. Until that is done what was found
 * last stands: a list that is gone for a moment loses the focus, and its reader's place in it.
 */
export function useFiltered<Source>(
  text: string,
  source: Source,
  count: number,
  columnsAt: (index: number) => Columns,
): Filtered<Source> {
  const [last, setLast] = useState<Look<Source> | null>(null);
  const filter = parseFilter(text);
  const isAll = filter.terms.length === 0;
  const goesOn = last !== null && last.text === text && last.source === source &&
    last.seen <= count;

  useEffect(() => {
    if (isAll) return setLast(null);
    const found: number[] = goesOn ? [...last.found] : [];
    let next = goesOn ? last.seen : 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const slice = () => {
      const until = performance.now() + SLICE_MS;
      while (next < count && performance.now() < until) {
        const end = Math.min(count, next + BATCH);
        for (; next < end; next++) if (filter.matches(columnsAt(next))) found.push(next);
      }
      if (next < count) timer = setTimeout(slice);
      else setLast({ text, source, found, seen: count });
    };
    slice();
    return () => clearTimeout(timer);
  }, [text, source, count]);

  if (isAll || last === null) return { source, passed: null };
  return { source: last.source, passed: last.found };
}
