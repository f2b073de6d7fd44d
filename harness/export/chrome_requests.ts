/**
 * The commands of a run's vfio-user connections as slices, from command to reply. What wants no
 * reply, or got none, is an instant.
 *
 * Their times are those of the wall's clock, from when the machine was built, and not scenario time,
 * which stands still while one waits for a reply; scenario time is among their arguments.
 *
 * @module
 */

import { errnoName } from "../../protocols/linux/errno.ts";
import { commandName, describeBody } from "../../protocols/vfio_user/message_fields.ts";
import {
  decodeHeader,
  header,
  HEADER_SIZE,
  isCommand,
  isReply,
  replyResult,
  wantsReply,
} from "../../protocols/vfio_user/messages/header.ts";
import type { TappedMessage } from "../via/message_tap.ts";
import type { ChromeEvent } from "./chrome_event.ts";
import { Lanes } from "./chrome_lanes.ts";

/**
 * Commands that are kept, the newest; as many may wait for their reply. There are as many IDs, and
 * one unmap of many mappings uses them all.
 */
const KEPT = 65_536;
/** Slices that may stand above each other in one direction of a connection. */
const MAX_LANES = 64;
/** First thread of each direction, in the process of its device. */
const THREADS = { ">": 200, "<": 300 } as const;
const THREAD_NAMES = {
  ">": "vfio-user commands, wall clock",
  "<": "vfio-user commands of the server, wall clock",
} as const;

/** One command, and what became of it. */
interface Command {
  readonly connection: string;
  readonly direction: ">" | "<";
  readonly name: string;
  readonly startNs: number;
  readonly args: Record<string, string | number>;
  /** Null until its reply has come. */
  endNs: number | null;
}

/** Gathers the commands of one run. Memory is bounded whatever peers send. */
export class ChromeRequests {
  #commands: Command[] = [];
  #seen = 0;
  /** Oldest first, by connection, direction, command and ID: an ID may be in use more than once. */
  readonly #waiting = new Map<string, Command[]>();
  #waitingCount = 0;
  readonly #header = header();

  /** Takes the next message; `scenarioNs` is scenario time. */
  take({ connection, direction, timeNs, bytes }: TappedMessage, scenarioNs: number): void {
    if (bytes.length < HEADER_SIZE) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const head = this.#header;
    decodeHeader(view, 0, head);
    const { id, command, size } = head;
    // A reply goes the other way than its command.
    const way = (direction === ">") === isCommand(head) ? ">" : "<";
    const key = `${way} ${command} ${id} ${connection}`;
    if (isReply(head)) {
      const result = replyResult(head);
      const asked = this.#answered(key);
      if (asked === undefined) return;
      asked.endNs = Math.max(asked.startNs, timeNs);
      asked.args.result = result === 0 ? "ok" : errnoName(-result);
      return;
    }
    if (!isCommand(head)) return;
    const args: Command["args"] = { id, len: size, scenarioMs: scenarioNs / 1e6 };
    const body = Math.max(0, Math.min(size, bytes.length) - HEADER_SIZE);
    for (const [name, value] of describeBody(command, "command", view, HEADER_SIZE, body)) {
      args[name] = value;
    }
    const asked: Command = {
      connection,
      direction: way,
      name: commandName(command),
      startNs: timeNs,
      args,
      endNs: null,
    };
    this.#seen++;
    this.#commands.push(asked);
    if (this.#commands.length >= 2 * KEPT) this.#commands = this.#commands.slice(-KEPT);
    if (wantsReply(head)) {
      args.result = "no reply";
      this.#wait(key, asked);
    } else {
      args.result = "posted";
    }
  }

  /** Commands that are not kept any more. */
  get dropped(): number {
    return Math.max(0, this.#seen - KEPT);
  }

  /**
   * The events, by time, with the names of their threads before them. `processOf` a connection's
   * name is the process of its device.
   */
  events(processOf: (connection: string) => number): ChromeEvent[] {
    const lanes = new Map<string, Lanes>();
    const threads = new Map<string, ChromeEvent>();
    const events: ChromeEvent[] = [];
    const commands = this.#commands.slice(-KEPT).sort((a, b) => a.startNs - b.startNs);
    for (const { connection, direction, name, startNs, endNs, args } of commands) {
      const pid = processOf(connection);
      const group = `${pid} ${direction}`;
      let own = lanes.get(group);
      if (own === undefined) lanes.set(group, own = new Lanes("apart", MAX_LANES));
      // One that is not over yet looks like no part of another: all lanes are threads apart.
      const lane = endNs === null ? -1 : own.place(startNs, endNs);
      const tid = THREADS[direction] + Math.max(0, lane);
      const thread = `${pid} ${tid}`;
      if (!threads.has(thread)) {
        const label = lane > 0
          ? `${THREAD_NAMES[direction]} (${lane + 1})`
          : THREAD_NAMES[direction];
        threads.set(thread, {
          ph: "M",
          name: "thread_name",
          pid,
          tid,
          ts: 0,
          args: { name: label },
        });
      }
      const common = { name, cat: "vfio-user", pid, tid, ts: startNs / 1000 };
      if (lane >= 0) events.push({ ph: "X", ...common, dur: (endNs! - startNs) / 1000, args });
      else {
        const took = endNs === null ? {} : { tookUs: (endNs - startNs) / 1000 };
        events.push({ ph: "i", s: "t", ...common, args: { ...args, ...took } });
      }
    }
    return [...threads.values(), ...events];
  }

  #wait(key: string, command: Command): void {
    if (this.#waitingCount >= KEPT) {
      for (const oldest of this.#waiting.keys()) {
        this.#answered(oldest);
        break;
      }
    }
    const there = this.#waiting.get(key);
    if (there === undefined) this.#waiting.set(key, [command]);
    else there.push(command);
    this.#waitingCount++;
  }

  #answered(key: string): Command | undefined {
    const there = this.#waiting.get(key);
    const command = there?.shift();
    if (command === undefined) return undefined;
    if (there!.length === 0) this.#waiting.delete(key);
    this.#waitingCount--;
    return command;
  }
}
