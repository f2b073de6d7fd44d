/**
 * What a server counts: messages by command, direction and errno, and how long commands took.
 * @module
 */

import { Histogram } from "../../../core/observe/histogram.ts";
import { errnoName } from "../../linux/errno.ts";
import { commandName } from "../message_fields.ts";

/** Messages of one kind. */
export interface MessageCount {
  /** Without `VFIO_USER_`, or a number for one that is not known. */
  readonly command: string;
  /** `>` from client to server. */
  readonly direction: ">" | "<";
  /** `ok`, or the name of an error number. */
  readonly errno: string;
  /** At least 1. */
  readonly count: number;
}

/** Commands with counters of their own; all others share one. */
const COMMANDS = 128;
const OTHER = COMMANDS;

/** Counts of one server, over all of its clients. */
export class ServerMetrics {
  /** Commands that were executed without an error, by number. */
  readonly #ok = new Float64Array(COMMANDS + 1);
  readonly #failed = new Map<number, number>();
  readonly #sent = new Float64Array(COMMANDS + 1);
  readonly #latency: (Histogram | undefined)[] = [];
  /** Clients that have been accepted. */
  clients = 0;
  /** Clients that were hung up on, for what they sent or did not read. */
  hungUp = 0;
  /** Accesses by message that failed. */
  remoteFaults = 0;
  /** Those of them that were not answered in time. */
  remoteTimeouts = 0;

  /** A client's command has been dealt with: `errno` 0 or negative. */
  executed(command: number, errno: number, ns: number): void {
    const index = command < COMMANDS ? command : OTHER;
    if (errno === 0) this.#ok[index]!++;
    else {
      const key = index * 0x1_0000 - errno;
      this.#failed.set(key, (this.#failed.get(key) ?? 0) + 1);
    }
    (this.#latency[index] ??= new Histogram()).record(ns);
  }

  /** We have sent a command. */
  requested(command: number): void {
    this.#sent[command < COMMANDS ? command : OTHER]!++;
  }

  /** Durations of a command, from its execution's begin to its reply; undefined when there was none. */
  latency(command: number): Histogram | undefined {
    return this.#latency[command < COMMANDS ? command : OTHER];
  }

  /** All counts that are not 0. */
  messages(): MessageCount[] {
    const counts: MessageCount[] = [];
    for (let index = 0; index <= COMMANDS; index++) {
      const command = index === OTHER ? "OTHER" : commandName(index);
      if (this.#ok[index]! > 0) {
        counts.push({ command, direction: ">", errno: "ok", count: this.#ok[index]! });
      }
      if (this.#sent[index]! > 0) {
        counts.push({ command, direction: "<", errno: "ok", count: this.#sent[index]! });
      }
    }
    for (const [key, count] of this.#failed) {
      const index = Math.floor(key / 0x1_0000);
      counts.push({
        command: index === OTHER ? "OTHER" : commandName(index),
        direction: ">",
        errno: errnoName(key % 0x1_0000),
        count,
      });
    }
    return counts;
  }

  /** Plain JSON of all of it. */
  snapshot(): Record<string, unknown> {
    return {
      clients: this.clients,
      hungUp: this.hungUp,
      remoteFaults: this.remoteFaults,
      remoteTimeouts: this.remoteTimeouts,
      messages: this.messages(),
    };
  }
}
