/**
 * A command that was sent, and its answer once that has come.
 * @module
 */

const PENDING = 0, SETTLED = 1, FAILED = 2;

/**
 * The answer to a command. It comes while somebody waits or polls; look at
 * {@linkcode done}, be told by {@linkcode whenDone}, or await it while a poll group
 * is held or served by somebody.
 */
export class Ticket<T> implements PromiseLike<T> {
  /** The command's number; 0 when several commands make up the answer. */
  readonly command: number;
  #state: number = PENDING;
  #value: T | undefined;
  #error: unknown = null;
  #callbacks: (() => void)[] | null = null;
  #abandoned = false;
  #parts: Ticket<unknown>[] | null = null;

  /** Made by whoever sends. */
  constructor(command = 0) {
    this.command = command;
  }

  /** Whether the answer is there, good or bad. */
  get done(): boolean {
    return this.#state !== PENDING;
  }

  /** Why it failed; null while it is pending and when it has succeeded. */
  get error(): unknown {
    return this.#state === FAILED ? this.#error : null;
  }

  /** The answer. @throws what made it fail, and {Error} while it is pending */
  get value(): T {
    if (this.#state === SETTLED) return this.#value as T;
    if (this.#state === FAILED) throw this.#error;
    throw new Error("Cannot take the answer of a ticket: it is pending, wait for it first");
  }

  /** Calls `callback` once when the answer is there: before this returns when it is. */
  whenDone(callback: () => void): void {
    if (this.#state !== PENDING) callback();
    else (this.#callbacks ??= []).push(callback);
  }

  /** Whether nobody wants the answer any more. */
  get abandoned(): boolean {
    return this.#abandoned;
  }

  /** Nobody wants the answer any more: what comes with it, descriptors above all, is dropped. */
  abandon(): void {
    this.#abandoned = true;
    for (const part of this.#parts ?? []) part.abandon();
  }

  /** For whoever made it: it is answered by means of `part`, which is abandoned with it. */
  dependOn(part: Ticket<unknown>): void {
    (this.#parts ??= []).push(part);
    if (this.#abandoned) part.abandon();
  }

  /** Makes it awaitable. Something has to poll meanwhile: see `PollGroup.settled()`. */
  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return new Promise<T>((resolve, reject) =>
      this.whenDone(() => this.#state === FAILED ? reject(this.#error) : resolve(this.#value as T))
    ).then(onFulfilled, onRejected);
  }

  /** For whoever made it: the answer. The first of {@linkcode settle} and {@linkcode fail} counts. */
  settle(value: T): void {
    if (this.#state !== PENDING) return;
    this.#state = SETTLED;
    this.#value = value;
    this.#tell();
  }

  /** For whoever made it: it has failed. */
  fail(error: unknown): void {
    if (this.#state !== PENDING) return;
    this.#state = FAILED;
    this.#error = error;
    this.#tell();
  }

  #tell(): void {
    const callbacks = this.#callbacks;
    if (callbacks === null) return;
    this.#callbacks = null;
    let failure: { readonly error: unknown } | null = null;
    for (const callback of callbacks) {
      try {
        callback();
      } catch (error) {
        // The others wait for the answer all the same.
        failure ??= { error };
      }
    }
    if (failure !== null) throw failure.error;
  }
}

/** A ticket that has its answer. */
export function settledTicket<T>(value: T): Ticket<T> {
  const ticket = new Ticket<T>();
  ticket.settle(value);
  return ticket;
}

/**
 * One ticket for several: done when all are. `value` makes the answer; when any has
 * failed, the first of them in order says why.
 */
export function joinTickets<T>(tickets: readonly Ticket<unknown>[], value: () => T): Ticket<T> {
  const joined = new Ticket<T>();
  let left = tickets.length;
  const finish = (): void => {
    const failed = tickets.find((ticket) => ticket.error !== null);
    if (failed !== undefined) {
      joined.fail(failed.error);
      return;
    }
    try {
      joined.settle(value());
    } catch (error) {
      joined.fail(error);
    }
  };
  if (left === 0) finish();
  for (const ticket of tickets) {
    joined.dependOn(ticket);
    ticket.whenDone(() => {
      if (--left === 0) finish();
    });
  }
  return joined;
}

/** A ticket whose answer is made from another's. What `make` throws makes it fail. */
export function mapTicket<A, B>(ticket: Ticket<A>, make: (value: A) => B): Ticket<B> {
  const made = new Ticket<B>(ticket.command);
  made.dependOn(ticket);
  ticket.whenDone(() => {
    if (ticket.error !== null) {
      made.fail(ticket.error);
      return;
    }
    try {
      made.settle(make(ticket.value));
    } catch (error) {
      made.fail(error);
    }
  });
  return made;
}
