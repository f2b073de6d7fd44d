/**
 * QEMU's monitor (QMP): commands, their results, and events.
 * @module
 */

import * as v from "valibot";
import { LineSocket } from "./line_socket.ts";
import {
  type QmpArguments,
  type QmpCommand,
  type QmpEvent,
  QmpLine,
  type QmpResult,
  QmpResults,
} from "./qmp_schema.ts";

/** Characters of the longest line we take. */
const LINE_LIMIT = 16 * 1024 * 1024;

/** QEMU refused a command, or is gone. */
export class QmpError extends Error {
  override readonly name = "QmpError";

  /** `code` is QEMU's error class, `closed` when it is gone, `protocol` when we do not understand it. */
  constructor(readonly code: string, message: string) {
    super(message);
  }
}

interface Waiting {
  readonly command: string;
  resolve(result: unknown): void;
  reject(error: QmpError): void;
}

/** A monitor that is ready for commands. */
export class Qmp {
  readonly #socket: LineSocket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  #nextId = 1;
  #gone: QmpError | null = null;
  #greeted: () => void = () => {};

  private constructor(conn: Deno.Conn) {
    this.#socket = new LineSocket(conn, LINE_LIMIT, {
      line: (text) => this.#line(text),
      end: (reason) => this.#end(new QmpError("closed", `QEMU's monitor is gone: ${reason}`)),
    });
  }

  /** Waits for the greeting and leaves the negotiation mode. @throws {QmpError} */
  static async open(conn: Deno.Conn): Promise<Qmp> {
    const qmp = new Qmp(conn);
    await new Promise<void>((resolve) => {
      qmp.#greeted = resolve;
      void qmp.#socket.ended.then(resolve);
    });
    await qmp.execute("qmp_capabilities");
    return qmp;
  }

  /** Resolves when the connection is over, whoever ended it. */
  get ended(): Promise<void> {
    return this.#socket.ended;
  }

  /** Runs one command. @throws {QmpError} what QEMU says, with its class as the code */
  async execute<Name extends QmpCommand>(
    name: Name,
    ...args: QmpArguments<Name>
  ): Promise<QmpResult<Name>> {
    if (this.#gone !== null) throw this.#gone;
    const id = this.#nextId++;
    const result = await new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, { command: name, resolve, reject });
      this.#socket.send(
        JSON.stringify({
          execute: name,
          id,
          ...(args.length === 0 ? {} : { arguments: args[0] }),
        }),
      );
    });
    const checked = v.safeParse(QmpResults[name], result);
    if (checked.success) return checked.output as QmpResult<Name>;
    throw new QmpError(
      "protocol",
      `Cannot read the result of ${name}: ${v.summarize(checked.issues)}`,
    );
  }

  /** Calls `listener` for each event from now on, until the function returned is called. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The next event of that name for which `matches` holds. @throws {QmpError} when QEMU is gone first */
  nextEvent(name: string, matches: (event: QmpEvent) => boolean = () => true): Promise<QmpEvent> {
    return new Promise((resolve, reject) => {
      const stop = this.onEvent((event) => {
        if (event.name !== name || !matches(event)) return;
        stop();
        resolve(event);
      });
      void this.ended.then(() => {
        stop();
        reject(this.#gone ?? new QmpError("closed", `QEMU ended before it sent ${name}`));
      });
    });
  }

  /** Plugs a device in at run time. @throws {QmpError} */
  async deviceAdd(
    properties: { driver: string; id: string; [name: string]: unknown },
  ): Promise<void> {
    await this.execute("device_add", properties);
  }

  /** Asks the guest to let go of a device, and waits until it has. @throws {QmpError} */
  async deviceDel(id: string): Promise<void> {
    const deleted = this.nextEvent("DEVICE_DELETED", ({ data }) => data["device"] === id);
    // Not awaited yet: when the command is refused, that is the error to tell.
    deleted.catch(() => {});
    await this.execute("device_del", { id });
    await deleted;
  }

  /** Closes the connection; QEMU goes on. */
  close(): void {
    this.#socket.close();
  }

  #line(text: string): void {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      value = null;
    }
    const parsed = v.safeParse(QmpLine, value);
    if (!parsed.success) {
      this.#end(new QmpError("protocol", `Cannot read a line of QMP: ${text.slice(0, 200)}`));
      this.#socket.close();
      return;
    }
    const line = parsed.output;
    if ("QMP" in line) this.#greeted();
    else if ("event" in line) {
      const event: QmpEvent = { name: line.event, data: line.data ?? {} };
      for (const listener of [...this.#listeners]) listener(event);
    } else if (line.id !== undefined) this.#answer(line.id, line);
  }

  #answer(id: number, line: { return?: unknown; error?: { class: string; desc: string } }): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    if (line.error === undefined) waiting.resolve(line.return);
    else {
      waiting.reject(
        new QmpError(line.error.class, `QEMU refuses ${waiting.command}: ${line.error.desc}`),
      );
    }
  }

  #end(error: QmpError): void {
    this.#gone ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#gone);
    this.#waiting.clear();
  }
}
