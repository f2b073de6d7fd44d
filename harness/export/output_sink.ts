/**
 * Where an export goes.
 * @module
 */

/**
 * What writes an export's bytes: a file open for writing, or whatever stands in for one. Nothing that
 * `truncateSync` leaves behind needs to be empty: only files can be.
 */
export interface OutputSink extends Pick<Deno.FsFile, "truncateSync" | "writeSync" | "close"> {
  /**
   * Whether so much waits for a slow reader that an export of no known length leaves out what
   * comes, counts it, and tells {@linkcode OutputSink.incomplete}. It never is unless told.
   */
  readonly isFull?: boolean;
  /** Is told why it does not hold all, before it is closed. */
  incomplete?(why: string): void;
}

/** Why `count` things are not in an output: `3 messages left out: the reader is too slow`. */
export function tooSlow(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"} left out: the reader is too slow`;
}
