/**
 * Commands that arrived while a device's access waited for the client: whole messages, in order, with
 * their descriptors. Bounded, since the client chooses how many it sends.
 * @module
 */

import { closeAll, type Descriptor } from "../../linux/descriptor.ts";

/** One message. */
export interface QueuedFrame {
  /** Header and body, copied. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Null when some were lost on the way. */
  readonly descriptors: readonly Descriptor[] | null;
}

const MAX_FRAMES = 4096;
const MAX_BYTES = 0x40_0000;
const MAX_DESCRIPTORS = 256;

/** First in, first out. Owns the descriptors in it. */
export class FrameQueue {
  readonly #frames: QueuedFrame[] = [];
  #bytes = 0;
  #descriptors = 0;

  get length(): number {
    return this.#frames.length;
  }

  /** Whether another message of that many bytes may wait. */
  hasRoom(bytes: number): boolean {
    return this.#frames.length < MAX_FRAMES && this.#bytes + bytes <= MAX_BYTES &&
      this.#descriptors < MAX_DESCRIPTORS;
  }

  push(frame: QueuedFrame): void {
    this.#frames.push(frame);
    this.#bytes += frame.bytes.length;
    this.#descriptors += frame.descriptors?.length ?? 0;
  }

  /** The oldest, whose descriptors are the caller's from now on. */
  shift(): QueuedFrame | undefined {
    const frame = this.#frames.shift();
    if (frame !== undefined) {
      this.#bytes -= frame.bytes.length;
      this.#descriptors -= frame.descriptors?.length ?? 0;
    }
    return frame;
  }

  /** Forgets all, and closes their descriptors. */
  clear(): void {
    for (const { descriptors } of this.#frames) if (descriptors !== null) closeAll(descriptors);
    this.#frames.length = 0;
    this.#bytes = this.#descriptors = 0;
  }
}
