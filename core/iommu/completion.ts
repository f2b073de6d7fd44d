/**
 * The end of a change to translations: reached when no device can get at what
 * was taken away any more, and DMA that was in flight has ended.
 * @module
 */

/**
 * Reached at once when nothing is in flight, otherwise when the last pin is
 * released. Act on {@linkcode whenDone}, or await it; answering a guest or a
 * peer before that breaks the promise of unmap.
 */
export class Completion implements PromiseLike<number> {
  /** Bytes unmapped; 0 for a change that is not an unmap. */
  readonly bytes: number;
  #waitsFor = 0;
  #callbacks: (() => void)[] | null = null;

  /** Makes one that is reached, until something holds it. */
  constructor(bytes = 0) {
    this.bytes = bytes;
  }

  /** Whether the end has been reached. */
  get done(): boolean {
    return this.#waitsFor === 0;
  }

  /** Calls `callback` once at the end: before this returns when it has been reached. */
  whenDone(callback: () => void): void {
    if (this.#waitsFor === 0) callback();
    else (this.#callbacks ??= []).push(callback);
  }

  /** Makes it awaitable: resolves with {@linkcode bytes}. */
  then<A = number, B = never>(
    onFulfilled?: ((bytes: number) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return new Promise<number>((resolve) => this.whenDone(() => resolve(this.bytes)))
      .then(onFulfilled, onRejected);
  }

  /** One more thing to wait for. Called by what is in flight, before anyone was told. */
  hold(): void {
    this.#waitsFor++;
  }

  /** One thing has ended: the counterpart of {@linkcode hold}. */
  settle(): void {
    if (--this.#waitsFor > 0) return;
    const callbacks = this.#callbacks;
    this.#callbacks = null;
    let failure: { error: unknown } | null = null;
    for (const callback of callbacks ?? []) {
      try {
        callback();
      } catch (error) {
        // The others wait for their answers all the same.
        failure ??= { error };
      }
    }
    if (failure !== null) throw failure.error;
  }
}
