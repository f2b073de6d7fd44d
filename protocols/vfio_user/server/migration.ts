/**
 * The migration state machine of a device and the stream of its state (vfio-user, Device Features;
 * spec/08 rule 23).
 * @module
 */

import type { Completion } from "../../../core/iommu/completion.ts";
import type { PciFunction } from "../../../devices/pci/pci_function.ts";
import { Errno } from "../../linux/errno.ts";
import { VfioDeviceMigState } from "../vfio_spec.ts";
import { decodeStream, encodeIdentity, encodeState, MAX_STATE_BYTES } from "./state_stream.ts";

const {
  VFIO_DEVICE_STATE_STOP: STOP,
  VFIO_DEVICE_STATE_RUNNING: RUNNING,
  VFIO_DEVICE_STATE_STOP_COPY: STOP_COPY,
  VFIO_DEVICE_STATE_RESUMING: RESUMING,
  VFIO_DEVICE_STATE_PRE_COPY: PRE_COPY,
} = VfioDeviceMigState;

/** The direct transitions there are. */
const ARCS: Readonly<Record<number, readonly number[]>> = {
  [STOP]: [RUNNING, STOP_COPY, RESUMING],
  [RUNNING]: [STOP, PRE_COPY],
  [STOP_COPY]: [STOP],
  [RESUMING]: [STOP],
  [PRE_COPY]: [RUNNING, STOP_COPY],
};

/** States in which the device's state is read; none may lie inside a path. */
const SAVING: readonly number[] = [STOP_COPY, PRE_COPY];

/**
 * The states to go through from one to another, the last one included: the shortest way without a
 * saving state inside (vfio-user, Complex State Transitions). Null when there is none.
 */
export function migrationPath(from: number, to: number): readonly number[] | null {
  if (!(to in ARCS) || !(from in ARCS)) return null;
  if (from === to) return [];
  // The one way that is forbidden by name: the device would run again with its saving going on.
  if (from === STOP_COPY && to === PRE_COPY) return null;
  const ways: number[][] = [[from]];
  const seen = new Set([from]);
  for (let way = ways.shift(); way !== undefined; way = ways.shift()) {
    const here = way[way.length - 1]!;
    if (here !== from && SAVING.includes(here)) continue;
    for (const next of ARCS[here] ?? []) {
      if (next === to) return [...way.slice(1), next];
      if (seen.has(next)) continue;
      seen.add(next);
      ways.push([...way, next]);
    }
  }
  return null;
}

/** One device's migration, over all of its clients. */
export class Migration {
  readonly #function: PciFunction;
  readonly #settle: () => Completion;
  #state: number = RUNNING;
  #paused = false;
  /** How often {@linkcode restart} was called: what was asked for before one is over. */
  #restarts = 0;
  /** What can be read, and how much of it has been. */
  #outgoing: Uint8Array[] = [];
  #outgoingBytes = 0;
  /** What has been written, and room for more: a client chooses how small its pieces are. */
  #incoming = new Uint8Array(0);
  #incomingBytes = 0;
  /** Why the last stream was refused, or could not be made; null when it was not. */
  lastFailure: string | null = null;

  /** @param settle ends when no DMA of the device is in flight */
  constructor(hosted: PciFunction, settle: () => Completion) {
    this.#function = hosted;
    this.#settle = settle;
  }

  /** A value of `VfioDeviceMigState`. */
  get state(): number {
    return this.#state;
  }

  /** Whether only migration itself may be asked for: the device must not change. */
  get stopped(): boolean {
    return this.#state === STOP || this.#state === STOP_COPY;
  }

  /** Whether there is anything but RUNNING for this device. */
  get supported(): boolean {
    return this.#function.migratable;
  }

