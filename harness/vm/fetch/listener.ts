/**
 * What fetching tells whoever waits for it.
 * @module
 */

/** Gets told how far the work is. */
export interface FetchListener {
  /** A new piece of work begins, such as `Downloading QEMU: 91 packages`. */
  stage(what: string): void;
  /** How much of the stage is done, from 0 to 1. */
  progress(done: number): void;
  /** Something the user should know and need not act on. */
  notice(text: string): void;
}

/** Tells nobody. */
export const SILENT: FetchListener = { stage() {}, progress() {}, notice() {} };
