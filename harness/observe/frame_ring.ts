/**
 * The newest messages of a server's connections in shared memory: the thread that serves writes
 * them as they pass, another reads at any moment. Writing waits for nobody, takes no memory and costs
 * a copy of the message's beginning; who reads too seldom finds the newest, and how many came before.
 * @module
 */

import type { Direction } from "../../protocols/vfio_user/message_line.ts";

/** Messages the ring holds. */
export const FRAMES_KEPT = 16_384;
/** Bytes of one message that are kept. */
export const FRAME_KEPT = 4096;
/** Bytes of messages the ring holds, a power of two. */
export const BYTES_KEPT = 4 * 2 ** 20;

const CONTROL = 2;
/** Messages so far, and where the next one's bytes will stand; both modulo 2^32. */
const HEAD = 0, RESERVED = 1;
/** Fields of a message beside its time. */
const FIELDS = 5;
/** The last is one more than the message's own number, modulo 2^32. */
const POSITION = 0, LENGTH = 1, SOURCE = 2, DESCRIPTORS = 3, STAMP = 4;
const TIMES_AT = CONTROL * Int32Array.BYTES_PER_ELEMENT;
const FIELDS_AT = TIMES_AT + FRAMES_KEPT * Float64Array.BYTES_PER_ELEMENT;
const BYTES_AT = FIELDS_AT + FRAMES_KEPT * FIELDS * Int32Array.BYTES_PER_ELEMENT;
const SIZE = BYTES_AT + BYTES_KEPT;

/** A message as it is read. */
export interface KeptFrame {
  readonly timeNs: number;
  /** Which connection: the number that the writer gave it. */
  readonly connection: number;
  readonly direction: Direction;
  /** Bytes of the whole message. */
  readonly length: number;
  /** The first of them, at most {@linkcode FRAME_KEPT}. */
  readonly bytes: Uint8Array;
  readonly descriptors: number;
}

/** What {@linkcode FrameRing.read} found. */
export interface KeptFrames {
  /** Oldest first, without a hole, up to the newest. */
  readonly frames: readonly KeptFrame[];
  /** Messages so far: where the next look begins. */
  readonly recorded: number;
}

/** See the module. */
export class FrameRing {
  readonly buffer: SharedArrayBuffer;
  readonly #control: Int32Array;
  readonly #times: Float64Array;
  readonly #fields: Int32Array;
  readonly #bytes: Uint8Array;

  /** A fresh one, or the other thread's view of `buffer`. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(SIZE)) {
    this.buffer = buffer;
    this.#control = new Int32Array(buffer, 0, CONTROL);
    this.#times = new Float64Array(buffer, TIMES_AT, FRAMES_KEPT);
    this.#fields = new Int32Array(buffer, FIELDS_AT, FRAMES_KEPT * FIELDS);
    this.#bytes = new Uint8Array(buffer, BYTES_AT, BYTES_KEPT);
  }

  /** Writes one message. @param connection 0 to 2^31 - 1 */
  record(
    timeNs: number,
    connection: number,
    direction: Direction,
    bytes: Uint8Array,
    descriptors: number,
  ): void {
    const control = this.#control;
    const kept = Math.min(bytes.length, FRAME_KEPT);
    let position = control[RESERVED]!;
    const room = BYTES_KEPT - (position & (BYTES_KEPT - 1));
    // A message lies in one piece: one that would go round begins anew.
    if (room < kept) position = (position + room) | 0;
    // Before the bytes, so that a reader knows what they go over.
    Atomics.store(control, RESERVED, (position + kept) | 0);
    this.#bytes.set(
      kept === bytes.length ? bytes : bytes.subarray(0, kept),
      position & (BYTES_KEPT - 1),
    );
    const head = control[HEAD]!;
    const at = (head >>> 0) % FRAMES_KEPT;
    this.#times[at] = timeNs;
    const fields = this.#fields;
    fields[at * FIELDS + POSITION] = position;
    fields[at * FIELDS + LENGTH] = bytes.length;
    fields[at * FIELDS + SOURCE] = direction === ">" ? connection : ~connection;
    fields[at * FIELDS + DESCRIPTORS] = descriptors;
    const next = (head + 1) | 0;
    fields[at * FIELDS + STAMP] = next;
    Atomics.store(control, HEAD, next);
  }

  /** Counts `count` messages that are not written. Those before them are given no longer: what is read has no hole. */
  skip(count: number): void {
    Atomics.store(this.#control, HEAD, (this.#control[HEAD]! + count) | 0);
  }

  /** Messages so far, of which `from` had been before. */
  recorded(from: number): number {
    return from + ((Atomics.load(this.#control, HEAD) - from) >>> 0);
  }

  /** The messages from number `from` on that are still there. */
  read(from: number): KeptFrames {
    const recorded = this.recorded(from);
    let frames: KeptFrame[] = [];
    let positions: number[] = [];
    let oldest = Math.max(from, recorded - FRAMES_KEPT);
    for (let number = oldest; number < recorded; number++) {
      const at = number % FRAMES_KEPT;
      const [position, length, source, descriptors, stamp] = this.#fields.subarray(
        at * FIELDS,
        (at + 1) * FIELDS,
      ) as unknown as readonly [number, number, number, number, number];
      if (stamp !== ((number + 1) | 0)) {
        oldest = number + 1;
        frames = [];
        positions = [];
        continue;
      }
      const start = position & (BYTES_KEPT - 1);
      positions.push(position);
      frames.push({
        timeNs: this.#times[at]!,
        connection: source < 0 ? ~source : source,
        direction: source < 0 ? "<" : ">",
        length,
        bytes: this.#bytes.slice(start, start + Math.min(length, FRAME_KEPT)),
        descriptors,
      });
    }
    // What the writer has gone over meanwhile, and the place it may be at now, is not what it was.
    const passed = this.recorded(recorded) + 1 - FRAMES_KEPT;
    const reserved = Atomics.load(this.#control, RESERVED);
    let first = Math.max(0, passed - oldest);
    while (
      first < frames.length && ((reserved - positions[first]!) >>> 0) > BYTES_KEPT
    ) first++;
    return { frames: frames.slice(first), recorded };
  }
}
