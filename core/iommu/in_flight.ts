/**
 * DMA in flight, and the promise of unmap: whoever takes an address range away
 * waits for the accesses to it that have begun.
 * @module
 */

import type { Status } from "../address.ts";
import type { Pin } from "../memory/memory.ts";
import { checkWritten } from "../memory/ram_pin.ts";
import { Completion } from "./completion.ts";

/** One access in flight, as {@linkcode InFlight} keeps it. */
export class DmaPin implements Pin {
  readonly slices: readonly Uint8Array[];
  readonly length: number;
  onRevoke: (() => void) | null = null;
  /** First and last IOVA, both inclusive. */
  readonly start: number;
  /** See {@linkcode start}. */
  readonly last: number;
  /** Who holds it: a detach waits for its own endpoint alone. */
  readonly endpoint: number;
  #owner: InFlight | null;
  readonly #released: (() => void) | null;
  readonly #wrote: ((offset: number, length: number) => Status) | null;
  readonly #failed: (error: unknown) => void;
  #waiters: Completion[] | null = null;

  /**
   * Begins an access.
   * @param released called once on release, before anyone who waits: marks dirty pages
   * @param wrote does what {@linkcode Pin.wrote} says; null when the access does not want WRITE
   * @param failed told what {@linkcode onRevoke} threw; it is an uncaught error unless told
   */
  constructor(
    owner: InFlight,
    slices: readonly Uint8Array[],
    start: number,
    length: number,
    endpoint: number,
    released: (() => void) | null,
    wrote: ((offset: number, length: number) => Status) | null = null,
    failed: (error: unknown) => void = (error) => reportError(error),
  ) {
    this.#owner = owner;
    this.slices = slices;
    this.start = start;
    this.length = length;
    this.last = start + length - 1;
    this.endpoint = endpoint;
    this.#released = released;
    this.#wrote = wrote;
    this.#failed = failed;
    owner.add(this);
  }

  get revoked(): boolean {
    return this.#waiters !== null;
  }

  wrote(offset: number, length: number): Status {
    checkWritten(this.length, this.#wrote !== null && this.#owner !== null, offset, length);
    return this.#wrote?.(offset, length) ?? 0;
  }

  release(): void {
    const owner = this.#owner;
    if (owner === null) return;
    this.#owner = null;
    owner.remove(this);
    let failure: { error: unknown } | null = null;
    try {
      this.#released?.();
    } catch (error) {
      // The access is over, and who waits for that is told all the same.
      failure = { error };
    }
    for (const waiter of this.#waiters ?? []) {
      try {
        waiter.settle();
      } catch (error) {
        // So is who waits behind it.
        failure ??= { error };
      }
    }
    if (failure !== null) throw failure.error;
  }

  /** Makes `completion` wait for the release. */
  revokeFor(completion: Completion): void {
    completion.hold();
    if (this.#waiters !== null) {
      this.#waiters.push(completion);
      return;
    }
    this.#waiters = [completion];
    try {
      this.onRevoke?.();
    } catch (error) {
      // The device is broken, not the change that it was told of.
      this.#failed(error);
    }
  }
}

/** The pins of one address space. */
export class InFlight {
  readonly #pins = new Set<DmaPin>();

  /** Pins that are not released. */
  get count(): number {
    return this.#pins.size;
  }

  /** Called by a pin that begins. */
  add(pin: DmaPin): void {
    this.#pins.add(pin);
  }

  /** Called by a pin that ends. */
  remove(pin: DmaPin): void {
    this.#pins.delete(pin);
  }

  /** Ends when every pin that meets [start, last] now is released, and carries `bytes`. */
  drain(start: number, last: number, bytes: number): Completion {
    const completion = new Completion(bytes);
    if (this.#pins.size === 0) return completion;
    this.#revoke(completion, (pin) => pin.start <= last && pin.last >= start);
    return completion;
  }

  /** Ends when every pin that `endpoint` holds now is released; joins `completion` when given. */
  drainEndpoint(endpoint: number, completion: Completion = new Completion()): Completion {
    this.#revoke(completion, (pin) => pin.endpoint === endpoint);
    return completion;
  }

  #revoke(completion: Completion, matches: (pin: DmaPin) => boolean): void {
    // Held while telling: a pin released from within its onRevoke must not end
    // the completion before the others have been told.
    completion.hold();
    for (const pin of [...this.#pins]) {
      // Another pin's onRevoke may have released this one; one of length 0 touches nothing.
      if (pin.length > 0 && this.#pins.has(pin) && matches(pin)) pin.revokeFor(completion);
    }
    completion.settle();
  }
}
