/**
 * Messages of vfio-user.
 * @module
 */

import type { RunInfo } from "./runs.ts";

/**
 * `/api/messages?cursor=&limit=&filter=` (limit 1 to 1000, 200 unless told), oldest first. Empty
 * until a run via vfio-user is observed.
 *
 * `filter` is words that must all hold: `command:DMA_MAP`, `errno:!0`, `region:0`, `direction:>`,
 * `type:reply`, `length:>=64`. `name:value` compares; `!` in front of the value turns it round;
 * numbers also take `<`, `<=`, `>`, `>=`; `*` in a value stands for anything; a word without a colon
 * is looked for in the whole line. A region goes by its index and by its name: `region:0`,
 * `region:bar0`. A name that a message does not have does not hold, nor does its `!`. A filter that cannot be read is answered 400, with `position` in the problem.
 */
export interface MessagesPage {
  readonly run: RunInfo | null;
  readonly total: number;
  readonly messages: readonly MessageRow[];
  readonly next: string | null;
  /** Messages that were too many to keep. */
  readonly dropped: number;
}

/** One vfio-user message. */
export interface MessageRow {
  /** From 0. */
  readonly number: number;
  /** Milliseconds since the connection began. */
  readonly timeMs: number;
  /** `>` from client to server, `<` the other way. */
  readonly direction: ">" | "<";
  readonly type: "command" | "reply";
  /** Message ID, which a reply repeats. */
  readonly id: number;
  /** Which connection: `edu at 00:01.0`. */
  readonly connection: string;
  /** `DMA_MAP`; `COMMAND_99` for one without a name. */
  readonly command: string;
  /** Bytes of the whole message. */
  readonly length: number;
  /** Milliseconds from the command to this reply; null for commands. */
  readonly tookMs: number | null;
  /** Of a reply; 0 is success. Null for commands. */
  readonly errno: number | null;
  /** File descriptors that came along. */
  readonly descriptors: number;
  /** The body's fields by name, in order. */
  readonly fields: readonly { readonly name: string; readonly value: string }[];
  /** The message in hex, two digits a byte; at most the first 4096 bytes. */
  readonly bytes: string;
}
