/**
 * Opening what a path names to write to it, whatever that is, without waiting for anybody.
 * @module
 */

import * as fs from "node:fs";
import { thrownMessage } from "../../core/thrown.ts";

/** What is written to. */
export interface OutputStream {
  truncateSync?(length: number): void;
  writeSync(bytes: Uint8Array): number;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** What a path led to. */
export interface OpenedOutput {
  readonly stream: OutputStream;
  /** `file` has a length, and takes bytes at once; a `stream` may make its writer wait. */
  readonly kind: "file" | "stream";
  /** The same for two paths to one file; null where it does not matter who else writes there. */
  readonly identity: string | null;
  /** Whether it is this process's own stdout. */
  readonly isStdout: boolean;
  /** Where the file is that has been made just now; null when it was there before. */
  readonly created: string | null;
}

/** Why a path cannot be written, and what would be right. */
export class OutputRefused extends Error {
  override readonly name = "OutputRefused";
}

const STDOUT = 1;
const ADVICE = "name a file in a folder that is there and can be written";

/**
 * Opens `path`, makes it where it is not there, and leaves what it holds.
 * @throws {OutputRefused} also for a named pipe that nobody reads from
 */
export function openOutput(path: string): OpenedOutput {
  try {
    const before = statOrNull(path);
    const stdout = before === null ? null : openStdout(before);
    if (stdout !== null) return stdout;
    const file = before?.isFifo
      ? openPipe(path)
      : Deno.openSync(path, { write: true, create: true });
    const info = file.statSync();
    return {
      stream: file,
      kind: info.isFile ? "file" : "stream",
      // Anybody may write to /dev/null.
      identity: info.isCharDevice && !file.isTerminal() ? null : identityOf(info),
      isStdout: false,
      created: before === null ? Deno.realPathSync(path) : null,
    };
  } catch (error) {
    if (error instanceof OutputRefused) throw error;
    throw new OutputRefused(`${thrownMessage(error)}; ${ADVICE}`);
  }
}

/** Removes a file that {@linkcode openOutput} has made, when it still is that file and empty. */
export function removeCreated(output: OpenedOutput): void {
  if (output.created === null) return;
  const now = statOrNull(output.created);
  if (now === null || now.size !== 0 || identityOf(now) !== output.identity) return;
  try {
    Deno.removeSync(output.created);
  } catch {
    // The folder has been closed to us since: the file stays, empty.
  }
}

function statOrNull(path: string): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

function identityOf({ dev, ino }: { readonly dev: number; readonly ino: number | null }): string {
  return `${dev}:${ino}`;
}

/**
 * Our own stdout is written as it is: opened anew by its path, a file would be written from its start
 * on, and over what it was to be appended to.
 */
function openStdout(info: Deno.FileInfo): OpenedOutput | null {
  let own: fs.Stats;
  try {
    own = fs.fstatSync(STDOUT);
  } catch {
    // It is closed.
    return null;
  }
  if (identityOf(own) !== identityOf(info)) return null;
  if (own.isCharacterDevice() && !Deno.stdout.isTerminal()) return null;
  return {
    stream: {
      writeSync: (bytes) => Deno.stdout.writeSync(bytes),
      write: (bytes) => Deno.stdout.write(bytes),
      close: () => {},
    },
    kind: own.isFile() ? "file" : "stream",
    identity: identityOf(info),
    isStdout: true,
    created: null,
  };
}

/** Opening a pipe waits for its reader, and no signal would end that. */
function openPipe(path: string): Deno.FsFile {
  let probe: number;
  try {
    probe = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
  } catch (error) {
    if ((error as { readonly code?: unknown }).code !== "ENXIO") throw error;
    throw new OutputRefused("nobody reads from this pipe; start its reader first, or name a file");
  }
  try {
    // The probe stays open until then, or the reader would see the end already.
    return Deno.openSync(path, { write: true });
  } finally {
    fs.closeSync(probe);
  }
}
