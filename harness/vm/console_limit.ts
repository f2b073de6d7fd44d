/**
 * Keeps the file of a console small while QEMU writes to it: a guest may print for as long as it runs.
 *
 * QEMU goes on where it has stopped, whatever becomes of the file. So the file is cut behind its
 * beginning, and its end put back to where it was: the hole in between takes no room, and a line at its
 * start says how much has gone. What QEMU writes just while the file is cut goes as well.
 *
 * @module
 */

/** Bytes that are kept of the beginning, where a boot tells what it finds. */
const BEGINNING = 65_536;
/** Bytes that are kept of the end. */
const END = 65_536;
/** Bytes after which there is too much in between. */
const GROWTH = 1_048_576;

/** See the module. */
export class ConsoleLimit {
  readonly #path: string;
  /** Where the file ended when it was last cut. */
  #cut = 0;

  /** Of the file at `path`, which need not be there yet. */
  constructor(path: string) {
    this.#path = path;
  }

  /** To be called from time to time: cuts the file when it has grown by 1 MiB. Never throws: a machine is worth more than its log. */
  look(): void {
    try {
      const { size } = Deno.statSync(this.#path);
      if (size - this.#cut >= GROWTH) this.#leaveOut(size);
    } catch {
      // It is not there yet, or not any more; or the disk is full.
    }
  }

  #leaveOut(size: number): void {
    using file = Deno.openSync(this.#path, { read: true, write: true });
    const start = size - END;
    const note = `\n(${start - BEGINNING} bytes left out)\n`;
    file.seekSync(start, Deno.SeekMode.Start);
    // With what has come since the look at its size.
    const end = new Uint8Array(2 * END);
    const length = file.readSync(end) ?? 0;
    file.truncateSync(BEGINNING);
    this.#cut = size;
    writeAt(file, BEGINNING, new TextEncoder().encode(note));
    writeAt(file, start, end.subarray(0, length));
  }
}

function writeAt(file: Deno.FsFile, offset: number, bytes: Uint8Array): void {
  file.seekSync(offset, Deno.SeekMode.Start);
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}
