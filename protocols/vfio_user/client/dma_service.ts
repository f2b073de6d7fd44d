/**
 * Answers DMA_READ and DMA_WRITE out of the client's memory as the device sees it,
 * every access translated and its permission checked (vfio-user, VFIO_USER_DMA_READ).
 * @module
 */

import { Fault, type Iova, isRange, type Status } from "../../../core/address.ts";
import type { Memory } from "../../../core/memory/memory.ts";
import { Errno } from "../../linux/errno.ts";
import { DMA_READ, DMA_WRITE } from "../messages/dma_access.ts";
import type { ServerCommandHandler } from "./message_engine.ts";

/** The part of memory that a server's messages need. */
export type DmaMemory = Pick<Memory<Iova>, "read" | "write">;

/** The errno that a refused access is answered with. */
function errnoOf(status: Status): number {
  switch (status) {
    case Fault.PERMISSION:
      return -Errno.EACCES;
    case Fault.BUS_MASTER_OFF:
      // What QEMU answers then.
      return -Errno.ENODEV;
    default:
      return -Errno.EFAULT;
  }
}

/**
 * Handlers for an engine.
 * @param memory what the device reaches
 * @param maxDataXferSize the most bytes that one command may move
 */
export function dmaService(
  memory: DmaMemory,
  maxDataXferSize: number,
): ReadonlyMap<number, ServerCommandHandler> {
  const access = DMA_READ.request.create();
  let buffer = new Uint8Array(0x1_0000);
  const room = (length: number): Uint8Array => {
    if (length > buffer.length) {
      buffer = new Uint8Array(Math.min(maxDataXferSize, Math.max(length, 2 * buffer.length)));
    }
    return buffer.subarray(0, length);
  };
  const judge = (): number =>
    access.count > maxDataXferSize || !isRange(access.address, access.count) ? -Errno.EINVAL : 0;
  return new Map<number, ServerCommandHandler>([
    [DMA_READ.command, (command) => {
      let result = DMA_READ.request.decode(command.view, command.at, command.length, access);
      if (result === 0) result = judge();
      if (result !== 0) return result;
      const into = room(access.count);
      const status = memory.read(access.address as Iova, into);
      if (status !== 0) return errnoOf(status);
      command.data = into;
      // The codec counts the data in.
      return DMA_READ.reply.encode(command.reply, command.replyAt, access) - access.count;
    }],
    [DMA_WRITE.command, (command) => {
      let result = DMA_WRITE.request.decode(command.view, command.at, command.length, access);
      if (result === 0) result = judge();
      if (result !== 0) return result;
      const from = command.bytes.subarray(access.dataAt, access.dataAt + access.count);
      const status = memory.write(access.address as Iova, from);
      if (status !== 0) return errnoOf(status);
      return DMA_WRITE.reply.encode(command.reply, command.replyAt, access);
    }],
  ]);
}
