/**
 * VFIO_USER_DEVICE_GET_IRQ_INFO and VFIO_USER_DEVICE_SET_IRQS (vfio-user; spec/08 rules 9 and 12).
 * @module
 */

import { EINVAL_RESULT } from "../result.ts";
import { VfioUserCommand } from "../spec.ts";
import type { Fields } from "../structure.ts";
import {
  VFIO_IRQ_INFO,
  VFIO_IRQ_SET,
  VFIO_IRQ_SET_ACTION_TYPE_MASK,
  VFIO_IRQ_SET_DATA_TYPE_MASK,
  VFIO_PCI_NUM_IRQS,
  VfioIrqSetFlags,
  VfioPciIrq,
} from "../vfio_spec.ts";
import { type BodyCodec, type Empty, EMPTY_REPLY, type MessageCodec, sizedBody } from "./codec.ts";

const AT = VFIO_IRQ_SET.at;
const SIZE = VFIO_IRQ_SET.size;
const {
  VFIO_IRQ_SET_DATA_NONE: NONE,
  VFIO_IRQ_SET_DATA_BOOL: BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD: EVENTFD,
  VFIO_IRQ_SET_ACTION_TRIGGER: TRIGGER,
} = VfioIrqSetFlags;

/** `struct vfio_irq_info`, by the names of its fields. */
export type IrqInfo = Fields<keyof typeof VFIO_IRQ_INFO.at>;

/** VFIO_USER_DEVICE_GET_IRQ_INFO. A short body or an argsz below 16 is EINVAL. */
export const DEVICE_GET_IRQ_INFO: MessageCodec<IrqInfo, IrqInfo> = {
  command: VfioUserCommand.VFIO_USER_DEVICE_GET_IRQ_INFO,
  name: "VFIO_USER_DEVICE_GET_IRQ_INFO",
  request: sizedBody(VFIO_IRQ_INFO),
  reply: sizedBody(VFIO_IRQ_INFO),
};

/** What is to be done with interrupts. */
export interface IrqSet {
  argsz: number;
  /** One DATA and one ACTION bit. */
  flags: number;
  /** A value of `VfioPciIrq`. */
  index: number;
  start: number;
  count: number;
  /** With BOOL: where the `count` bytes stand. */
  dataAt: number;
}

function isOneBit(bits: number): boolean {
  return bits !== 0 && (bits & (bits - 1)) === 0;
}

const request: BodyCodec<IrqSet> = {
  size: SIZE,
  create: () => ({ argsz: SIZE, flags: 0, index: 0, start: 0, count: 0, dataAt: 0 }),
  decode(view, at, length, into) {
    if (length < SIZE) return EINVAL_RESULT;
    into.argsz = view.getUint32(at + AT.argsz, true);
    into.flags = view.getUint32(at + AT.flags, true);
    into.index = view.getUint32(at + AT.index, true);
    into.start = view.getUint32(at + AT.start, true);
    into.count = view.getUint32(at + AT.count, true);
    into.dataAt = at + SIZE;
    const { argsz, flags, index, start, count } = into;
    const data = flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
    const action = flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
    if (argsz < SIZE || index >= VFIO_PCI_NUM_IRQS) return EINVAL_RESULT;
    if (!isOneBit(data) || !isOneBit(action) || (data | action) !== flags) return EINVAL_RESULT;
    // ERR and REQ tell of an event of the server's own: there is nothing to mask.
    if (index >= VfioPciIrq.VFIO_PCI_ERR_IRQ_INDEX && action !== TRIGGER) return EINVAL_RESULT;
    if (start + count > 0xffff_ffff) return EINVAL_RESULT;
    if (count === 0 && !(flags === (TRIGGER | NONE) && start === 0)) return EINVAL_RESULT;
    if (data === BOOL && (argsz - SIZE !== count || length - SIZE !== count)) return EINVAL_RESULT;
    return 0;
  },
  encode(view, at, value) {
    view.setUint32(at + AT.argsz, value.argsz, true);
    view.setUint32(at + AT.flags, value.flags, true);
    view.setUint32(at + AT.index, value.index, true);
    view.setUint32(at + AT.start, value.start, true);
    view.setUint32(at + AT.count, value.count, true);
    return (value.flags & BOOL) !== 0 ? SIZE + value.count : SIZE;
  },
};

/**
 * VFIO_USER_DEVICE_SET_IRQS. EINVAL by itself (spec/08 rule 12): short, argsz below 20, index 5 and
 * up, not exactly one action and one data type, unknown flags, MASK or UNMASK of ERR and REQ, start
 * and count past 2^32, count 0 but to disable all, BOOL data that is not `count` bytes.
 */
export const DEVICE_SET_IRQS: MessageCodec<IrqSet, Empty> = {
  command: VfioUserCommand.VFIO_USER_DEVICE_SET_IRQS,
  name: "VFIO_USER_DEVICE_SET_IRQS",
  request,
  reply: EMPTY_REPLY,
};

/** Whether a decoded request disables all interrupts of its type. */
export function disablesAll(set: Readonly<IrqSet>): boolean {
  return set.count === 0;
}

/**
 * The rest of spec/08 rule 12, for a decoded request: -EINVAL when it reaches past the `available`
 * interrupts of its type, when `descriptors` came with NONE or BOOL, or when with EVENTFD there are
 * some but not `count` of them. Otherwise 0. Disabling all of a type that has none is no error.
 */
export function checkIrqSet(
  set: Readonly<IrqSet>,
  available: number,
  descriptors: number,
): number {
  const eventfd = (set.flags & EVENTFD) !== 0;
  if (descriptors !== 0 && (!eventfd || descriptors !== set.count)) return EINVAL_RESULT;
  if (disablesAll(set)) return 0;
  return set.start + set.count > available ? EINVAL_RESULT : 0;
}
