/**
 * Doorbells: registers whose writes reach the device by an eventfd, without a message (vfio-user,
 * VFIO_USER_DEVICE_GET_REGION_IO_FDS; spec/08 rule 11).
 * @module
 */

import type { Doorbell } from "../../../devices/pci/pci_device.ts";
import type { PciFunction } from "../../../devices/pci/pci_function.ts";
import { EventFd } from "../../linux/eventfd.ts";
import { POLLIN } from "../../linux/libc.ts";
import type { Reactor, Registration } from "../../linux/reactor.ts";
import { MAX_DESCRIPTORS } from "../../linux/unix_stream.ts";
import type { IoFd } from "../messages/region_io_fds.ts";
import { KvmIoEventFdFlags, VfioUserIoFdType } from "../spec.ts";
import type { Migration } from "./migration.ts";

interface Rung {
  readonly index: number;
  readonly eventFd: EventFd;
  readonly registration: Registration;
}

/** The doorbells of one function as one client has them: their eventfds go with the client. */
export class Doorbells {
  readonly #function: PciFunction;
  readonly #migration: Migration;
  readonly #reactor: Reactor;
  readonly #rung = new Map<Doorbell, Rung>();

  /** @param migration says whether the device takes writes at all */
  constructor(hosted: PciFunction, migration: Migration, reactor: Reactor) {
    this.#function = hosted;
    this.#migration = migration;
    this.#reactor = reactor;
  }

  /** What a client is told of a region's doorbells, of which it takes up to `limit`. @throws {LinuxError} `EMFILE` */
  describe(index: number, limit: number): { subRegions: IoFd[]; descriptors: number[] } {
    const bar = this.#function.bars.find((layout) => layout.index === index);
    const subRegions: IoFd[] = [];
    const descriptors: number[] = [];
    for (const doorbell of (bar?.doorbells ?? []).slice(0, Math.min(limit, MAX_DESCRIPTORS))) {
      const { offset, size, value } = doorbell;
      const pio = bar?.kind === "io" ? KvmIoEventFdFlags.KVM_IOEVENTFD_FLAG_PIO : 0;
      const match = value === undefined ? 0 : KvmIoEventFdFlags.KVM_IOEVENTFD_FLAG_DATAMATCH;
      subRegions.push({
        offset,
        size,
        fd_index: descriptors.length,
        type: VfioUserIoFdType.VFIO_USER_IO_FD_TYPE_IOEVENTFD,
        flags: pio | match,
        datamatch: BigInt(value ?? 0),
        shadow_mem_fd_index: 0,
        shadow_offset: 0,
      });
      descriptors.push(this.#eventFd(index, doorbell));
    }
    return { subRegions, descriptors };
  }

  /** How many the client has. */
  get count(): number {
    return this.#rung.size;
  }

  /**
   * Has what was rung until now reach the device: before a command that it would come too late after.
   * Descriptors are looked at in any order otherwise.
   */
  deliver(): void {
    for (const [doorbell, rung] of this.#rung) this.#write(doorbell, rung);
  }

  /** Closes all eventfds. */
  close(): void {
    for (const { eventFd, registration } of this.#rung.values()) {
      registration.remove();
      eventFd.close();
    }
    this.#rung.clear();
  }

  #eventFd(index: number, doorbell: Doorbell): number {
    const there = this.#rung.get(doorbell);
    if (there !== undefined) return there.eventFd.fd;
    const eventFd = EventFd.create();
    const registration = this.#reactor.add(eventFd.fd, POLLIN, () => this.#write(doorbell, rung));
    const rung: Rung = { index, eventFd, registration };
    this.#rung.set(doorbell, rung);
    return eventFd.fd;
  }

  /** A device that is stopped takes no writes by message either (rule 23): what is rung then is lost. */
  #write(doorbell: Doorbell, { index, eventFd }: Rung): void {
    if (eventFd.drain() <= 0 || this.#migration.stopped) return;
    this.#function.barWrite(index, doorbell.offset, doorbell.size, doorbell.value ?? 0);
  }
}
