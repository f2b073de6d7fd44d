/**
 * The commands about regions: what there is, and access by messages.
 * @module
 */

import { hex, hexRange } from "../../../core/address.ts";
import { closeAll, type Descriptor } from "../../linux/descriptor.ts";
import type { Negotiated } from "../capabilities.ts";
import {
  encodeWriteMultiEntry,
  REGION_READ,
  REGION_WRITE,
  REGION_WRITE_MULTI,
  type RegionAccess,
  writeMultiSize,
} from "../messages/region_access.ts";
import { DEVICE_GET_REGION_INFO, type RegionInfo } from "../messages/region_info.ts";
import {
  DEVICE_GET_REGION_IO_FDS,
  type IoFd,
  type RegionIoFds,
} from "../messages/region_io_fds.ts";
import { VfioUserLimit } from "../spec.ts";
import { badReply, beyondLimit } from "./client_error.ts";
import type { MessageEngine, Reply } from "./message_engine.ts";
import { joinTickets, mapTicket, Ticket } from "./ticket.ts";

/** A region as the server describes it, and the file behind it. */
export interface DescribedRegion {
  readonly info: Readonly<RegionInfo>;
  /** The caller's to close; null for a region that only messages reach. */
  readonly descriptor: Descriptor | null;
}

/** Parts of a region with descriptors of their own. */
export interface RegionIoDescriptors {
  readonly subRegions: readonly IoFd[];
  /** What `fd_index` points into; the caller's to close. */
  readonly descriptors: readonly Descriptor[];
}

/** One write of a WRITE_MULTI: 1 to 8 bytes. */
export interface RegionWrite {
  readonly region: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

/** What is asked for first: room for some 250 mappable areas. */
const FIRST_ARGSZ = 4096;
/** The most we make room for, below what one message holds. */
const MAX_ARGSZ = VfioUserLimit.IO_FDS_ARGSZ;
/** Writes in one WRITE_MULTI; QEMU sends up to about 200. */
const MAX_WRITES = 256;

/** For a {@linkcode VfioUserClient}. */
export class RegionCommands {
  readonly #engine: MessageEngine;
  readonly #inForce: Negotiated;
  readonly #access = REGION_READ.reply.create();

  constructor(engine: MessageEngine, inForce: Negotiated) {
    this.#engine = engine;
    this.#inForce = inForce;
  }

