/**
 * Files that results go to, opened before the first run: a path that cannot be
 * written must not cost anyone the results of a long one. What fails later is kept
 * until the end, and takes neither the runs nor the other files with it.
 * @module
 */

import { thrownMessage } from "../../core/thrown.ts";
import type { OutputSink } from "../export/output_sink.ts";
import { type OpenedOutput, openOutput, OutputRefused, removeCreated } from "./output_file_open.ts";
import { UsageError } from "./usage_error.ts";

/** Milliseconds between two tries to write to a pipe that is full and does not let us wait. */
const FULL_PIPE_MS = 1;
/** Bytes that may wait for a stream's reader before it is full, and those that are few. */
const MOST_WAITING = 64 * 2 ** 20, FEW_WAITING = 8 * 2 ** 20;

/** One file, or pipe, or device. Its methods do not throw: {@linkcode OutputFile.failure} says what went wrong. */
export class OutputFile implements OutputSink {
  /** Without the dashes. */
  readonly flag: string;
  /** As it was given. */
  readonly path: string;
  readonly #output: OpenedOutput;
  /** What a stream has not taken yet. */
  readonly #queue: Uint8Array[] = [];
  #waiting = 0;
  #draining: Promise<void> | null = null;
  /** Settled when few bytes wait; null while few do. */
  #room: PromiseWithResolvers<void> | null = null;
  #state: "untouched" | "written" | "ended" | "closed" = "untouched";
  #failure: string | null = null;
  #incomplete: string | null = null;

  /** Takes over `output`. */
  constructor(flag: string, path: string, output: OpenedOutput) {
    this.flag = flag;
    this.path = path;
    this.#output = output;
  }

  /** Why what it holds is not all that was to be written; null while nothing has gone wrong. */
  get failure(): string | null {
    return this.#failure ?? this.#incomplete;
  }

  /** Whether its reader is so far behind that no more should be given to it. Never true of a file. */
  get isFull(): boolean {
    return this.#waiting >= MOST_WAITING;
  }

  /** Resolves when its reader is not far behind; null when it is not. */
  get room(): Promise<void> | null {
    return this.#room?.promise ?? null;
  }

  /** Why it does not hold all that was meant for it. */
  incomplete(why: string): void {
    this.#incomplete ??= why;
  }

  /** Cuts a file. A stream has nothing that could be cut. */
  truncateSync(length = 0): void {
    this.#touch();
    const { kind, stream } = this.#output;
    if (kind === "file") this.#try(() => stream.truncateSync?.(length));
  }

  /** Takes all of `bytes`: a file at once, a stream as soon as its reader does. */
  writeSync(bytes: Uint8Array): number {
    this.#touch();
    if (this.#failure !== null || bytes.length === 0) return bytes.length;
    const { kind, stream } = this.#output;
    if (kind === "file") {
      this.#try(() => {
        for (let rest = bytes; rest.length > 0;) rest = rest.subarray(stream.writeSync(rest));
      });
    } else {
      this.#queue.push(bytes.slice());
      this.#waiting += bytes.length;
      if (this.#waiting >= FEW_WAITING) this.#room ??= Promise.withResolvers();
      this.#draining ??= this.#drain();
    }
    return bytes.length;
  }

  /** Replaces what it held by `text`, and closes it. */
  replace(text: string): void {
    this.truncateSync(0);
    this.writeSync(new TextEncoder().encode(text));
    this.close();
  }

