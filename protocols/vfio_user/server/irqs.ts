/**
 * A function's interrupts as its client set them up: an eventfd each (vfio-user,
 * VFIO_USER_DEVICE_SET_IRQS; spec/08 rule 12). Whether a message may leave is the function's to say.
 * @module
 */

import type { InterruptSink, MessageRouter } from "../../../devices/pci/interrupts.ts";
import type { InterruptSpec } from "../../../devices/pci/pci_device.ts";
import { closeAll, type Descriptor } from "../../linux/descriptor.ts";
import { Errno } from "../../linux/errno.ts";
import { EventFd } from "../../linux/eventfd.ts";
import { POLLIN } from "../../linux/libc.ts";
import type { Reactor, Registration } from "../../linux/reactor.ts";
import { checkIrqSet, disablesAll, type IrqSet } from "../messages/irqs.ts";
import { VFIO_PCI_NUM_IRQS, VfioIrqInfoFlags, VfioIrqSetFlags, VfioPciIrq } from "../vfio_spec.ts";

const {
  VFIO_PCI_INTX_IRQ_INDEX: INTX,
  VFIO_PCI_MSI_IRQ_INDEX: MSI,
  VFIO_PCI_MSIX_IRQ_INDEX: MSIX,
} = VfioPciIrq;
const {
  VFIO_IRQ_SET_DATA_BOOL: BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD: EVENTFD,
  VFIO_IRQ_SET_ACTION_MASK: MASK,
  VFIO_IRQ_SET_ACTION_UNMASK: UNMASK,
  VFIO_IRQ_SET_ACTION_TRIGGER: TRIGGER,
} = VfioIrqSetFlags;
const { VFIO_IRQ_INFO_EVENTFD, VFIO_IRQ_INFO_MASKABLE, VFIO_IRQ_INFO_AUTOMASKED } =
  VfioIrqInfoFlags;

/** An eventfd that the client signals to have an interrupt masked or unmasked. */
interface Watched {
  readonly eventFd: EventFd;
  readonly registration: Registration;
}

/** One interrupt of one type. */
class Line {
  /** Signalled when it happens. */
  trigger: EventFd | null = null;
  masked = false;
  /** A message that came while masked. */
  pending = false;
  readonly watched = new Map<number, Watched>();
}

/** What the interrupts need of the function they belong to. */
export interface IrqOwner {
  /** The level of its INTx pin. */
  readonly intxAsserted: boolean;
  /** The mode has changed. */
  refreshInterrupts(): void;
}

/** The five types of a PCI device. Decides about messages, and takes the pin's level. */
export class Irqs implements MessageRouter, InterruptSink {
  readonly #reactor: Reactor;
  readonly #settle: () => void;
  readonly #types: readonly (readonly Line[])[];
  #owner: IrqOwner | null = null;
  /** Types that have been enabled and not disabled since: single vectors may be off meanwhile. */
  readonly #enabled = new Set<number>();

  /** @param settle stores what the device has written so far: an interrupt must not overtake its data */
  constructor(spec: InterruptSpec | undefined, reactor: Reactor, settle: () => void) {
    this.#reactor = reactor;
    this.#settle = settle;
    const counts = [
      (spec?.pin ?? 0) !== 0 ? 1 : 0,
      spec?.msi?.vectors ?? 0,
      spec?.msix?.vectors ?? 0,
      1,
      1,
    ];
    this.#types = counts.map((count) => Array.from({ length: count }, () => new Line()));
  }

  /** To be called once, when the function has been made. */
  own(owner: IrqOwner): void {
    this.#owner = owner;
  }

  /** Interrupts of a type; undefined when there is no such type. */
  count(index: number): number | undefined {
    return this.#types[index]?.length;
  }

  /** Bits of `VfioIrqInfoFlags`. */
  flags(index: number): number {
    return index === INTX
      ? VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED
      : VFIO_IRQ_INFO_EVENTFD;
  }