  /** VFIO_USER_DEVICE_GET_REGION_INFO; asks again when the capabilities need more room. */
  info(index: number): Ticket<DescribedRegion> {
    const { command } = DEVICE_GET_REGION_INFO;
    return this.#withRoom(
      command,
      FIRST_ARGSZ,
      (argsz) =>
        this.#engine.send(
          DEVICE_GET_REGION_INFO,
          { argsz, flags: 0, index, cap_offset: 0, size: 0, offset: 0 },
          (reply) => takeRegion(reply, index),
        ),
      ({ info }) => info.argsz,
      ({ descriptor }) => descriptor?.close(),
    );
  }

  /** VFIO_USER_DEVICE_GET_REGION_IO_FDS. */
  ioFds(index: number): Ticket<RegionIoDescriptors> {
    const { command } = DEVICE_GET_REGION_IO_FDS;
    const ticket = this.#withRoom(
      command,
      FIRST_ARGSZ,
      (argsz) =>
        this.#engine.send(
          DEVICE_GET_REGION_IO_FDS,
          { argsz, flags: 0, index, count: 0 },
          (reply) => takeIoFds(reply, index),
        ),
      ({ found }) => found.complete ? 0 : found.argsz,
      ({ descriptors }) => closeAll(descriptors),
    );
    return mapTicket(ticket, ({ found: { subRegions }, descriptors }) => ({
      subRegions,
      descriptors,
    }));
  }

  /** VFIO_USER_REGION_READ: fills `into`, in as many messages as it takes. */
  read(region: number, offset: number, into: Uint8Array): Ticket<void> {
    const limit = this.#inForce.maxDataXferSize;
    if (into.length <= limit) return this.#read(region, offset, into);
    const tickets: Ticket<void>[] = [];
    for (let done = 0; done < into.length; done += limit) {
      tickets.push(this.#read(region, offset + done, into.subarray(done, done + limit)));
    }
    return joinTickets(tickets, () => {});
  }

  /** VFIO_USER_REGION_WRITE: stores `from`, in as many messages as it takes. It is copied or sent at once. */
  write(region: number, offset: number, from: Uint8Array): Ticket<void> {
    const limit = this.#inForce.maxDataXferSize;
    if (from.length <= limit) return this.#write(region, offset, from);
    const tickets: Ticket<void>[] = [];
    for (let done = 0; done < from.length; done += limit) {
      tickets.push(this.#write(region, offset + done, from.subarray(done, done + limit)));
    }
    return joinTickets(tickets, () => {});
  }

  /** As {@linkcode write}, without an answer: whether it worked stays unknown. Order is kept. */
  post(region: number, offset: number, from: Uint8Array): void {
    const limit = this.#inForce.maxDataXferSize;
    for (let done = 0; done === 0 || done < from.length; done += limit) {
      const data = from.subarray(done, done + limit);
      const request = { offset: offset + done, region, count: data.length, dataAt: 0 };
      this.#engine.post(REGION_WRITE, request, data);
    }
  }

  /**
   * VFIO_USER_REGION_WRITE_MULTI: the writes in order, in as many messages as it takes. The
   * answer is how many were done: a message ends with its first bad write, the next begins anew.
   * @throws {VfioUserError} `limit` when it was not negotiated
   */
  writeMulti(writes: readonly RegionWrite[]): Ticket<number> {
    let done = 0;
    const tickets = this.#multi(writes).map(({ count, data }) =>
      this.#engine.send(REGION_WRITE_MULTI, { wr_cnt: count, dataAt: 0 }, (reply) => {
        const found = REGION_WRITE_MULTI.reply.create();
        const result = REGION_WRITE_MULTI.reply.decode(reply.view, reply.at, reply.length, found);
        if (result !== 0 || found.wr_cnt > count) {
          throw badReply(
            REGION_WRITE_MULTI.command,
            `it says ${found.wr_cnt} writes are done, of ${count}`,
          );
        }
        done += found.wr_cnt;
      }, { data })
    );
    return joinTickets(tickets, () => done);
  }

  /** As {@linkcode writeMulti}, without an answer. @throws {VfioUserError} `limit` when it was not negotiated */
  postMulti(writes: readonly RegionWrite[]): void {
    for (const { count, data } of this.#multi(writes)) {
      this.#engine.post(REGION_WRITE_MULTI, { wr_cnt: count, dataAt: 0 }, data);
    }
  }

  #read(region: number, offset: number, into: Uint8Array): Ticket<void> {
    const count = into.length;
    return this.#engine.send(
      REGION_READ,
      { offset, region, count, dataAt: 0 },
      (reply) => {
        const found = this.#access;
        const result = REGION_READ.reply.decode(reply.view, reply.at, reply.length, found);
        if (result !== 0) throw badReply(REGION_READ.command, `it has ${reply.length} bytes`);
        checkEcho(REGION_READ.command, found, region, offset, count);
        if (count === 4) {
          const { bytes } = reply;
          const at = found.dataAt;
          for (let index = 0; index < 4; index++) into[index] = bytes[at + index] as number;
        } else {
          into.set(reply.bytes.subarray(found.dataAt, found.dataAt + count));
        }
      },
    );
  }

  #write(region: number, offset: number, from: Uint8Array): Ticket<void> {
    const count = from.length;
    return this.#engine.send(
      REGION_WRITE,
      { offset, region, count, dataAt: 0 },
      (reply) => {
        const found = this.#access;
        const result = REGION_WRITE.reply.decode(reply.view, reply.at, reply.length, found);
        if (result !== 0) throw badReply(REGION_WRITE.command, `it has ${reply.length} bytes`);
        checkEcho(REGION_WRITE.command, found, region, offset, count);
      },
      { data: from },
    );
  }

  #multi(writes: readonly RegionWrite[]): { count: number; data: Uint8Array }[] {
    const { command } = REGION_WRITE_MULTI;
    if (!this.#inForce.writeMultiple) {
      throw beyondLimit(command, "the server did not agree to `write_multiple`; use single writes");
    }
    const entry = writeMultiSize(1) - writeMultiSize(0);
    const most = Math.floor(this.#inForce.maxDataXferSize / entry);
    const step = Math.max(1, Math.min(MAX_WRITES, most));
    const messages: { count: number; data: Uint8Array }[] = [];
    for (let first = 0; first < writes.length; first += step) {
      const part = writes.slice(first, first + step);
      const data = new Uint8Array(part.length * entry);
      const view = new DataView(data.buffer);
      part.forEach(({ region, offset, data: bytes }, index) => {
        if (bytes.length < 1 || bytes.length > 8) {
          throw beyondLimit(command, `a write has 1 to 8 bytes, and this one ${bytes.length}`);
        }
        const access = { offset, region, count: bytes.length, dataAt: 0 };
        // The entries alone: the fixed part before them is the codec's.
        data.set(bytes, encodeWriteMultiEntry(view, -writeMultiSize(0), index, access));
      });
      messages.push({ count: part.length, data });
    }
    return messages;
  }

  /** Asks, and once more when the answer says that it `needed` more room. */
  #withRoom<T>(
    command: number,
    argsz: number,
    ask: (argsz: number) => Ticket<T>,
    needed: (answer: T) => number,
    discard: (answer: T) => void,
  ): Ticket<T> {
    const answer = new Ticket<T>(command);
    const first = ask(argsz);
    answer.dependOn(first);
    first.whenDone(() => {
      if (first.error !== null) return answer.fail(first.error);
      const more = needed(first.value);
      if (more <= argsz) return answer.settle(first.value);
      discard(first.value);
      if (more > MAX_ARGSZ) {
        return answer.fail(
          badReply(command, `it wants room for ${more} bytes, and we give ${MAX_ARGSZ} at most`),
        );
      }
      let second: Ticket<T>;
      try {
        second = ask(more);
      } catch (error) {
        return answer.fail(error);
      }
      answer.dependOn(second);
      second.whenDone(() => {
        if (second.error !== null) return answer.fail(second.error);
        if (needed(second.value) <= more) return answer.settle(second.value);
        discard(second.value);
        answer.fail(badReply(command, `it wants more than the ${more} bytes it asked for before`));
      });
    });
    return answer;
  }
}

