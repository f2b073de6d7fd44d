/**
 * What each command does (vfio-user; spec/08 rules 9 to 26). Every one is answered exactly once, by
 * {@linkcode Responder.done} or {@linkcode Responder.fail}, at once or later.
 * @module
 */

import { closeAll, type Descriptor } from "../../linux/descriptor.ts";
import { Errno } from "../../linux/errno.ts";
import type { Negotiated } from "../capabilities.ts";
import { DEVICE_GET_INFO } from "../messages/device.ts";
import {
  bitmapBytes,
  DMA_MAP,
  DMA_UNMAP,
  DMA_UNMAP_BITMAP_AT,
  type DmaUnmap,
} from "../messages/dma_map.ts";
import { DEVICE_FEATURE } from "../messages/feature.ts";
import { HEADER_SIZE } from "../messages/header.ts";
import { DEVICE_GET_IRQ_INFO, DEVICE_SET_IRQS } from "../messages/irqs.ts";
import { MIG_DATA_READ, MIG_DATA_WRITE } from "../messages/migration_data.ts";
import {
  decodeWriteMultiEntry,
  REGION_READ,
  REGION_WRITE,
  REGION_WRITE_MULTI,
} from "../messages/region_access.ts";
import {
  DEVICE_GET_REGION_INFO,
  encodeRegionInfo,
  regionInfoFits,
} from "../messages/region_info.ts";
import {
  DEVICE_GET_REGION_IO_FDS,
  encodeRegionIoFds,
  regionIoFdsSize,
} from "../messages/region_io_fds.ts";
import { VfioDmaUnmapFlags, VfioUserCommand as Command } from "../spec.ts";
import {
  VFIO_DEVICE_INFO,
  VFIO_IRQ_INFO,
  VFIO_PCI_NUM_IRQS,
  VFIO_PCI_NUM_REGIONS,
  VfioDeviceFeatureFlags,
  VfioDeviceFlags,
} from "../vfio_spec.ts";
import type { Doorbells } from "./doorbells.ts";
import type { RemoteMemory } from "./remote_memory.ts";
import { MAX_BITMAP, type ServerParts } from "./server_parts.ts";

const { VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP: DIRTY, VFIO_DMA_UNMAP_FLAG_ALL: ALL } =
  VfioDmaUnmapFlags;
const { VFIO_DEVICE_FEATURE_SET: SET } = VfioDeviceFeatureFlags;
const { VFIO_DEVICE_FLAGS_RESET, VFIO_DEVICE_FLAGS_PCI } = VfioDeviceFlags;

/** Bytes of a register access: what needs no copy before the device is asked. */
export const REGISTER = 8;

/** A command's body and descriptors. */
export interface CommandBody {
  readonly view: DataView;
  /** Where the body stands. */
  readonly at: number;
  readonly length: number;
  /** The receiver's, who closes them. */
  readonly descriptors: readonly Descriptor[];
}

/** Answers the command that is being carried out. */
export interface Responder {
  /** Where the body of a short reply is put, {@linkcode HEADER_SIZE} bytes from the start. */
  readonly head: DataView;
  /** Succeeds with `bodySize` bytes in {@linkcode head}, and `rest` after them. */
  done(bodySize: number, rest?: Uint8Array | null, descriptors?: readonly number[]): void;
  /** Fails with an errno of either sign. */
  fail(errno: number): void;
}

/** The commands of one client. */
export class Commands {
  readonly #parts: ServerParts;
  readonly #responder: Responder;
  readonly #inForce: Negotiated;
  readonly #remote: RemoteMemory;
  readonly #doorbells: Doorbells;

  // One record a kind: a command is over before the next begins.
  readonly #deviceInfo = DEVICE_GET_INFO.request.create();
  readonly #regionInfo = DEVICE_GET_REGION_INFO.request.create();
  readonly #ioFds = DEVICE_GET_REGION_IO_FDS.request.create();
  readonly #irqInfo = DEVICE_GET_IRQ_INFO.request.create();
  readonly #irqSet = DEVICE_SET_IRQS.request.create();
  readonly #map = DMA_MAP.request.create();
  readonly #unmap = DMA_UNMAP.request.create();
  readonly #access = REGION_READ.request.create();
  readonly #multi = REGION_WRITE_MULTI.request.create();
  readonly #entry = REGION_WRITE.request.create();
  readonly #feature = DEVICE_FEATURE.request.create();
  readonly #data = MIG_DATA_READ.request.create();
  /** A register's bytes: those of the message are not ours any more once the device is asked. */
  readonly #registers = [1, 2, 3, 4, 5, 6, 7, 8].map((length) => new Uint8Array(length));

