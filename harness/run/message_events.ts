/**
 * The messages of a run's protocol as events: in lumps, since there may be many, and soon,
 * since a run may be cut off.
 * @module
 */

import type { MessageTap } from "../via/message_tap.ts";
import type { MessageEvent, RunEvent } from "./run_events.ts";

/** Messages in one event, and milliseconds that the first of them waits for others. */
const CHUNK = 200, HOLD_MS = 50;

/** Makes events of what the tap gets. */
export class MessageEvents {
  readonly #emit: (event: RunEvent) => void;
  #messages: MessageEvent[] = [];
  #sinceMs = 0;

  constructor(emit: (event: RunEvent) => void) {
    this.#emit = emit;
  }

  readonly tap: MessageTap = ({ connection, timeNs, direction, bytes, descriptors }) => {
    const now = performance.now();
    if (this.#messages.length === 0) this.#sinceMs = now;
    this.#messages.push({
      connection,
      timeNs,
      direction,
      descriptors,
      bytes: bytes.toBase64(),
    });
    if (this.#messages.length >= CHUNK || now - this.#sinceMs > HOLD_MS) this.flush();
  };

  /** Emits what waits. */
  flush(): void {
    if (this.#messages.length === 0) return;
    this.#emit({ kind: "messages", messages: this.#messages });
    this.#messages = [];
  }
}
