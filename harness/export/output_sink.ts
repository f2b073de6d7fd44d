/**
 * Where an export goes.
 * @module
 */

/**
 * What writes an export's bytes: a file open for writing, or whatever stands in for one. Nothing that
 * `truncateSync` leaves behind needs to be empty: only files can be.
 */
export type OutputSink = Pick<Deno.FsFile, "truncateSync" | "writeSync" | "close">;
