/**
 * An archive in the "newc" form of cpio, as the kernel's initramfs takes it
 * (Linux Documentation/driver-api/early-userspace/buffer-format.rst).
 * @module
 */

/** File types of `st_mode`. */
const Type = { FILE: 0o100000, DIRECTORY: 0o040000, LINK: 0o120000, CHARACTER: 0o020000 } as const;

/** Magic and thirteen fields of eight hexadecimal digits. */
const HEADER_SIZE = 110;
const TRAILER = "TRAILER!!!";
/** Sizes are 32-bit. */
const SIZE_LIMIT = 2 ** 32;

/** Collects entries in order. A folder must come before what is in it. */
export class CpioWriter {
  readonly #parts: Uint8Array[] = [];
  readonly #paths = new Set<string>();
  #length = 0;
  #inode = 1;

  /** A folder. */
  directory(path: string, mode = 0o755): void {
    this.#add(path, Type.DIRECTORY | mode, new Uint8Array());
  }

  /** A file. */
  file(path: string, bytes: Uint8Array, mode = 0o644): void {
    this.#add(path, Type.FILE | mode, bytes);
  }

  /** A symbolic link to `target`. */
  link(path: string, target: string): void {
    this.#add(path, Type.LINK | 0o777, new TextEncoder().encode(target));
  }

  /** A character device. */
  characterDevice(path: string, mode: number, major: number, minor: number): void {
    this.#add(path, Type.CHARACTER | mode, new Uint8Array(), major, minor);
  }

  /** The whole archive. Nothing can be added afterwards. */
  finish(): Uint8Array {
    this.#entry(TRAILER, 0, new Uint8Array(), 0, 0, 0);
    const archive = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      archive.set(part, at);
      at += part.length;
    }
    return archive;
  }

  #add(path: string, mode: number, bytes: Uint8Array, major = 0, minor = 0): void {
    if (path === "" || path.startsWith("/") || path === TRAILER || path.includes("\0")) {
      throw new RangeError(`Cannot archive ${JSON.stringify(path)}: want a path without a root`);
    }
    const above = path.split("/").slice(0, -1).join("/");
    if (above !== "" && !this.#paths.has(above)) {
      throw new RangeError(`Cannot archive ${path}: its folder ${above} was not added before it`);
    }
    if (this.#paths.has(path)) throw new RangeError(`Cannot archive ${path} a second time`);
    this.#paths.add(path);
    this.#entry(path, mode, bytes, major, minor, this.#inode++);
  }

  #entry(
    path: string,
    mode: number,
    bytes: Uint8Array,
    major: number,
    minor: number,
    inode: number,
  ): void {
    if (bytes.length >= SIZE_LIMIT) {
      throw new RangeError(`Cannot archive ${path}: ${bytes.length} bytes do not fit 32 bits`);
    }
    const name = new TextEncoder().encode(path + "\0");
    const fields = [
      inode,
      mode,
      0, // user
      0, // group
      1, // links
      0, // time: the same content makes the same archive
      bytes.length,
      0,
      0,
      major,
      minor,
      name.length,
      0, // checksum, unused in this form
    ];
    const header = "070701" + fields.map((field) => field.toString(16).padStart(8, "0")).join("");
    this.#push(new TextEncoder().encode(header));
    this.#push(name);
    this.#pad();
    this.#push(bytes);
    this.#pad();
  }

  #push(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#length += bytes.length;
  }

  /** Names and contents end at multiples of four. */
  #pad(): void {
    this.#push(new Uint8Array(-this.#length & 3));
  }
}

/** One entry, as {@linkcode readCpio} gives it. */
export interface CpioEntry {
  readonly path: string;
  readonly mode: number;
  readonly bytes: Uint8Array;
}

/** Reads an archive back: for tests, and to look into an image. @throws {Error} when it is none */
export function readCpio(archive: Uint8Array): CpioEntry[] {
  const entries: CpioEntry[] = [];
  const text = new TextDecoder();
  let at = 0;
  for (;;) {
    const header = text.decode(archive.subarray(at, at + HEADER_SIZE));
    if (!/^070701[0-9a-f]{104}$/.test(header)) {
      throw new Error(`Cannot read the archive: no header at ${at}`);
    }
    const field = (index: number): number =>
      parseInt(header.slice(6 + 8 * index, 14 + 8 * index), 16);
    const nameEnd = at + HEADER_SIZE + field(11);
    const path = text.decode(archive.subarray(at + HEADER_SIZE, nameEnd - 1));
    if (path === TRAILER) return entries;
    const start = nameEnd + (-nameEnd & 3);
    const end = start + field(6);
    entries.push({ path, mode: field(1), bytes: archive.slice(start, end) });
    at = end + (-end & 3);
  }
}
