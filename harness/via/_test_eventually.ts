/**
 * For tests that watch other processes.
 * @module
 */

/** Milliseconds between two looks, and looks until it has taken too long. */
const LOOK_MS = 10, LOOKS = 1000;

/** Waits until `is`, which is another process's doing. @throws {Error} when it is not after 10 s */
export async function eventually(what: string, is: () => boolean): Promise<void> {
  for (let looks = 0; !is(); looks++) {
    if (looks === LOOKS) throw new Error(`${what}: not after ${LOOK_MS * LOOKS} ms`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
