/**
 * Capture files of vfio-user connections in the pcapng format (draft-ietf-opsawg-pcapng), for
 * Wireshark and tshark with `dissector.lua`. One interface is one connection; a frame's direction is
 * in its flags: inbound is from client to server.
 * @module
 */

import type { Frame } from "./message_log.ts";

/** LINKTYPE_USER0: a link type for private use, of which the reader is told what it means. */
export const LINKTYPE_USER0 = 147;

/**
 * Bytes of a frame that are kept. Wireshark refuses files with longer packets; a longer frame keeps
 * its full length in the record, and its fixed part and most of its data.
 */
export const SNAP_LENGTH = 0x4_0000;

/** Where a capture goes. */
export interface ByteSink {
  /** Takes all of `bytes` before it returns, and keeps no reference: the buffer is used again. */
  write(bytes: Uint8Array): void;
}

/** What a reader shows of a capture. */
export interface PcapngOptions {
  /** Seconds since 1970 at which `timeNs` is 0: an integer; 0 unless told. */
  readonly startSeconds?: number;
  /** The program that writes. */
  readonly application?: string;
}

const SECTION_HEADER = 0x0a0d_0d0a, BYTE_ORDER_MAGIC = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION = 1, ENHANCED_PACKET = 6;
const OPT_END = 0, OPT_COMMENT = 1;
const SHB_USERAPPL = 4;
const IF_NAME = 2, IF_TSRESOL = 9, IF_TSOFFSET = 14;
const EPB_FLAGS = 2;
const INBOUND = 1, OUTBOUND = 2;
/** 10^-9: nanoseconds. */
const TSRESOL_NS = 9;

/** Grows by doubling; everything in it is little-endian, and padded to 32 bits where the format wants it. */
class Block {
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  begin(type: number): void {
    this.#length = 0;
    this.u32(type);
    // The block's length, known at the end.
    this.u32(0);
  }

  #room(more: number): number {
    const at = this.#length;
    this.#length += more;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }

  u16(value: number): void {
    const at = this.#room(2);
    this.#view.setUint16(at, value, true);
  }

  u32(value: number): void {
    const at = this.#room(4);
    this.#view.setUint32(at, value, true);
  }

  /** Bytes, and zeros up to the next multiple of 4. */
  padded(bytes: Uint8Array): void {
    const whole = Math.ceil(bytes.length / 4) * 4;
    const at = this.#room(whole);
    this.#bytes.set(bytes, at);
    this.#bytes.fill(0, at + bytes.length, at + whole);
  }

  option(code: number, value: Uint8Array): void {
    this.u16(code);
    this.u16(value.length);
    this.padded(value);
  }

  end(): Uint8Array {
    this.u16(OPT_END);
    this.u16(0);
    const length = this.#length + 4;
    this.u32(length);
    this.#view.setUint32(4, length, true);
    return this.#bytes.subarray(0, length);
  }
}

const encoder = new TextEncoder();

/** Text for an option, which has 16 bits for its length. */
function text(value: string): Uint8Array {
  const bytes = encoder.encode(value);
  return bytes.length <= 0xffff ? bytes : bytes.subarray(0, 0xffff);
}

function u32Bytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** Writes one capture, block by block: what has been written is a whole file at any time. */
export class PcapngWriter {
  readonly #sink: ByteSink;
  readonly #startSeconds: number;
  readonly #block = new Block();
  #interfaces = 0;

  /** Writes the section header. */
  constructor(sink: ByteSink, options: PcapngOptions = {}) {
    this.#sink = sink;
    this.#startSeconds = options.startSeconds ?? 0;
    this.#block.begin(SECTION_HEADER);
    this.#block.u32(BYTE_ORDER_MAGIC);
    this.#block.u16(1);
    this.#block.u16(0);
    // Length of the section: not known, all ones.
    this.#block.u32(0xffff_ffff);
    this.#block.u32(0xffff_ffff);
    if (options.application !== undefined) {
      this.#block.option(SHB_USERAPPL, text(options.application));
    }
    this.#sink.write(this.#block.end());
  }

  /** Announces a connection, by the name that readers show: its socket. @returns its number */
  addInterface(name: string): number {
    this.#block.begin(INTERFACE_DESCRIPTION);
    this.#block.u16(LINKTYPE_USER0);
    this.#block.u16(0);
    this.#block.u32(SNAP_LENGTH);
    this.#block.option(IF_NAME, text(name));
    this.#block.option(IF_TSRESOL, new Uint8Array([TSRESOL_NS]));
    const offset = new Uint8Array(8);
    new DataView(offset.buffer).setBigInt64(0, BigInt(this.#startSeconds), true);
    this.#block.option(IF_TSOFFSET, offset);
    this.#sink.write(this.#block.end());
    return this.#interfaces++;
  }

  /**
   * Writes a frame of connection `number`. Descriptors become a comment on it.
   *
   * @throws {RangeError} for a number that {@linkcode addInterface} did not give
   */
  writeFrame(number: number, frame: Frame): void {
    if (number < 0 || number >= this.#interfaces) {
      throw new RangeError(
        `Cannot write a frame of interface ${number}: there are ${this.#interfaces}`,
      );
    }
    const { bytes, timeNs } = frame;
    const kept = bytes.length > SNAP_LENGTH ? bytes.subarray(0, SNAP_LENGTH) : bytes;
    this.#block.begin(ENHANCED_PACKET);
    this.#block.u32(number);
    this.#block.u32(Math.floor(timeNs / 2 ** 32));
    this.#block.u32(timeNs % 2 ** 32);
    this.#block.u32(kept.length);
    this.#block.u32(bytes.length);
    this.#block.padded(kept);
    if (frame.descriptors) {
      this.#block.option(OPT_COMMENT, text(`descriptors: ${frame.descriptors}`));
    }
    this.#block.option(EPB_FLAGS, u32Bytes(frame.direction === ">" ? INBOUND : OUTBOUND));
    this.#sink.write(this.#block.end());
  }
}
