/**
 * Where our edu and the one that QEMU has built in are known to differ, each with the reason. Those
 * that a sequence of operations can meet recognise themselves; nothing else may differ.
 * @module
 */

/** What one operation came to on each side, as numbers. */
export interface Observed {
  readonly builtin: bigint;
  readonly ours: bigint;
}

/** What was looked at. */
export interface Looked {
  readonly what: "register" | "intx-status" | "message" | "buffer";
  /** Of a register: offset and bytes of the access. */
  readonly offset: number;
  readonly width: number;
  /** Whether MSI has been enabled since QEMU's pin was last seen asserted. */
  readonly pinDropped: boolean;
  /** Whether bus mastering was off in a transfer to the device. */
  readonly masterOff: boolean;
}

/** One difference. */
export interface EduDifference {
  readonly name: string;
  /** Why ours is as it is. */
  readonly reason: string;
  /** Whether this is it; absent when no sequence here brings it about. */
  readonly explains?: (looked: Looked, observed: Observed) => boolean;
}

/** All ones of `bytes` bytes. */
export function allOnes(bytes: number): bigint {
  return (1n << BigInt(8 * bytes)) - 1n;
}

/** The bytes of `value` that are all zero on one side and all ones on the other, and equal elsewhere. */
function zerosForOnes(width: number, { builtin, ours }: Observed): boolean {
  for (let byte = 0; byte < width; byte++) {
    const shift = BigInt(8 * byte);
    const theirs = (builtin >> shift) & 0xffn;
    const own = (ours >> shift) & 0xffn;
    if (theirs !== own && !(theirs === 0n && own === 0xffn)) return false;
  }
  return true;
}

/** The table. */
export const EDU_DIFFERENCES: readonly EduDifference[] = [
  {
    name: "refused-width",
    reason:
      "spec/02 rule 5: an access of 1 or 2 bytes is refused. QEMU's memory core reads 0 then; " +
      "on a PC nobody answers, which reads all ones, and so does ours. Wider accesses that are not " +
      "aligned are split by that core into such ones, on the way to both",
    explains: (looked, observed) =>
      looked.what === "register" && (looked.width < 4 || looked.offset % 4 !== 0) &&
      zerosForOnes(looked.width, observed),
  },
  {
    name: "pin-after-msi",
    reason:
      "When MSI is enabled QEMU deasserts the pin (hw/pci/msi.c), and edu asserts it again only " +
      "at the next raise without MSI. Ours is level-triggered (spec/02 rule 14): the function's " +
      "status shows what is pending",
    explains: ({ what, pinDropped }, { builtin, ours }) =>
      what === "intx-status" && pinDropped && builtin === 0n && ours === 1n,
  },
  {
    name: "read-without-bus-master",
    reason:
      "spec/02 rule 21: with bus mastering off no byte moves. QEMU's edu takes over the zeros " +
      "that its memory core gives for a read that fails; ours keeps its buffer",
    explains: ({ what, masterOff }, { builtin }) =>
      what === "buffer" && masterOff && builtin === 0n,
  },
  {
    name: "out-of-bounds",
    reason: "spec/02 rule 19: QEMU logs a transfer outside the buffer and goes on with it, over " +
      "memory of its own. No sequence here starts one: it would harm QEMU",
  },
  {
    name: "factorial-time",
    reason:
      "QEMU computes on a thread, in no time of the machine's; ours takes its time on the clock. " +
      "Both are waited for before anything else happens",
  },
  {
    name: "factorial-work",
    reason:
      "spec/02 rule 9: QEMU multiplies n times, ours at most 34. No sequence here asks for more " +
      "than some thousands",
  },
  {
    name: "reset",
    reason:
      "spec/02 rule 22: QEMU's edu has no reset handler, so that its registers survive; ours " +
      "loses them, as PCI wants it",
  },
];
