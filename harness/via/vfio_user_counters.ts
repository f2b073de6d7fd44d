/**
 * The devices' side of a server process that tells its counters: hands them, as shared memory, to
 * the thread that does (`vfio_user_teller.ts`).
 * @module
 */

/** To the telling thread. */
export type ToCountersThread =
  /** Tells at the socket `path` from now on. */
  | { readonly kind: "open"; readonly path: string }
  /** Counters that it tells, in the order of `Counter`; the last that was opened does. */
  | { readonly kind: "counters"; readonly endpoint: number; readonly values: Float64Array }
  /** Ends what was opened at `path`. */
  | { readonly kind: "close"; readonly path: string };

/** One for the process, once somebody watches. It ends with it. */
let thread: Worker | null = null;

function post(message: ToCountersThread): void {
  thread ??= new Worker(import.meta.resolve("./vfio_user_teller.ts"), { type: "module" });
  thread.postMessage(message);
}

/** Tells the counters of one machine. */
export class CountersTeller {
  readonly #path: string;

  /** Begins to tell at the socket `path`. */
  constructor(path: string) {
    this.#path = path;
    post({ kind: "open", path });
  }

  /** Adds an endpoint's counters: the memory that they are counted in. */
  add(endpoint: number, values: Float64Array): void {
    post({ kind: "counters", endpoint, values });
  }

  /** Ends it. */
  close(): void {
    post({ kind: "close", path: this.#path });
  }
}
