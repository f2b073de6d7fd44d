/**
 * A program that runs in the guest.
 * @module
 */

import { encodeBase64 } from "./base64.ts";
import { STDIN_CHUNK } from "./guest_protocol.ts";

/** How a program ended. */
export interface GuestExit {
  /** Its exit code; 128 and the signal's number when one ended it, as shells say it. */
  readonly code: number;
  /** The signal that ended it, or null. */
  readonly signal: number | null;
}

/** What a {@linkcode GuestProcess} asks of the guest. */
export interface GuestProcessHost {
  /** Sends a part of stdin, and later its end. */
  stdin(data: string): void;
  close(): void;
  signal(signal: number): void;
}

/** Bytes of output we keep of one program until they are taken. */
const OUTPUT_LIMIT = 256 * 1024 * 1024;

/** A program in the guest, with its streams. */
export class GuestProcess {
  /** As it was called. */
  readonly command: string;
  /** Resolves when it has ended and all its output is here. Rejects when the guest fails. */
  readonly exited: Promise<GuestExit>;
  readonly #host: GuestProcessHost;
  readonly #chunks: { readonly 1: Uint8Array[]; readonly 2: Uint8Array[] } = { 1: [], 2: [] };
  #kept = 0;
  #resolve!: (exit: GuestExit) => void;
  #reject!: (error: Error) => void;
  #over: Error | "ended" | null = null;
  /** Lines of stdout that {@linkcode readLine} has not given yet. */
  readonly #lines: string[] = [];
  readonly #decoder = new TextDecoder();
  #rest = "";
  #taking = false;
  /** Called when a line, or the end, has come. */
  #wake: () => void = () => {};
  /** Stdin in order; each waits until the program's pipe has the one before. */
  #written: Promise<void> = Promise.resolve();
  #taken: () => void = () => {};

  constructor(command: string, host: GuestProcessHost) {
    this.command = command;
    this.#host = host;
    this.exited = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever awaits it hears of it; nobody need.
    this.exited.catch(() => {});
  }

  /** Writes to its stdin; resolves when its pipe has taken all of it. */
  write(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    this.#written = this.#written.then(async () => {
      for (let at = 0; at < bytes.length && this.#over === null; at += STDIN_CHUNK) {
        const taken = new Promise<void>((resolve) => this.#taken = resolve);
        this.#host.stdin(encodeBase64(bytes.subarray(at, at + STDIN_CHUNK)));
        await taken;
      }
    });
    return this.#written;
  }

  /** Ends its stdin after what was written. */
  async closeStdin(): Promise<void> {
    await this.#written;
    if (this.#over === null) this.#host.close();
  }

  /** Sends a signal to it and its children: 9 kills, 15 asks it to end. */
  signal(signal: number): void {
    if (this.#over === null) this.#host.signal(signal);
  }

  /**
   * The next line of its stdout, without its end; null when there is no more. From
   * the first call on, stdout goes here and is not kept for {@linkcode takeStdout}.
   * One reader at a time. @throws {Error} when the guest fails
   */
  async readLine(): Promise<string | null> {
    if (!this.#taking) {
      this.#taking = true;
      for (const bytes of this.#chunks[1].splice(0)) this.#splitLines(bytes);
    }
    while (this.#lines.length === 0) {
      if (this.#over instanceof Error) throw this.#over;
      if (this.#over === "ended") {
        const rest = this.#rest;
        this.#rest = "";
        return rest === "" ? null : rest;
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const line = this.#lines.shift()!;
    // Bytes are no fewer than characters: what is left is never taken for less.
    this.#kept -= line.length + 1;
    return line;
  }

  /** All of stdout since the last call. */
  takeStdout(): Uint8Array {
    return this.#takeAll(1);
  }

  /** All of stderr since the last call. */
  takeStderr(): Uint8Array {
    return this.#takeAll(2);
  }

  /** For {@linkcode Guest}: output has come. */
  output(stream: 1 | 2, bytes: Uint8Array): void {
    this.#kept += bytes.length;
    if (this.#kept > OUTPUT_LIMIT) {
      this.#host.signal(9);
      this.fail(new Error(`Cannot keep the output of ${this.command}: over ${OUTPUT_LIMIT} bytes`));
    } else if (stream === 1 && this.#taking) this.#splitLines(bytes);
    else this.#chunks[stream].push(bytes);
  }

  /** For {@linkcode Guest}: its stdin has taken what was sent. */
  taken(): void {
    this.#taken();
  }

  /** For {@linkcode Guest}: it has ended. */
  exit(exit: GuestExit): void {
    if (this.#over !== null) return;
    this.#over = "ended";
    this.#resolve(exit);
    this.#taken();
    this.#wake();
  }

  /** Nothing more will be heard of it. */
  fail(error: Error): void {
    if (this.#over !== null) return;
    this.#over = error;
    this.#reject(error);
    this.#taken();
    this.#wake();
  }

  #takeAll(stream: 1 | 2): Uint8Array {
    const bytes = join(this.#chunks[stream].splice(0));
    this.#kept -= bytes.length;
    return bytes;
  }

  #splitLines(bytes: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#rest = lines.pop()!;
    this.#lines.push(...lines);
    if (lines.length > 0) this.#wake();
  }
}

function join(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((length, { length: more }) => length + more, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