  get mode(): "msi" | "msix" | null {
    if (this.#enabled.has(MSIX)) return "msix";
    return this.#enabled.has(MSI) ? "msi" : null;
  }

  raise(vector: number): void {
    const line = this.#types[this.#enabled.has(MSIX) ? MSIX : MSI]?.[vector];
    if (line === undefined) return;
    this.#settle();
    if (line.masked) line.pending = true;
    // Without an eventfd it is lost, as it is in VFIO.
    else line.trigger?.signal();
  }

  /** Nothing waits here but for UNMASK, which sends it by itself. */
  flush(): void {}

  reset(): void {
    for (const index of [MSI, MSIX]) for (const line of this.#types[index]!) line.pending = false;
  }

  message(): void {}

  intx(asserted: boolean): void {
    if (asserted) this.#signalPin();
  }

  /**
   * Carries out a decoded request; `bytes` holds the BOOL data. 0, or `-errno`. The descriptors are
   * taken over, also when it fails.
   */
  set(request: Readonly<IrqSet>, bytes: Uint8Array, descriptors: readonly Descriptor[]): number {
    const { index, start, count, flags, dataAt } = request;
    const lines = this.#types[index];
    const result = lines === undefined
      ? -Errno.EINVAL
      : checkIrqSet(request, lines.length, descriptors.length);
    if (result !== 0 || lines === undefined) {
      closeAll(descriptors);
      return result;
    }
    if (disablesAll(request)) {
      this.#disable(index);
      return 0;
    }
    const action = flags & (MASK | UNMASK | TRIGGER);
    if ((flags & EVENTFD) !== 0) return this.#setEventFds(index, start, count, action, descriptors);
    for (let i = 0; i < count; i++) {
      if ((flags & BOOL) !== 0 && bytes[dataAt + i] === 0) continue;
      this.#act(index, lines[start + i]!, action);
    }
    return 0;
  }

  /** The client is gone: every eventfd is closed, every type disabled. */
  disconnect(): void {
    for (let index = 0; index < VFIO_PCI_NUM_IRQS; index++) this.#disable(index);
  }

  inspect(): Record<string, unknown> {
    return {
      eventfds: this.#types.map((lines) => lines.filter((line) => line.trigger !== null).length),
      masked: this.#types.map((lines) => lines.filter((line) => line.masked).length),
    };
  }

  #setEventFds(
    index: number,
    start: number,
    count: number,
    action: number,
    descriptors: readonly Descriptor[],
  ): number {
    const lines = this.#types[index]!;
    // Only INTx can be masked by a signal, as in VFIO.
    if (action !== TRIGGER && index !== INTX) {
      closeAll(descriptors);
      return -Errno.EINVAL;
    }
    // All of them are judged before any takes effect.
    const eventFds: EventFd[] = [];
    for (const [at, descriptor] of descriptors.entries()) {
      const eventFd = EventFd.adopt(descriptor);
      if (typeof eventFd !== "number") {
        eventFds.push(eventFd);
        continue;
      }
      closeAll(descriptors.slice(at + 1));
      for (const adopted of eventFds) adopted.close();
      return eventFd;
    }
    for (let i = 0; i < count; i++) {
      const line = lines[start + i]!;
      const eventFd = eventFds[i] ?? null;
      if (action === TRIGGER) {
        line.trigger?.close();
        line.trigger = eventFd;
      } else {
        this.#watch(line, action, eventFd);
      }
    }
    if (action === TRIGGER && eventFds.length > 0) this.#enable(index);
    return 0;
  }

  #enable(index: number): void {
    if (!this.#enabled.has(index)) {
      this.#enabled.add(index);
      if (index === INTX) this.#types[INTX]![0]!.masked = false;
      if (index === MSI || index === MSIX) this.#owner?.refreshInterrupts();
    }
    if (index === INTX && this.#owner?.intxAsserted === true) this.#signalPin();
  }

  #disable(index: number): void {
    for (const line of this.#types[index]!) {
      line.trigger?.close();
      line.trigger = null;
      line.masked = line.pending = false;
      for (const action of [...line.watched.keys()]) this.#unwatch(line, action);
    }
    if (this.#enabled.delete(index) && index !== INTX) this.#owner?.refreshInterrupts();
  }

  #act(index: number, line: Line, action: number): void {
    switch (action) {
      case MASK:
        line.masked = true;
        return;
      case UNMASK:
        line.masked = false;
        if (index === INTX) {
          if (this.#owner?.intxAsserted === true) this.#signalPin();
        } else if (line.pending) {
          line.pending = false;
          line.trigger?.signal();
        }
        return;
      case TRIGGER:
        line.trigger?.signal();
    }
  }

  /** Level-triggered: signals once, and masks itself until the client has dealt with it. */
  #signalPin(): void {
    const line = this.#types[INTX]![0];
    if (line === undefined) return;
    this.#settle();
    if (line.masked || line.trigger === null) return;
    line.masked = true;
    line.trigger.signal();
  }

  /**
   * MASK and UNMASK by eventfd go the way of Linux's VFIO, from client to device: KVM signals such a
   * descriptor at the guest's end of interrupt (`linux/vfio.h`, VFIO_DEVICE_SET_IRQS).
   */
  #watch(line: Line, action: number, eventFd: EventFd | null): void {
    this.#unwatch(line, action);
    if (eventFd === null) return;
    const registration = this.#reactor.add(eventFd.fd, POLLIN, () => {
      if (eventFd.drain() > 0) this.#act(INTX, line, action);
    });
    line.watched.set(action, { eventFd, registration });
  }

  #unwatch(line: Line, action: number): void {
    const watched = line.watched.get(action);
    if (watched === undefined) return;
    line.watched.delete(action);
    watched.registration.remove();
    watched.eventFd.close();
  }
}
