/**
 * One event of a Chrome trace ("Trace Event Format", the JSON that Perfetto and
 * chrome://tracing open).
 * @module
 */

/** `ts` and `dur` are microseconds. */
export interface ChromeEvent {
  /** `X` complete, `i` instant, `C` counter, whose arguments are its values, `M` metadata. */
  readonly ph: "X" | "i" | "C" | "M";
  readonly name: string;
  readonly cat?: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  /** Scope of an instant: thread or process. */
  readonly s?: "t" | "p";
  readonly args?: Readonly<Record<string, string | number | boolean>>;
}
