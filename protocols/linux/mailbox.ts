/**
 * Commands from one thread to another whose event loop does not run: a ring of
 * JSON messages in shared memory. One thread sends, one receives; whoever sends
 * also wakes the receiver's reactor.
 * @module
 */

/** The shared part. Can be posted to a Worker. */
export interface MailboxHandle {
  readonly buffer: SharedArrayBuffer;
}

/** Positions, modulo 2^32, of the next byte to write and to read; then the ring. */
const WRITTEN = 0, READ = 1, HEADER_BYTES = 8;

/** One end of a mailbox; make one in each thread. */
export class Mailbox {
  /** What the other thread makes its end from. */
  readonly handle: MailboxHandle;
  readonly #positions: Int32Array<SharedArrayBuffer>;
  readonly #ring: Uint8Array<SharedArrayBuffer>;

  constructor(handle: MailboxHandle) {
    this.handle = handle;
    this.#positions = new Int32Array(handle.buffer, 0, 2);
    this.#ring = new Uint8Array(handle.buffer, HEADER_BYTES);
  }

  /** @param capacity bytes of the ring, a power of two up to 2^30; each message takes 4 more than its JSON */
  static create(capacity = 0x1_0000): Mailbox {
    if (!(capacity >= 8 && capacity <= 2 ** 30 && (capacity & (capacity - 1)) === 0)) {
      throw new RangeError(`Cannot make a mailbox of ${capacity} bytes: give a power of two`);
    }
    return new Mailbox({ buffer: new SharedArrayBuffer(HEADER_BYTES + capacity) });
  }

  /** Puts a JSON value in; false when there is no room now. */
  send(message: unknown): boolean {
    const text = JSON.stringify(message);
    if (text === undefined) throw new TypeError("Cannot send a message that is no JSON value");
    const json = new TextEncoder().encode(text);
    const written = Atomics.load(this.#positions, WRITTEN) >>> 0;
    const read = Atomics.load(this.#positions, READ) >>> 0;
    const free = this.#ring.length - ((written - read) >>> 0);
    if (json.length + 4 > free) return false;
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, json.length, true);
    this.#copy(written, length);
    this.#copy(written + 4, json);
    // Sequentially consistent: the receiver sees the bytes before the position.
    Atomics.store(this.#positions, WRITTEN, (written + 4 + json.length) | 0);
    return true;
  }

  /** Takes the next message; undefined when there is none. */
  receive(): unknown {
    const read = Atomics.load(this.#positions, READ) >>> 0;
    const written = Atomics.load(this.#positions, WRITTEN) >>> 0;
    if (read === written) return undefined;
    const length = new DataView(this.#take(read, 4).buffer).getUint32(0, true);
    const json = this.#take(read + 4, length);
    Atomics.store(this.#positions, READ, (read + 4 + length) | 0);
    return JSON.parse(new TextDecoder().decode(json));
  }

  #copy(position: number, bytes: Uint8Array): void {
    const at = position & (this.#ring.length - 1);
    const first = Math.min(bytes.length, this.#ring.length - at);
    this.#ring.set(bytes.subarray(0, first), at);
    this.#ring.set(bytes.subarray(first), 0);
  }

  #take(position: number, length: number): Uint8Array<ArrayBuffer> {
    const at = position & (this.#ring.length - 1);
    const bytes = new Uint8Array(length);
    const first = Math.min(length, this.#ring.length - at);
    bytes.set(this.#ring.subarray(at, at + first));
    bytes.set(this.#ring.subarray(0, length - first), first);
    return bytes;
  }
}
