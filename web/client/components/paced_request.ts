/**
 * Something that is asked of the server again and again.
 * @module
 */

/** Milliseconds from one request to the next. */
const AGAIN_MS = 1000;

/** One request at a time, once a second at most, however often it is asked for. */
export class PacedRequest {
  readonly #request: (signal: AbortSignal) => Promise<void>;
  readonly #failed: (error: unknown) => void;
  readonly #abort = new AbortController();
  #askedMs = -Infinity;
  #isBusy = false;
  #isWanted = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `failed` gets what `request` throws, unless it was stopped. */
  constructor(
    request: (signal: AbortSignal) => Promise<void>,
    failed: (error: unknown) => void,
  ) {
    this.#request = request;
    this.#failed = failed;
  }

  /** What a request that began before this has brought does not count: there will be another. */
  ask(): void {
    this.#isWanted = true;
    if (this.#isBusy || this.#timer !== undefined) return;
    const waitMs = Math.max(0, this.#askedMs + AGAIN_MS - performance.now());
    this.#timer = setTimeout(() => void this.#run(), waitMs);
  }

  /** For good. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    this.#timer = undefined;
    this.#isWanted = false;
    this.#isBusy = true;
    this.#askedMs = performance.now();
    try {
      await this.#request(signal);
    } catch (error) {
      if (!signal.aborted) this.#failed(error);
    }
    this.#isBusy = false;
    if (this.#isWanted && !signal.aborted) this.ask();
  }
}
