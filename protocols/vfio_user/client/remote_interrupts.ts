/**
 * The interrupts of a remote function as a VMM has them: it looks at the MSI and MSI-X
 * registers that the guest programs, gives the server an eventfd for each vector that
 * is on (vfio-user, DEVICE_SET_IRQS), and keeps masks and pending bits itself.
 *
 * An eventfd counts, so nothing is lost between two looks. A vector that is masked
 * keeps its eventfd; what was signalled meanwhile becomes one message when the mask
 * goes, as with hardware (PCI 3.0, 6.8.2.9).
 *
 * @module
 */

import * as pci from "../../../devices/pci/spec.ts";
import { EventFd } from "../../linux/eventfd.ts";
import type { IrqInfo } from "../messages/irqs.ts";
import { VfioIrqInfoFlags, VfioPciIrq } from "../vfio_spec.ts";
import type { VfioUserClient } from "./client.ts";
import {
  type ConfigReader,
  findCapabilities,
  type MsiRegisters,
  type MsixRegisters,
  readMsi,
  readMsix,
} from "./remote_config.ts";
import { VectorTable } from "./vector_table.ts";

const {
  VFIO_PCI_INTX_IRQ_INDEX: INTX,
  VFIO_PCI_MSI_IRQ_INDEX: MSI,
  VFIO_PCI_MSIX_IRQ_INDEX: MSIX,
} = VfioPciIrq;

/** What is on at the server. `off` before the first look, and during a reset. */
type Mode = "off" | "intx" | "msi" | "msix";

/** Up to this many vectors get their eventfds at once; more of them when they are first unmasked. */
const EAGER_VECTORS = 256;

/** See the module. Its calls wait for the server, and throw what the client throws. */
export class RemoteInterrupts implements Disposable {
  readonly #client: VfioUserClient;
  readonly #read: ConfigReader;
  readonly #msi: MsiRegisters | null;
  readonly #msix: MsixRegisters | null;
  /** The MSI-X table; null without that capability. */
  readonly table: VectorTable | null;
  readonly #info: { readonly intx: IrqInfo | null; readonly msi: number; readonly msix: number };

  #mode: Mode = "off";
  #fds: (EventFd | null)[] = [];
  #masked: boolean[] = [];
  #intx: EventFd | null = null;
  /** Vectors that wait, of MSI. Those of MSI-X are in the table. */
  #pendingMsi = 0;
  /** Messages that have arrived and were not taken. */
  readonly #arrived = new Map<number, number>();

