/**
 * The commands by which memory is made reachable for the device, and taken away.
 * @module
 */

import { hexRange } from "../../../core/address.ts";
import type { Negotiated } from "../capabilities.ts";
import { bitmapBytes, DMA_MAP, DMA_UNMAP, type DmaUnmap } from "../messages/dma_map.ts";
import { VFIO_USER_BITMAP, VFIO_USER_DMA_UNMAP_BODY, VfioDmaUnmapFlags } from "../spec.ts";
import { addressRange, setRange } from "../wide.ts";
import { badReply, beyondLimit } from "./client_error.ts";
import type { MessageEngine, Reply } from "./message_engine.ts";
import type { Ticket } from "./ticket.ts";

/** A range of IOVAs to make reachable. */
export interface DmaRange {
  /** First IOVA. */
  readonly address: number;
  /** Bytes. */
  readonly size: number;
  /** Bits of `Access`. */
  readonly access: number;
  /** The file behind it, which stays the caller's; without, the server sends DMA_READ and DMA_WRITE. */
  readonly fd?: number;
  /** Byte offset of the range's start in the file. */
  readonly offset?: number;
}

const MAP_SIZE = DMA_MAP.request.size;
const UNMAP_SIZE = VFIO_USER_DMA_UNMAP_BODY.size;
const NOTHING = (): void => {};

/** For a {@linkcode VfioUserClient}. */
export class DmaCommands {
  readonly #engine: MessageEngine;
  readonly #inForce: Negotiated;
  readonly #request = {
    argsz: UNMAP_SIZE,
    flags: 0,
    range: addressRange(),
    pgsize: 0,
    bitmapSize: 0,
    dataAt: 0,
  };
  readonly #reply = DMA_UNMAP.reply.create();

  constructor(engine: MessageEngine, inForce: Negotiated) {
    this.#engine = engine;
    this.#inForce = inForce;
  }

  /** VFIO_USER_DMA_MAP. @throws {VfioUserError} `limit` when the server takes no descriptors */
  map(range: DmaRange): Ticket<void> {
    const { address, size, access, fd } = range;
    if (fd !== undefined && this.#inForce.maxSendFds < 1) {
      throw beyondLimit(DMA_MAP.command, "the server takes no descriptors; map without one");
    }
    return this.#engine.send(
      DMA_MAP,
      { argsz: MAP_SIZE, flags: access, offset: range.offset ?? 0, address, size },
      NOTHING,
      fd === undefined ? {} : { fds: [fd] },
    );
  }

  /** VFIO_USER_DMA_UNMAP of what one map made. Answered when nothing can reach it any more. */
  unmap(address: number, size: number): Ticket<void> {
    const request = this.#request;
    setRange(request.range, address, size);
    request.flags = 0;
    return this.#engine.send(DMA_UNMAP, request, (reply) => {
      const { range } = this.#take(reply);
      if (range.start === address && range.last === address + size - 1) return;
      throw badReply(
        DMA_UNMAP.command,
        `it is about ${hexRange(range.start, range.last - range.start + 1)}, and we asked for ` +
          hexRange(address, size),
      );
    });
  }

  /** As {@linkcode unmap}, of everything. */
  unmapAll(): Ticket<void> {
    const request = this.#request;
    setRange(request.range, 0, 0);
    request.flags = VfioDmaUnmapFlags.VFIO_DMA_UNMAP_FLAG_ALL;
    return this.#engine.send(DMA_UNMAP, request, (reply) => void this.#take(reply));
  }

  /**
   * As {@linkcode unmap}, and the pages that were written while logging was on: one bit for each
   * `pageSize` bytes. @throws {VfioUserError} `limit` when the bitmap is too large for one message
   */
  unmapDirty(address: number, size: number, pageSize: number): Ticket<Uint8Array> {
    const bitmapSize = bitmapBytes(size, pageSize);
    if (bitmapSize > this.#inForce.maxDataXferSize) {
      throw beyondLimit(
        DMA_UNMAP.command,
        `its bitmap has ${bitmapSize} bytes, and a message ${this.#inForce.maxDataXferSize}; ` +
          `ask for a report first, in parts, or for larger pages`,
      );
    }
    const request: DmaUnmap = {
      argsz: UNMAP_SIZE + VFIO_USER_BITMAP.size + bitmapSize,
      flags: VfioDmaUnmapFlags.VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
      range: setRange(addressRange(), address, size),
      pgsize: pageSize,
      bitmapSize,
      dataAt: 0,
    };
    return this.#engine.send(DMA_UNMAP, request, (reply) => {
      const { bitmapSize: found, dataAt } = this.#take(reply);
      if (found !== bitmapSize) {
        throw badReply(DMA_UNMAP.command, `its bitmap has ${found} bytes instead of ${bitmapSize}`);
      }
      return reply.bytes.slice(dataAt, dataAt + bitmapSize);
    });
  }

  #take(reply: Reply): Readonly<DmaUnmap> {
    const found = this.#reply;
    const result = DMA_UNMAP.reply.decode(reply.view, reply.at, reply.length, found);
    if (result === 0) return found;
    throw badReply(DMA_UNMAP.command, `its ${reply.length} bytes are no unmapped range`);
  }
}
