/**
 * Counters that another process tells while its devices are at work: see `vfio_user_teller.ts`, the
 * other end. They come when they are asked for.
 * @module
 */

import { Counter } from "../../core/observe/counters.ts";
import { linesOf } from "./connection_lines.ts";

/** Counters of one endpoint. */
const COUNTERS = Object.keys(Counter).length;
/** Characters of an answer: of 65 536 endpoints with large counts. */
const MAX_ANSWER = 8 * 2 ** 20;
const CHUNK = 64 * 1024;
const ASK = new Uint8Array([0x0a]);

/** One process that tells. */
export class LiveCounters {
  readonly #path: string;
  #connection: Deno.Conn | null = null;
  #asked = false;
  #closed = false;
  #rows: ReadonlyMap<number, readonly number[]> = new Map();
  #answered: () => void = () => {};

  /** Nothing is connected yet: the other end may not listen before somebody asks. */
  constructor(path: string) {
    this.#path = path;
  }

  /** What was told last, by the numbers of the process that told it: in the order of `Counter`. */
  get rows(): ReadonlyMap<number, readonly number[]> {
    return this.#rows;
  }

  /** Asks, unless an answer is still to come; resolves with it, or when `patienceMs` are over. Never rejects. */
  async refresh(patienceMs: number): Promise<void> {
    if (this.#closed) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const answered = new Promise<void>((resolve) => {
      this.#answered = resolve;
      timer = setTimeout(resolve, patienceMs);
    });
    if (!this.#asked) {
      this.#asked = true;
      // It may not be there yet, or no longer: what it told stands.
      this.#ask().catch(() => this.#disconnect());
    }
    await answered;
    clearTimeout(timer);
  }

  close(): void {
    this.#closed = true;
    this.#disconnect();
  }

  async #ask(): Promise<void> {
    if (this.#connection === null) {
      const connection = await Deno.connect({ transport: "unix", path: this.#path });
      if (this.#closed) return connection.close();
      this.#connection = connection;
      this.#read(connection).finally(() => {
        if (this.#connection === connection) this.#disconnect();
      });
    }
    await this.#connection.write(ASK);
  }

  async #read(connection: Deno.Conn): Promise<void> {
    for await (const lines of linesOf(connection, { chunk: CHUNK, limit: MAX_ANSWER })) {
      const last = lines.at(-1);
      if (last === undefined) continue;
      const rows = parseRows(last);
      if (rows === null) return;
      this.#rows = rows;
      this.#asked = false;
      this.#answered();
    }
  }

  #disconnect(): void {
    try {
      this.#connection?.close();
    } catch {
      // The other end has closed it.
    }
    this.#connection = null;
    this.#asked = false;
    this.#answered();
  }
}

/** The rows of an answer, or null when it is none: models are at work in the process that told it. */
export function parseRows(line: string): ReadonlyMap<number, readonly number[]> | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (!Array.isArray(value)) return null;
  const rows = new Map<number, readonly number[]>();
  for (const row of value as unknown[]) {
    if (!Array.isArray(row) || row.length !== 1 + COUNTERS) return null;
    const right = (row as unknown[]).every((field) =>
      Number.isSafeInteger(field) && field as number >= 0
    );
    if (!right) return null;
    const [number, ...counters] = row as number[];
    rows.set(number!, counters);
  }
  return rows;
}
