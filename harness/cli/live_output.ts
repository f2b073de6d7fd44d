/**
 * An output that a reactor's thread writes while it serves: it keeps nobody waiting, whatever is at
 * its other end, and throws at nobody. What a pipe's reader has not taken waits, up to a bound.
 * @module
 */

import * as fs from "node:fs";
import { thrownMessage } from "../../core/thrown.ts";
import { POLLERR, POLLHUP, POLLOUT } from "../../protocols/linux/mod.ts";
import type { Reactor, Registration } from "../../protocols/linux/mod.ts";
import type { OutputSink } from "../export/output_sink.ts";
import { type OpenedOutput, openOutput, removeCreated } from "./output_file_open.ts";

/** Bytes that may wait for a pipe's reader before the output is full. */
const MOST_WAITING = 16 * 2 ** 20;
/** Bytes that wait are gathered in pieces of this size. */
const PIECE = 64 * 2 ** 10;
/** Milliseconds that {@linkcode LiveOutput.close} gives a reader that takes nothing, unless told, and between two tries. */
const PATIENCE_MS = 1000, TRY_MS = 1;
const GONE = "its reader has gone";

/** A piece of what waits: from `start` to `end` of `bytes`. */
interface Piece {
  readonly bytes: Uint8Array;
  start: number;
  end: number;
}

/** What may have a reader, open so that no write waits for it. */
interface Pipe {
  readonly fd: number;
  readonly registration: Registration;
}

/** See the module. */
export class LiveOutput implements OutputSink, Disposable {
  readonly #output: OpenedOutput;
  readonly #say: (why: string) => void;
  readonly #patienceMs: number;
  /** Null for a file, and once it is of no more use. */
  #pipe: Pipe | null = null;
  readonly #pieces: Piece[] = [];
  #waiting = 0;
  #state: "untouched" | "written" | "failed" | "closed" = "untouched";

  /**
   * Opens `path`, makes it where it is not there, and leaves what it holds until something is written.
   * `say` is told, once for each reason, why it does not hold all.
   * @throws {OutputRefused} also for a named pipe that nobody reads from
   */
  constructor(
    path: string,
    reactor: Pick<Reactor, "add">,
    say: (why: string) => void,
    patienceMs: number = PATIENCE_MS,
  ) {
    this.#output = openOutput(path);
    this.#say = say;
    this.#patienceMs = patienceMs;
    if (this.#output.kind === "file") return;
    try {
      const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = fs.constants;
      // Opened anew: the mode of a pipe that others have as well is theirs.
      const fd = fs.openSync(path, O_WRONLY | O_NONBLOCK | O_NOCTTY);
      const registration = reactor.add(fd, 0, (events) => this.#ready(events));
      this.#pipe = { fd, registration };
    } finally {
      this.#output.stream.close();
    }
  }

  /** Whether it is this process's stdout. */
  get isStdout(): boolean {
    return this.#output.isStdout;
  }

  /** Whether its reader is so far behind that no more should be given to it. Never true of a file. */
  get isFull(): boolean {
    return this.#waiting >= MOST_WAITING;
  }

  /** Cuts a file. A pipe has nothing that could be cut. */
  truncateSync(length = 0): void {
    if (this.#state === "untouched") this.#state = "written";
    const { kind, stream } = this.#output;
    if (kind === "file") this.#try(() => stream.truncateSync?.(length));
  }

  /** Takes all of `bytes`. */
  writeSync(bytes: Uint8Array): number {
    if (this.#state === "untouched") this.#state = "written";
    if (this.#state !== "written") return bytes.length;
    if (this.#output.kind === "file") this.#try(() => this.#writeFile(bytes));
    else this.#try(() => this.#writePipe(bytes));
    return bytes.length;
  }

  /** Says why it does not hold all that was meant for it. */
  incomplete(why: string): void {
    if (this.#state !== "failed") this.#say(why);
  }

  /** Writes what waits, as far as its reader takes it soon, and closes it. Idempotent. */
  close(): void {
    if (this.#state === "closed") return;
    const untouched = this.#state === "untouched";
    this.#try(() => this.#finish());
    this.#state = "closed";
    this.#letGo();
    if (this.#output.kind === "file") this.#try(() => this.#output.stream.close());
    if (untouched) removeCreated(this.#output);
  }

  /** As {@linkcode close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #writeFile(bytes: Uint8Array): void {
    const { stream } = this.#output;
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(stream.writeSync(rest));
  }

  #writePipe(bytes: Uint8Array): void {
    const taken = this.#waiting > 0 ? 0 : this.#put(bytes);
    if (taken === bytes.length) return;
    this.#keep(bytes.subarray(taken));
    this.#pipe?.registration.watch(POLLOUT);
  }

  /** @returns bytes that the pipe has taken, 0 when it is full */
  #put(bytes: Uint8Array): number {
    if (this.#pipe === null) return bytes.length;
    try {
      return fs.writeSync(this.#pipe.fd, bytes);
    } catch (error) {
      const { code } = error as { readonly code?: unknown };
      if (code === "EAGAIN" || code === "EINTR") return 0;
      throw code === "EPIPE" ? new Error(GONE) : error;
    }
  }

  #keep(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0;) {
      let last = this.#pieces.at(-1);
      if (last === undefined || last.end === last.bytes.length) {
        this.#pieces.push(last = { bytes: new Uint8Array(PIECE), start: 0, end: 0 });
      }
      const part = rest.subarray(0, last.bytes.length - last.end);
      last.bytes.set(part, last.end);
      last.end += part.length;
      rest = rest.subarray(part.length);
    }
    this.#waiting += bytes.length;
  }

  /** Writes what waits, until the pipe is full. */
  #drain(): void {
    for (let piece = this.#pieces[0]; piece !== undefined; piece = this.#pieces[0]) {
      const taken = this.#put(piece.bytes.subarray(piece.start, piece.end));
      if (taken === 0) return;
      piece.start += taken;
      this.#waiting -= taken;
      if (piece.start === piece.end) this.#pieces.shift();
    }
  }

  #ready(events: number): void {
    this.#try(() => {
      this.#drain();
      // Writing says more of what went wrong, where there is something to write.
      if (this.#waiting === 0 && (events & (POLLERR | POLLHUP)) !== 0) {
        throw new Error(GONE);
      }
    });
    this.#pipe?.registration.watch(this.#waiting > 0 ? POLLOUT : 0);
  }

  #finish(): void {
    const pause = new Int32Array(new SharedArrayBuffer(4));
    let before = this.#waiting;
    for (let silentMs = 0; this.#waiting > 0; silentMs += TRY_MS) {
      this.#drain();
      if (this.#waiting === 0) return;
      if (this.#waiting < before) silentMs = 0;
      before = this.#waiting;
      if (silentMs >= this.#patienceMs) {
        throw new Error(`its reader did not take the last ${this.#waiting} bytes`);
      }
      Atomics.wait(pause, 0, 0, TRY_MS);
    }
  }

  #try(body: () => void): void {
    try {
      body();
    } catch (error) {
      const failed = this.#state === "failed";
      this.#state = "failed";
      this.#letGo();
      if (!failed) this.#say(thrownMessage(error));
    }
  }

  /** Closes the pipe, and forgets what waits for it. */
  #letGo(): void {
    const pipe = this.#pipe;
    this.#pipe = null;
    this.#pieces.length = 0;
    this.#waiting = 0;
    if (pipe === null) return;
    pipe.registration.remove();
    fs.closeSync(pipe.fd);
  }
}
