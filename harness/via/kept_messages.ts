/**
 * Messages of devices in a server process, on their way to the process of the scenario. Where the
 * client is not ours, as via `qemu`, the server alone sees them.
 * @module
 */

import type { FrameObserver } from "../../protocols/vfio_user/connection.ts";
import type { MessageTap, TappedMessage } from "./message_tap.ts";
import type { Happened, MessageTuple } from "./vfio_user_control.ts";

/** Messages that one answer brings at most, and their bytes: in Base64 well below a line of JSON. */
const KEPT = 65_536, KEPT_BYTES = 2 ** 24;

/** The server's half: keeps messages until they are taken, up to a bound. */
export class KeptMessages {
  readonly #nowMs: () => number;
  readonly #startedMs: number;
  #messages: MessageTuple[] = [];
  #bytes = 0;
  #lost = 0;

  /** `nowMs` is the wall's clock; times count from now. */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
    this.#startedMs = nowMs();
  }

  /** Gets the messages of one device, whose number is known by the time of the first. */
  observer(endpoint: () => number): FrameObserver {
    return {
      frame: (direction, bytes, descriptors): void => {
        if (this.#messages.length >= KEPT || this.#bytes + bytes.length > KEPT_BYTES) {
          this.#lost++;
          return;
        }
        const timeNs = Math.round((this.#nowMs() - this.#startedMs) * 1e6);
        this.#messages.push([endpoint(), timeNs, direction, descriptors, bytes.toBase64()]);
        this.#bytes += bytes.length;
      },
    };
  }

  /** What has come since the last call, oldest first. */
  take(): Pick<Happened, "messages" | "messagesLost"> {
    const taken = { messages: this.#messages, messagesLost: this.#lost };
    this.#messages = [];
    this.#bytes = 0;
    this.#lost = 0;
    return taken;
  }
}

/**
 * The scenario's half: gives messages their connection's name. A device has its address, and by that
 * its name, only once the client has talked to it; what came before waits for that.
 */
export class NamedMessages {
  readonly #tap: MessageTap;
  readonly #names = new Map<number, string>();
  readonly #waiting = new Map<number, Omit<TappedMessage, "connection">[]>();

  constructor(tap: MessageTap) {
    this.#tap = tap;
  }

  /** Device `number` is at `connection` from now on. */
  name(number: number, connection: string): void {
    this.#names.set(number, connection);
    const waiting = this.#waiting.get(number) ?? [];
    this.#waiting.delete(number);
    for (const message of waiting) this.#tap({ connection, ...message });
  }

  /** Takes what an answer of the server brought. */
  take(messages: Happened["messages"]): void {
    for (const [number, timeNs, direction, descriptors, base64] of messages) {
      const message = { timeNs, direction, descriptors, bytes: Uint8Array.fromBase64(base64) };
      const connection = this.#names.get(number);
      if (connection !== undefined) {
        this.#tap({ connection, ...message });
        continue;
      }
      const waiting = this.#waiting.get(number);
      if (waiting === undefined) this.#waiting.set(number, [message]);
      else waiting.push(message);
    }
  }

  /** No more devices get a name: what waits has the one that `nameOf` gives. */
  end(nameOf: (number: number) => string): void {
    for (const number of [...this.#waiting.keys()]) this.name(number, nameOf(number));
  }
}
