/**
 * Counts the bytes that code allocates, from the outside: by how much the heap
 * grows while it runs.
 * @module
 */

import { median } from "../statistics.ts";

/** Accesses between two looks at the heap: few enough that collections, and translations that are timed, seldom fall in between. */
const CHUNK = 2_000;

/** Bytes in use: the heap, and what hangs on it outside, as array buffers do. */
function bytesInUse(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

/**
 * Bytes that each access allocates: runs `access(n)`, which does `n` of them, until
 * `accesses` are done. The middle of all chunks, for in a few the engine compiles, and in
 * less than half a translation is timed, which is no access's doing. A chunk in which a collection made the heap smaller
 * says nothing; looking and calling allocate as well, more or less as the numbers looked
 * at grow, so each chunk is compared to a call that accesses nothing.
 */
export function bytesPerAccess(access: (count: number) => void, accesses: number): number {
  access(CHUNK);
  (globalThis as { gc?: () => void }).gc?.();
  const rises: number[] = [];
  for (let done = 0; done < accesses; done += CHUNK) {
    const before = bytesInUse();
    access(0);
    const between = bytesInUse();
    access(CHUNK);
    const after = bytesInUse();
    if (after >= between && between >= before) {
      rises.push(Math.max(0, after - between - (between - before)) / CHUNK);
    }
  }
  if (rises.length === 0) {
    throw new Error("Cannot measure allocation: the heap was collected in every chunk");
  }
  return median(rises);
}