  constructor(
    parts: ServerParts,
    responder: Responder,
    inForce: Negotiated,
    remote: RemoteMemory,
    doorbells: Doorbells,
  ) {
    this.#parts = parts;
    this.#responder = responder;
    this.#inForce = inForce;
    this.#remote = remote;
    this.#doorbells = doorbells;
  }

  /** Carries out one command. The body's bytes must stay until it is answered. */
  execute(command: number, body: CommandBody): void {
    if (command === Command.VFIO_USER_DMA_MAP) return this.#dmaMap(body);
    if (command === Command.VFIO_USER_DEVICE_SET_IRQS) return this.#setIrqs(body);
    // No other command uses descriptors, and having some is no error (rule 5).
    if (body.descriptors.length > 0) closeAll(body.descriptors);
    switch (command) {
      case Command.VFIO_USER_REGION_READ:
        return this.regionRead(body.view, body.at, body.length);
      case Command.VFIO_USER_REGION_WRITE:
        return this.regionWrite(body.view, body.at, body.length);
      case Command.VFIO_USER_REGION_WRITE_MULTI:
        return this.#writeMulti(body);
      case Command.VFIO_USER_DMA_UNMAP:
        return this.#dmaUnmap(body);
      case Command.VFIO_USER_DEVICE_GET_INFO:
        return this.#getInfo(body);
      case Command.VFIO_USER_DEVICE_GET_REGION_INFO:
        return this.#getRegionInfo(body);
      case Command.VFIO_USER_DEVICE_GET_REGION_IO_FDS:
        return this.#getRegionIoFds(body);
      case Command.VFIO_USER_DEVICE_GET_IRQ_INFO:
        return this.#getIrqInfo(body);
      case Command.VFIO_USER_DEVICE_RESET:
        return this.#reset();
      case Command.VFIO_USER_DEVICE_FEATURE:
        return this.#deviceFeature(body);
      case Command.VFIO_USER_MIG_DATA_READ:
        return this.#migrationRead(body);
      case Command.VFIO_USER_MIG_DATA_WRITE:
        return this.#migrationWrite(body);
      default:
        return this.#responder.fail(Errno.EINVAL);
    }
  }

  /** REGION_READ: the body is read before the device is asked, and not after. */
  regionRead(view: DataView, at: number, length: number): void {
    const access = this.#access;
    const responder = this.#responder;
    const result = REGION_READ.request.decode(view, at, length, access);
    if (result !== 0) return responder.fail(result);
    const { region, offset, count } = access;
    if (!this.#allowed(region, offset, count)) return responder.fail(Errno.EINVAL);
    const fixed = REGION_READ.request.size;
    if (count > REGISTER) {
      const data = new Uint8Array(count);
      this.#read(region, offset, data);
      REGION_READ.request.encode(responder.head, HEADER_SIZE, access);
      return responder.done(fixed, data);
    }
    const data = this.#registers[count - 1];
    if (data !== undefined) this.#read(region, offset, data);
    // Only now: what the device asked the client for on the way went through the same buffer.
    const { head } = responder;
    REGION_READ.request.encode(head, HEADER_SIZE, access);
    for (let i = 0; i < count; i++) head.setUint8(HEADER_SIZE + fixed + i, data![i]!);
    responder.done(fixed + count);
  }

  /** REGION_WRITE: with at most {@linkcode REGISTER} bytes, as {@linkcode regionRead}. */
  regionWrite(view: DataView, at: number, length: number): void {
    const access = this.#access;
    const responder = this.#responder;
    const result = REGION_WRITE.request.decode(view, at, length, access);
    if (result !== 0) return responder.fail(result);
    const { region, offset, count, dataAt } = access;
    if (!this.#allowed(region, offset, count)) return responder.fail(Errno.EINVAL);
    this.#store(region, offset, count, view, dataAt);
    responder.done(REGION_WRITE.reply.encode(responder.head, HEADER_SIZE, access));
  }

  /** In bounds, of a region that is there, and not more than a message may carry (rule 13). */
  #allowed(region: number, offset: number, count: number): boolean {
    return count <= this.#inForce.maxDataXferSize &&
      this.#parts.regions.holds(region, offset, count);
  }

  /** What the device writes to memory on the way is there before the reply is, as in {@linkcode #write}. */
  #read(region: number, offset: number, into: Uint8Array): void {
    this.#parts.regions.read(region, offset, into);
    this.#parts.machine.memory.settleViews();
  }