  /** Goes to a state; `done` is called with 0 or `-errno` when it is there, or cannot be. */
  change(to: number, done: (result: number) => void): void {
    const path = migrationPath(this.#state, to);
    if (path === null) {
      done(-Errno.EINVAL);
      return;
    }
    this.#walk(path, 0, done);
  }

  /** Takes up to `size` bytes of the stream; fewer at its end. `-EINVAL` outside the saving states. */
  read(size: number): Uint8Array | number {
    if (!SAVING.includes(this.#state)) return -Errno.EINVAL;
    const bytes = new Uint8Array(Math.min(size, this.#outgoingBytes));
    for (let done = 0; done < bytes.length;) {
      const first = this.#outgoing[0]!;
      const part = first.subarray(0, bytes.length - done);
      bytes.set(part, done);
      done += part.length;
      if (part.length === first.length) this.#outgoing.shift();
      else this.#outgoing[0] = first.subarray(part.length);
    }
    this.#outgoingBytes -= bytes.length;
    return bytes;
  }

  /** Adds to the stream, a copy. `-EINVAL` outside RESUMING, `-EFBIG` when it is longer than any state. */
  write(bytes: Uint8Array): number {
    if (this.#state !== RESUMING) return -Errno.EINVAL;
    const end = this.#incomingBytes + bytes.length;
    if (end > MAX_STATE_BYTES) return -Errno.EFBIG;
    if (end > this.#incoming.length) {
      const room = Math.min(MAX_STATE_BYTES, Math.max(end, 2 * this.#incoming.length));
      const larger = new Uint8Array(room);
      larger.set(this.#incoming.subarray(0, this.#incomingBytes));
      this.#incoming = larger;
    }
    this.#incoming.set(bytes, this.#incomingBytes);
    this.#incomingBytes = end;
    return 0;
  }

  /** The device has been reset, or its client is gone: whatever was under way is over, and it runs. */
  restart(): void {
    this.#restarts++;
    this.#drop();
    this.#state = RUNNING;
    this.#resume();
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#function.resume();
  }

  #walk(path: readonly number[], at: number, done: (result: number) => void): void {
    const next = path[at];
    if (next === undefined) {
      done(0);
      return;
    }
    this.#step(next, (result) => {
      if (result === 0) this.#walk(path, at + 1, done);
      else done(result);
    });
  }

  #step(to: number, done: (result: number) => void): void {
    const from = this.#state;
    if (to === STOP && from === RUNNING || to === STOP_COPY && from === PRE_COPY) {
      this.#paused = true;
      this.#function.pause();
      const restarts = this.#restarts;
      // What the device keeps in flight over a pause, it ends soon. A reset or the end of the client
      // may come first: the device runs then, and its state may be the one it was in before.
      this.#settle().whenDone(() =>
        done(this.#restarts === restarts ? this.#enter(from, to) : -Errno.ECANCELED)
      );
    } else {
      done(this.#enter(from, to));
    }
  }

  #enter(from: number, to: number): number {
    switch (to) {
      case PRE_COPY:
        this.#drop();
        this.#add(encodeIdentity(this.#function.device.type));
        break;
      case STOP_COPY: {
        if (from === STOP) {
          this.#drop();
          this.#add(encodeIdentity(this.#function.device.type));
        }
        const snapshot = this.#function.save();
        if (snapshot === null) {
          // The model threw. It is as it was, so it goes back to where it came from.
          this.lastFailure = "the model could not be saved";
          if (from === PRE_COPY) this.#resume();
          return -Errno.EIO;
        }
        this.#add(encodeState(snapshot));
        break;
      }
      case STOP:
        if (from === RESUMING) {
          const result = this.#load();
          if (result !== 0) return result;
        }
        this.#drop();
        break;
      case RUNNING:
        this.#drop();
        this.#resume();
        break;
      case RESUMING:
        this.#drop();
        break;
    }
    this.#state = to;
    return 0;
  }

  /** A stream that is refused has changed nothing: the state stays RESUMING, and another may follow. */
  #load(): number {
    const bytes = this.#incoming.subarray(0, this.#incomingBytes);
    this.#drop();
    const snapshot = decodeStream(bytes, this.#function.device.type);
    const wrong = typeof snapshot === "string" ? snapshot : this.#function.restore(snapshot);
    this.lastFailure = wrong;
    return wrong === null ? 0 : -Errno.EINVAL;
  }

  #add(bytes: Uint8Array): void {
    this.#outgoing.push(bytes);
    this.#outgoingBytes += bytes.length;
  }

  #drop(): void {
    this.#outgoing = [];
    this.#incoming = new Uint8Array(0);
    this.#outgoingBytes = this.#incomingBytes = 0;
  }
}