function checkEcho(
  command: number,
  found: Readonly<RegionAccess>,
  region: number,
  offset: number,
  count: number,
): void {
  if (found.region === region && found.offset === offset && found.count === count) return;
  throw badReply(
    command,
    `it is about ${hexRange(found.offset, found.count)} of region ${found.region}, and we ` +
      `asked for ${hexRange(offset, count)} of region ${region}`,
  );
}

function takeRegion(reply: Reply, index: number): DescribedRegion {
  const { command } = DEVICE_GET_REGION_INFO;
  const info = DEVICE_GET_REGION_INFO.reply.create();
  const result = DEVICE_GET_REGION_INFO.reply.decode(reply.view, reply.at, reply.length, info);
  if (result !== 0) {
    throw badReply(command, `its ${reply.length} bytes are no region and its capabilities`);
  }
  if (info.index !== index) {
    throw badReply(command, `it is about region ${info.index}, and we asked for ${index}`);
  }
  if (info.size > Number.MAX_SAFE_INTEGER - info.offset) {
    throw badReply(
      command,
      `the region's end, ${hex(info.size)} from ${hex(info.offset)} on, is no offset`,
    );
  }
  const [descriptor, ...others] = reply.takeDescriptors();
  closeAll(others);
  return { info, descriptor: descriptor ?? null };
}

function takeIoFds(
  reply: Reply,
  index: number,
): { found: RegionIoFds; descriptors: readonly Descriptor[] } {
  const { command } = DEVICE_GET_REGION_IO_FDS;
  const found = DEVICE_GET_REGION_IO_FDS.reply.create();
  const result = DEVICE_GET_REGION_IO_FDS.reply.decode(reply.view, reply.at, reply.length, found);
  if (result !== 0) throw badReply(command, `its ${reply.length} bytes are no list of sub-regions`);
  if (found.index !== index) {
    throw badReply(command, `it is about region ${found.index}, and we asked for ${index}`);
  }
  const count = reply.descriptorCount;
  for (const { fd_index, shadow_mem_fd_index } of found.subRegions) {
    if (fd_index < count && (shadow_mem_fd_index === 0 || shadow_mem_fd_index < count)) continue;
    throw badReply(
      command,
      `a sub-region names descriptor ${Math.max(fd_index, shadow_mem_fd_index)} of ${count}`,
    );
  }
  return { found, descriptors: reply.takeDescriptors() };
}