  /**
   * @param infos what the server says of its interrupts, by index
   * @param before those of the connection before, which were told to forget it: the table and what
   * has arrived stay the client's
   */
  constructor(
    client: VfioUserClient,
    read: ConfigReader,
    infos: ReadonlyMap<number, Readonly<IrqInfo>>,
    before: RemoteInterrupts | null = null,
  ) {
    this.#client = client;
    this.#read = read;
    const capabilities = findCapabilities(read);
    const msi = capabilities.get(pci.PCI_CAP_ID_MSI);
    const msix = capabilities.get(pci.PCI_CAP_ID_MSIX);
    this.#msi = msi === undefined ? null : readMsi(read, msi);
    this.#msix = msix === undefined ? null : readMsix(read, msix);
    const table = before?.table ?? null;
    this.table = this.#msix === null
      ? null
      : table !== null && table.isFor(this.#msix)
      ? table
      : new VectorTable(this.#msix);
    if (before !== null) {
      for (const [vector, count] of before.#arrived) this.#arrived.set(vector, count);
    }
    const intx = infos.get(INTX);
    this.#info = {
      intx: intx !== undefined && intx.count > 0 ? intx : null,
      msi: infos.get(MSI)?.count ?? 0,
      msix: infos.get(MSIX)?.count ?? 0,
    };
  }

  /** The form that is on. */
  get mode(): "intx" | "msi" | "msix" {
    return this.#mode === "off" ? "intx" : this.#mode;
  }

  /** Vectors that the guest has been granted; 0 with INTx. */
  get vectors(): number {
    return this.#fds.length;
  }

  /** Whether a write to configuration space may have changed what is on, or a mask. */
  concerns(offset: number, size: number): boolean {
    const touches = (at: number, length: number): boolean =>
      offset < at + length && at < offset + size;
    const { offset: msi, length } = this.#msi ?? { offset: 0, length: 0 };
    return this.#msi !== null && touches(msi, length) ||
      this.#msix !== null && touches(this.#msix.offset, pci.PCI_MSIX_TABLE);
  }

  /** Looks at the registers, and has the server do what they say. */
  sync(): void {
    let mode: Mode = "intx";
    let vectors = 0;
    let functionMask = false;
    if (this.#msix !== null) {
      const flags = this.#read(this.#msix.offset + pci.PCI_MSIX_FLAGS, 2);
      functionMask = (flags & pci.PCI_MSIX_FLAGS_MASKALL) !== 0;
      if ((flags & pci.PCI_MSIX_FLAGS_ENABLE) !== 0) {
        mode = "msix";
        vectors = Math.min(this.#msix.vectors, this.#info.msix);
      }
    }
    if (mode === "intx" && this.#msi !== null) {
      const flags = this.#read(this.#msi.offset + pci.PCI_MSI_FLAGS, 2);
      if ((flags & pci.PCI_MSI_FLAGS_ENABLE) !== 0) {
        mode = "msi";
        const granted = 1 << ((flags & pci.PCI_MSI_FLAGS_QSIZE) >> 4);
        vectors = Math.min(granted, this.#msi.vectors, this.#info.msi);
      }
    }
    const masks = mode === "msi" && this.#msi !== null && this.#msi.mask !== null
      ? this.#read(this.#msi.mask, 4)
      : 0;
    const masked = Array.from(
      { length: vectors },
      (_, vector) =>
        mode === "msix"
          ? functionMask || (this.table?.masked(vector) ?? false)
          : (masks >>> vector & 1) !== 0,
    );
    if (mode !== this.#mode || vectors !== this.#fds.length) {
      this.#switchOff();
      this.#switchOn(mode, masked);
    } else this.#remask(masked);
  }

  /** The function is about to be reset: the server signals nothing any more. */
  suspend(): void {
    this.#switchOff();
  }

  /** The function was reset: masks and pending bits are as after power-on. */
  wasReset(): void {
    this.table?.reset();
    this.#pendingMsi = 0;
    this.sync();
  }

  /** The connection is another one: the server knows nothing of our eventfds. */
  forget(): void {
    this.#drainAll();
    this.#closeVectors();
    this.#mode = "off";
  }

  /** Takes the messages of `vector` that have arrived. */
  take(vector: number): number {
    this.#collect(vector);
    const count = this.#arrived.get(vector) ?? 0;
    this.#arrived.delete(vector);
    return count;
  }

  /** Brings the pending bits up to date, for who reads them. */
  collectPending(): void {
    for (let vector = 0; vector < this.#fds.length; vector++) this.#collect(vector);
  }

  /** The pending bits of MSI: what is in the capability, and what we hold back. */
  get pendingMsi(): number {
    this.collectPending();
    return this.#mode === "msi" ? this.#pendingMsi : 0;
  }

  /** Where the pending bits of MSI stand; null when there are none. */
  get pendingMsiOffset(): number | null {
    const mask = this.#msi?.mask ?? null;
    return mask === null ? null : mask + 4;
  }

  /**
   * Whether INTx is asserted. The line is level-triggered: an interrupt masks itself, and UNMASK
   * signals again as long as the line is up (vfio-user, DEVICE_GET_IRQ_INFO: AUTOMASKED), so what
   * is signalled after it is the level now. From a server without that, the status register tells.
   */
  intxAsserted(): boolean {
    if (this.#mode !== "intx") return false;
    const command = this.#read(pci.PCI_COMMAND, 2);
    if ((command & pci.PCI_COMMAND_INTX_DISABLE) !== 0) return false;
    const { intx } = this.#info;
    if (intx === null || this.#intx === null) return false;
    const seen = this.#intx.drain() > 0;
    if ((intx.flags & VfioIrqInfoFlags.VFIO_IRQ_INFO_AUTOMASKED) === 0) {
      const status = this.#read(pci.PCI_STATUS, 2);
      return (status & pci.PCI_STATUS_INTERRUPT) !== 0 || seen;
    }
    this.#client.wait(this.#client.irqs.act("unmask", INTX, 0, 1));
    return this.#intx.drain() > 0;
  }

  /** Closes the eventfds. The server is not told: it may be gone. Idempotent. */
  close(): void {
    this.forget();
    this.#intx?.close();
    this.#intx = null;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #switchOn(mode: Mode, masked: boolean[]): void {
    const { irqs } = this.#client;
    if (mode === "intx") {
      if (this.#info.intx !== null) {
        this.#intx ??= EventFd.create();
        this.#client.wait(irqs.signal("trigger", INTX, 0, [this.#intx.fd]));
      }
    } else {
      this.#fds = masked.map(() => null);
      this.#masked = masked;
      // From here on a failure leaves eventfds that the next switch takes down.
      this.#mode = mode;
      const all = masked.length <= EAGER_VECTORS;
      const wanted = masked.map((is, vector) => all || !is ? vector : -1).filter((v) => v >= 0);
      this.#giveEventFds(wanted);
    }
    this.#mode = mode;
  }

  /** Runs of neighbours go together. */
  #giveEventFds(vectors: readonly number[]): void {
    const index = this.#mode === "msix" ? MSIX : MSI;
    const { irqs } = this.#client;
    for (let first = 0; first < vectors.length;) {
      const start = vectors[first] as number;
      let count = 0;
      while (vectors[first + count] === start + count) count++;
      const fds: number[] = [];
      for (let vector = start; vector < start + count; vector++) {
        const made = EventFd.create();
        this.#fds[vector] = made;
        fds.push(made.fd);
      }
      this.#client.wait(irqs.signal("trigger", index, start, fds));
      first += count;
    }
  }

  #switchOff(): void {
    const mode = this.#mode;
    if (mode === "off") return;
    const index = mode === "msix" ? MSIX : mode === "msi" ? MSI : INTX;
    if (mode !== "intx" || this.#intx !== null) {
      this.#client.wait(this.#client.irqs.disableAll(index));
    }
    this.#mode = "off";
    this.#drainAll();
    this.#closeVectors();
  }

  /** What was sent before counts as arrived. */
  #drainAll(): void {
    this.collectPending();
    if (this.#intx !== null) this.#intx.drain();
  }

  #closeVectors(): void {
    for (const fd of this.#fds) fd?.close();
    this.#fds = [];
    this.#masked = [];
    this.#pendingMsi = 0;
  }

  #remask(masked: boolean[]): void {
    const fresh: number[] = [];
    for (let vector = 0; vector < masked.length; vector++) {
      // By the mask that held until now.
      this.#collect(vector);
      const before = this.#masked[vector];
      this.#masked[vector] = masked[vector] as boolean;
      if (before !== true || masked[vector] === true) continue;
      if (this.#fds[vector] === null) fresh.push(vector);
      if (!this.#isPending(vector)) continue;
      this.#setPending(vector, "clear");
      this.#arrived.set(vector, (this.#arrived.get(vector) ?? 0) + 1);
    }
    if (fresh.length > 0) this.#giveEventFds(fresh);
  }

  /** Takes what the eventfd has counted: messages, or one that waits. */
  #collect(vector: number): void {
    const fd = this.#fds[vector];
    if (fd === undefined || fd === null) return;
    const count = fd.drain();
    if (count <= 0) return;
    if (this.#masked[vector] === true) this.#setPending(vector, "pending");
    else this.#arrived.set(vector, (this.#arrived.get(vector) ?? 0) + count);
  }

  #isPending(vector: number): boolean {
    return this.#mode === "msix"
      ? this.table?.pending(vector) ?? false
      : (this.#pendingMsi >>> vector & 1) !== 0;
  }

  #setPending(vector: number, pending: "pending" | "clear"): void {
    if (this.#mode === "msix") this.table?.setPending(vector, pending);
    else if (pending === "pending") this.#pendingMsi = (this.#pendingMsi | 1 << vector) >>> 0;
    else this.#pendingMsi = (this.#pendingMsi & ~(1 << vector)) >>> 0;
  }
}