  #store(region: number, offset: number, count: number, view: DataView, at: number): void {
    if (count > REGISTER) {
      this.#write(region, offset, new Uint8Array(view.buffer, view.byteOffset + at, count));
      return;
    }
    const data = this.#registers[count - 1];
    if (data === undefined) return;
    for (let i = 0; i < count; i++) data[i] = view.getUint8(at + i);
    this.#write(region, offset, data);
  }

  #write(region: number, offset: number, from: Uint8Array): void {
    this.#parts.regions.write(region, offset, from);
    this.#parts.machine.memory.settleViews();
  }

  #writeMulti({ view, at, length }: CommandBody): void {
    const responder = this.#responder;
    if (!this.#inForce.writeMultiple) return responder.fail(Errno.EINVAL);
    const multi = this.#multi, entry = this.#entry;
    const result = REGION_WRITE_MULTI.request.decode(view, at, length, multi);
    if (result !== 0) return responder.fail(result);
    let written = 0;
    for (; written < multi.wr_cnt; written++) {
      if (decodeWriteMultiEntry(view, multi, written, entry) !== 0) break;
      const { region, offset, count, dataAt } = entry;
      if (!this.#parts.regions.holds(region, offset, count)) break;
      this.#store(region, offset, count, view, dataAt);
    }
    const { head } = responder;
    responder.done(REGION_WRITE_MULTI.reply.encode(head, HEADER_SIZE, { wr_cnt: written }));
  }

  #getInfo({ view, at, length }: CommandBody): void {
    const info = this.#deviceInfo;
    const result = DEVICE_GET_INFO.request.decode(view, at, length, info);
    if (result !== 0) return this.#responder.fail(result);
    info.argsz = VFIO_DEVICE_INFO.size;
    info.flags = VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI;
    info.num_regions = VFIO_PCI_NUM_REGIONS;
    info.num_irqs = VFIO_PCI_NUM_IRQS;
    this.#responder.done(DEVICE_GET_INFO.reply.encode(this.#responder.head, HEADER_SIZE, info));
  }

  #getRegionInfo({ view, at, length }: CommandBody): void {
    const responder = this.#responder;
    const request = this.#regionInfo;
    const result = DEVICE_GET_REGION_INFO.request.decode(view, at, length, request);
    if (result !== 0) return responder.fail(result);
    const { regions } = this.#parts;
    if (regions.size(request.index) === undefined) return responder.fail(Errno.EINVAL);
    const info = regions.info(
      request.index,
      this.#inForce.maxSendFds > 0 ? "mappable" : "messages",
    );
    const size = encodeRegionInfo(responder.head, HEADER_SIZE, info, request.argsz);
    const descriptor = regions.descriptor(request.index);
    const sends = descriptor !== null && this.#inForce.maxSendFds > 0 &&
      regionInfoFits(info, request.argsz);
    responder.done(size, null, sends ? [descriptor] : undefined);
  }

  #getRegionIoFds({ view, at, length }: CommandBody): void {
    const responder = this.#responder;
    const request = this.#ioFds;
    const result = DEVICE_GET_REGION_IO_FDS.request.decode(view, at, length, request);
    if (result !== 0) return responder.fail(result);
    const { index, argsz } = request;
    if ((this.#parts.regions.size(index) ?? 0) === 0) return responder.fail(Errno.EINVAL);
    const limit = this.#inForce.maxSendFds;
    const { subRegions, descriptors } = this.#doorbells.describe(index, limit);
    const size = regionIoFdsSize(subRegions);
    const value = { argsz: size, index, subRegions, complete: true };
    const body = new Uint8Array(size);
    const written = encodeRegionIoFds(new DataView(body.buffer), 0, value, argsz);
    const fits = written === size && descriptors.length > 0;
    responder.done(0, body.subarray(0, written), fits ? descriptors : undefined);
  }

  #getIrqInfo({ view, at, length }: CommandBody): void {
    const info = this.#irqInfo;
    const result = DEVICE_GET_IRQ_INFO.request.decode(view, at, length, info);
    if (result !== 0) return this.#responder.fail(result);
    const { irqs } = this.#parts;
    const count = irqs.count(info.index);
    if (count === undefined) return this.#responder.fail(Errno.EINVAL);
    info.argsz = VFIO_IRQ_INFO.size;
    info.flags = irqs.flags(info.index);
    info.count = count;
    this.#responder.done(DEVICE_GET_IRQ_INFO.reply.encode(this.#responder.head, HEADER_SIZE, info));
  }

  #setIrqs({ view, at, length, descriptors }: CommandBody): void {
    const request = this.#irqSet;
    let result = DEVICE_SET_IRQS.request.decode(view, at, length, request);
    if (result === 0) {
      const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
      result = this.#parts.irqs.set(request, bytes, descriptors);
    } else {
      closeAll(descriptors);
    }
    this.#answer(result);
  }

  #dmaMap({ view, at, length, descriptors }: CommandBody): void {
    const request = this.#map;
    const result = DMA_MAP.request.decode(view, at, length, request);
    if (result !== 0) {
      closeAll(descriptors);
      return this.#responder.fail(result);
    }
    const descriptor = descriptors[0] ?? null;
    if (descriptors.length > 1) closeAll(descriptors.slice(1));
    this.#answer(
      this.#parts.dma.map(request, descriptor, this.#remote, this.#inForce.maxDmaMaps),
    );
  }

  #dmaUnmap({ view, at, length }: CommandBody): void {
    const responder = this.#responder;
    const request = this.#unmap;
    const result = DMA_UNMAP.request.decode(view, at, length, request);
    if (result !== 0) return responder.fail(result);
    const { dma } = this.#parts;
    if (request.flags === DIRTY && !this.#bitmapFits(request)) return responder.fail(Errno.EINVAL);
    const removed = request.flags === ALL ? dma.unmapAll() : dma.unmap(request.range);
    if (typeof removed === "number") return responder.fail(removed);
    removed.whenDone(() => {
      // What DMA in flight has written counts too, so the bits are taken when it has ended.
      const bitmap = request.flags === DIRTY ? this.#takeBitmap(request) : null;
      request.bitmapSize = bitmap === null ? 0 : request.bitmapSize;
      const size = DMA_UNMAP.request.encode(responder.head, HEADER_SIZE, request);
      responder.done(size, bitmap);
    });
  }

  #bitmapFits(request: Readonly<DmaUnmap>): boolean {
    const { range, pgsize, bitmapSize, argsz } = request;
    return this.#parts.features.dirty !== null && bitmapSize <= MAX_BITMAP &&
      argsz >= DMA_UNMAP_BITMAP_AT + bitmapSize &&
      bitmapSize >= bitmapBytes(range.last - range.start + 1, pgsize);
  }

  #takeBitmap(request: Readonly<DmaUnmap>): Uint8Array {
    const { range, pgsize, bitmapSize } = request;
    const bitmap = new Uint8Array(bitmapSize);
    this.#parts.features.dirty?.report(range.start, range.last, pgsize, bitmap);
    return bitmap;
  }

  /** A body is no error here, as in the reference server (rule 4). */
  #reset(): void {
    const { hosted, migration } = this.#parts;
    this.#doorbells.deliver();
    hosted.reset();
    migration.restart();
    this.#parts.settle().whenDone(() => this.#responder.done(0));
  }

  #deviceFeature({ view, at, length }: CommandBody): void {
    const request = this.#feature;
    const result = DEVICE_FEATURE.request.decode(view, at, length, request);
    if (result !== 0) return this.#responder.fail(result);
    const body = new Uint8Array(view.buffer, view.byteOffset + at, length);
    if ((request.flags & SET) !== 0) this.#doorbells.deliver();
    const maxBitmap = Math.min(MAX_BITMAP, this.#inForce.migration?.maxBitmapSize ?? MAX_BITMAP);
    this.#parts.features.execute(request, body, maxBitmap, (reply) => {
      if (typeof reply === "number") this.#responder.fail(reply);
      else this.#responder.done(0, reply);
    });
  }

  #migrationRead({ view, at, length }: CommandBody): void {
    const responder = this.#responder;
    const request = this.#data;
    const result = MIG_DATA_READ.request.decode(view, at, length, request);
    if (result !== 0) return responder.fail(result);
    if (request.size > this.#inForce.maxDataXferSize) return responder.fail(Errno.EINVAL);
    const data = this.#parts.migration.read(request.size);
    if (typeof data === "number") return responder.fail(data);
    request.size = data.length;
    request.argsz = MIG_DATA_READ.request.size + data.length;
    responder.done(MIG_DATA_READ.request.encode(responder.head, HEADER_SIZE, request), data);
  }

  #migrationWrite({ view, at, length }: CommandBody): void {
    const request = this.#data;
    const result = MIG_DATA_WRITE.request.decode(view, at, length, request);
    if (result !== 0) return this.#responder.fail(result);
    if (request.size > this.#inForce.maxDataXferSize) return this.#responder.fail(Errno.EINVAL);
    const data = new Uint8Array(view.buffer, view.byteOffset + request.dataAt, request.size);
    this.#answer(this.#parts.migration.write(data));
  }

  #answer(result: number): void {
    if (result === 0) this.#responder.done(0);
    else this.#responder.fail(result);
  }
}
