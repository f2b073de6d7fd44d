/**
 * Counts the bytes that code allocates, from the outside: by how much the heap
 * grows while it runs.
 * @module
 */

import { median } from "../statistics.ts";

/** Accesses between two looks at the heap: few enough that collections seldom fall in between. */
const CHUNK = 10_000;

/** Bytes in use: the heap, and what hangs on it outside, as array buffers do. */
function bytesInUse(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

/**
 * Bytes that each access allocates: runs `access(n)`, which does `n` of them, until
 * `accesses` are done. The middle of all chunks, for in a few the engine compiles,
 * which is no access's doing. A chunk in which a collection made the heap smaller
 * says nothing; looking allocates as well, which is found out first and taken off.
 */
export function bytesPerAccess(access: (count: number) => void, accesses: number): number {
  access(CHUNK);
  (globalThis as { gc?: () => void }).gc?.();
  const overhead = cheapest(() => {});
  const rises: number[] = [];
  for (let done = 0; done < accesses; done += CHUNK) {
    const before = bytesInUse();
    access(CHUNK);
    const rise = bytesInUse() - before - overhead;
    if (rise >= 0) rises.push(rise / CHUNK);
  }
  if (rises.length === 0) {
    throw new Error("Cannot measure allocation: the heap was collected in every chunk");
  }
  return median(rises);
}

/** The least that looking before and after seems to allocate. */
function cheapest(body: () => void): number {
  let least = Infinity;
  for (let i = 0; i < 64; i++) {
    const before = bytesInUse();
    body();
    const grown = bytesInUse() - before;
    if (grown >= 0) least = Math.min(least, grown);
  }
  return least;
}
