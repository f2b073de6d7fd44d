/**
 * Removes a directory that others may be removing as well.
 * @module
 */

/** Looks that are taken at a directory that will not go. */
const TRIES = 100;

/** Removes all of it. When this returns it is gone, whoever has removed it; what cannot be removed stays. */
export function removeDirectory(path: string): void {
  for (let tries = 0; tries < TRIES; tries++) {
    try {
      Deno.removeSync(path, { recursive: true });
      return;
    } catch {
      // Somebody was faster with a part of it, or with all of it.
      try {
        Deno.lstatSync(path);
      } catch {
        return;
      }
    }
  }
}