  /** Nothing more comes. */
  close(): void {
    if (this.#state === "ended" || this.#state === "closed") return;
    this.#state = "ended";
    if (this.#draining === null) this.#close();
  }

  /** Resolves when what has been taken is written, or has failed. */
  async settled(): Promise<void> {
    await this.#draining;
  }

  /** Gives up on what a stream has not taken yet. */
  abandon(): void {
    if (this.#draining !== null) this.#fail("its reader did not take all of it");
  }

  /** Closes it, and removes the file if it was made for this and nothing has been written to it. */
  release(): void {
    const untouched = this.#state === "untouched";
    this.close();
    if (untouched) removeCreated(this.#output);
  }

  #touch(): void {
    if (this.#state === "untouched") this.#state = "written";
  }

  async #drain(): Promise<void> {
    const { stream } = this.#output;
    for (let bytes = this.#queue[0]; bytes !== undefined; bytes = this.#queue[0]) {
      try {
        const taken = await stream.write(bytes);
        if (this.#failure !== null) break;
        const rest = bytes.subarray(taken);
        if (rest.length > 0) this.#queue[0] = rest;
        else this.#queue.shift();
        this.#setWaiting(this.#waiting - taken);
      } catch (error) {
        if (error instanceof Deno.errors.WouldBlock) {
          await new Promise((resolve) => setTimeout(resolve, FULL_PIPE_MS));
        } else this.#fail(thrownMessage(error));
      }
    }
    this.#draining = null;
    if (this.#state === "ended") this.#close();
  }

  #close(): void {
    this.#state = "closed";
    this.#try(() => this.#output.stream.close());
  }

  #try(body: () => void): void {
    try {
      body();
    } catch (error) {
      this.#fail(thrownMessage(error));
    }
  }

  #fail(reason: string): void {
    this.#failure ??= reason;
    this.#queue.length = 0;
    this.#setWaiting(0);
  }

  #setWaiting(bytes: number): void {
    this.#waiting = bytes;
    if (bytes >= FEW_WAITING) return;
    this.#room?.resolve();
    this.#room = null;
  }
}

/** The files of one command. */
export class Outputs<Flag extends string> implements Disposable {
  /** By flag; null where none was asked for. */
  readonly files: Readonly<Record<Flag, OutputFile | null>>;
  /** Whether one of them is this process's stdout, where nothing else may go then. */
  readonly takesStdout: boolean;
  readonly #all: readonly OutputFile[];

  /** Made by {@linkcode openOutputs}. */
  constructor(files: Readonly<Record<Flag, OutputFile | null>>, takesStdout: boolean) {
    this.files = files;
    this.takesStdout = takesStdout;
    this.#all = Object.values<OutputFile | null>(files).filter((file) => file !== null);
  }

  /** Flags and paths of those whose readers are far behind. */
  get slow(): readonly string[] {
    return this.#all.filter(({ room }) => room !== null).map(({ flag, path }) =>
      `--${flag} ${path}`
    );
  }

  /** Resolves when no reader is far behind. */
  async room(): Promise<void> {
    for (const file of this.#all) await file.room;
  }

  /**
   * Closes all, once what they were given is written, or at once with `interrupted`.
   * @returns what people should know of those that are not whole, a line each
   */
  async finish(interrupted: Promise<void>): Promise<readonly string[]> {
    for (const file of this.#all) file.close();
    const settled = Promise.all(this.#all.map((file) => file.settled()));
    await Promise.race([settled, interrupted]);
    for (const file of this.#all) file.abandon();
    return this.#all.flatMap(({ flag, path, failure }) =>
      failure === null ? [] : [`Cannot write all of --${flag} ${path}: ${failure}`]
    );
  }

  /** Closes all; files that were made and never written to go again. */
  [Symbol.dispose](): void {
    for (const file of this.#all) file.release();
  }
}

/**
 * Opens each file that was asked for; what it holds stays until something is written.
 * @throws {UsageError} that names the flag and the reason, with no file left that was not there before
 */
export function openOutputs<Flag extends string>(
  paths: { readonly [F in Flag]: string | null },
): Outputs<Flag> {
  const files = {} as Record<Flag, OutputFile | null>;
  const flags = new Map<string, Flag>();
  let takesStdout = false;
  using opened = new DisposableStack();
  for (const flag in paths) {
    const path = paths[flag];
    files[flag] = null;
    if (path === null) continue;
    const output = open(flag, path);
    const file = opened.adopt(new OutputFile(flag, path, output), (file) => file.release());
    files[flag] = file;
    takesStdout ||= output.isStdout;
    if (output.identity === null) continue;
    const other = flags.get(output.identity);
    if (other !== undefined) {
      throw new UsageError(
        `Cannot write --${flag} ${path}: --${other} writes to the same file; name another`,
      );
    }
    flags.set(output.identity, flag);
  }
  opened.move();
  return new Outputs(files, takesStdout);
}

function open(flag: string, path: string): OpenedOutput {
  try {
    return openOutput(path);
  } catch (error) {
    if (!(error instanceof OutputRefused)) throw error;
    throw new UsageError(`Cannot write --${flag} ${path}: ${error.message}`);
  }
}
