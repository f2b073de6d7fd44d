/**
 * Messages of one source by kind, and how long its requests took: totals that only grow, out of
 * rows that come and go. For `/metrics`.
 * @module
 */

import type { MessageRow } from "./api.ts";
import type { LiveSource } from "./source.ts";

/** Name of a command that has none, and of messages that went by too fast to be looked at. */
const UNKNOWN = "unknown", UNSEEN = "unseen";
/** The last errno of Linux (EHWPOISON): a peer may send any 32-bit number, a label must not be one. */
const LAST_ERRNO = 133;

/** The shortest time that is told apart is 2^10 ns, the longest 2^33 ns, 8.6 s. */
const FIRST_POWER = 10, LAST_POWER = 33;
/** Upper bounds of {@linkcode RequestTimes.counts}, in seconds, inclusive. */
export const REQUEST_BOUNDS: readonly number[] = Array.from(
  { length: LAST_POWER - FIRST_POWER + 1 },
  (_, at) => 2 ** (FIRST_POWER + at) / 1e9,
);

/** Labels of messages that are counted together. */
export interface MessageKind {
  readonly command: string;
  /** `to-server` or `to-client`; empty for those unseen. */
  readonly direction: string;
  /** Of a reply, 0 for success; empty for a command. */
  readonly errno: string;
}

/** How long the requests of one command took. */
export interface RequestTimes {
  readonly command: string;
  /** One a bound of {@linkcode REQUEST_BOUNDS}; longer ones are in {@linkcode count} alone. */
  readonly counts: readonly number[];
  readonly count: number;
  readonly sumSeconds: number;
}

interface Times {
  readonly counts: number[];
  count: number;
  sumSeconds: number;
}

/** Counts each message of a source once, however often it looks. */
export class MessageCounts {
  /** Number of the first message that was not looked at yet. */
  #next = 0;
  readonly #messages = new Map<string, { readonly kind: MessageKind; count: number }>();
  readonly #times = new Map<string, Times>();

  /** Counts what has come since the last look. */
  look({ messages, messagesDropped }: Pick<LiveSource, "messages" | "messagesDropped">): void {
    // A source looks for messages with each of the two: rows know themselves which they are.
    const first = messages[0]?.number ?? messagesDropped;
    const passed = first - this.#next;
    if (passed > 0) {
      this.#count({ command: UNSEEN, direction: "", errno: "" }, passed);
      this.#next = first;
    }
    // Numbers have no gap: what is new is at the end.
    for (const row of messages.slice(this.#next - first)) this.#take(row);
    this.#next = Math.max(this.#next, first + messages.length);
  }

  /** Messages of each kind. */
  get messages(): Iterable<{ readonly kind: MessageKind; readonly count: number }> {
    return this.#messages.values();
  }

  /** Requests whose reply was seen, by command. */
  get requests(): readonly RequestTimes[] {
    return [...this.#times].map(([command, times]) => ({ command, ...times }));
  }

  #take(row: MessageRow): void {
    const command = /^COMMAND_\d+$/.test(row.command) ? UNKNOWN : row.command;
    const direction = row.direction === ">" ? "to-server" : "to-client";
    const errno = row.errno === null ? "" : row.errno <= LAST_ERRNO ? String(row.errno) : UNKNOWN;
    this.#count({ command, direction, errno }, 1);
    if (row.tookMs !== null) this.#time(command, row.tookMs / 1000);
  }

  #count(kind: MessageKind, count: number): void {
    const key = `${kind.command} ${kind.direction} ${kind.errno}`;
    const counted = this.#messages.get(key);
    if (counted === undefined) this.#messages.set(key, { kind, count });
    else counted.count += count;
  }

  #time(command: string, seconds: number): void {
    let times = this.#times.get(command);
    if (times === undefined) {
      times = { counts: REQUEST_BOUNDS.map(() => 0), count: 0, sumSeconds: 0 };
      this.#times.set(command, times);
    }
    const at = REQUEST_BOUNDS.findIndex((bound) => seconds <= bound);
    if (at >= 0) times.counts[at]!++;
    times.count++;
    times.sumSeconds += seconds;
  }
}
