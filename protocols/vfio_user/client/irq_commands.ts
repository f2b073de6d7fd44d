/**
 * The commands about interrupts, DEVICE_SET_IRQS in all its forms.
 * @module
 */

import { MAX_DESCRIPTORS } from "../../linux/unix_stream.ts";
import type { Negotiated } from "../capabilities.ts";
import { DEVICE_GET_IRQ_INFO, DEVICE_SET_IRQS, type IrqInfo } from "../messages/irqs.ts";
import { VFIO_IRQ_SET, VfioIrqSetFlags } from "../vfio_spec.ts";
import { badReply, beyondLimit } from "./client_error.ts";
import type { MessageEngine } from "./message_engine.ts";
import { joinTickets, type Ticket } from "./ticket.ts";

/** What is to be done, or what an eventfd is to tell of. */
export type IrqAction = "mask" | "unmask" | "trigger";

const ACTION: Readonly<Record<IrqAction, number>> = {
  mask: VfioIrqSetFlags.VFIO_IRQ_SET_ACTION_MASK,
  unmask: VfioIrqSetFlags.VFIO_IRQ_SET_ACTION_UNMASK,
  trigger: VfioIrqSetFlags.VFIO_IRQ_SET_ACTION_TRIGGER,
};
const {
  VFIO_IRQ_SET_DATA_NONE: NONE,
  VFIO_IRQ_SET_DATA_BOOL: BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD: EVENTFD,
} = VfioIrqSetFlags;
const SIZE = VFIO_IRQ_SET.size;

/** For a {@linkcode VfioUserClient}. Indexes are those of `VfioPciIrq`. */
export class IrqCommands {
  readonly #engine: MessageEngine;
  readonly #inForce: Negotiated;

  constructor(engine: MessageEngine, inForce: Negotiated) {
    this.#engine = engine;
    this.#inForce = inForce;
  }

  /** VFIO_USER_DEVICE_GET_IRQ_INFO. */
  info(index: number): Ticket<Readonly<IrqInfo>> {
    const { command } = DEVICE_GET_IRQ_INFO;
    const request = { argsz: DEVICE_GET_IRQ_INFO.request.size, flags: 0, index, count: 0 };
    return this.#engine.send(DEVICE_GET_IRQ_INFO, request, (reply) => {
      const found = DEVICE_GET_IRQ_INFO.reply.create();
      const result = DEVICE_GET_IRQ_INFO.reply.decode(reply.view, reply.at, reply.length, found);
      if (result !== 0) throw badReply(command, `its ${reply.length} bytes are no irq information`);
      if (found.index !== index) {
        throw badReply(command, `it is about index ${found.index}, and we asked for ${index}`);
      }
      return found;
    });
  }

  /** Masks, unmasks or triggers `count` interrupts from `start` on. */
  act(action: IrqAction, index: number, start: number, count: number): Ticket<void> {
    return this.#set(ACTION[action] | NONE, index, start, count, null, null);
  }

  /** As {@linkcode act}, for those whose byte in `chosen` is not 0. */
  actWhere(action: IrqAction, index: number, start: number, chosen: Uint8Array): Ticket<void> {
    return this.#set(ACTION[action] | BOOL, index, start, chosen.length, chosen, null);
  }

  /**
   * Has an eventfd signalled for each interrupt from `start` on, when it is triggered, or masked
   * or unmasked. In as many messages as the server's limit of descriptors, and the system's, takes.
   * @throws {VfioUserError} `limit` when it takes none
   */
  signal(action: IrqAction, index: number, start: number, fds: readonly number[]): Ticket<void> {
    const most = Math.min(this.#inForce.maxSendFds, MAX_DESCRIPTORS);
    if (most < 1) {
      throw beyondLimit(DEVICE_SET_IRQS.command, "the server takes no descriptors");
    }
    const tickets: Ticket<void>[] = [];
    for (let done = 0; done < fds.length; done += most) {
      const part = fds.slice(done, done + most);
      const flags = ACTION[action] | EVENTFD;
      tickets.push(this.#set(flags, index, start + done, part.length, null, part));
    }
    return tickets.length === 1 ? tickets[0] as Ticket<void> : joinTickets(tickets, () => {});
  }

  /** Takes the eventfds of `count` interrupts from `start` on away. */
  unsignal(action: IrqAction, index: number, start: number, count: number): Ticket<void> {
    return this.#set(ACTION[action] | EVENTFD, index, start, count, null, null);
  }

  /** Switches all interrupts of a type off. */
  disableAll(index: number): Ticket<void> {
    return this.#set(ACTION.trigger | NONE, index, 0, 0, null, null);
  }

  #set(
    flags: number,
    index: number,
    start: number,
    count: number,
    data: Uint8Array | null,
    fds: readonly number[] | null,
  ): Ticket<void> {
    const argsz = SIZE + (data?.length ?? 0);
    const request = { argsz, flags, index, start, count, dataAt: 0 };
    return this.#engine.send(DEVICE_SET_IRQS, request, () => {}, {
      ...(data === null ? {} : { data }),
      ...(fds === null ? {} : { fds }),
    });
  }
}
