/**
 * What the thread that serves devices and the one that shows them say to each other.
 * Counters, sizes of domains, timeline and messages are in shared memory, which both make their view
 * of; the rest is posted, one way by `postMessage`, the other by a mailbox and the reactor's wake.
 * @module
 */

import type { BarLayout } from "../../devices/pci/pci_device.ts";
import type { MailboxHandle } from "../../protocols/linux/mailbox.ts";
import type { Answer, MachineReport } from "./observation.ts";
import type { CapturedDetail } from "./server_detail.ts";

/** Part of what a serving thread is started with when it is to be watched. */
export interface ServerWatchRequest {
  readonly board: SharedArrayBuffer;
  readonly frames: SharedArrayBuffer;
  /** Two doubles, in milliseconds since 1970: when the serving thread last came by, 0 before; and when somebody last looked. */
  readonly times: SharedArrayBuffer;
  /** `Question`s. */
  readonly questions: MailboxHandle;
}

/** Index of each in {@linkcode ServerWatchRequest.times}. */
export const Time = { CAME_BY: 0, LOOKED: 1 } as const;

/** Who is connected to a device. */
export interface ClientReport {
  readonly endpoint: number;
  readonly state: "connected" | "none";
  /** Clients that have been accepted, those that have gone as well. */
  readonly accepted: number;
}

/** The report of a serving thread: faults are rows of `FAULT_FIELDS`. */
export interface ServerReport extends MachineReport<Float64Array> {
  readonly clients: readonly ClientReport[];
}

/** What the serving thread says. */
export type ServerTold =
  /** A device is served from now on. */
  | {
    readonly kind: "device";
    /** Its number among those that are served, from 0. */
    readonly device: number;
    readonly endpoint: number;
    readonly type: string;
    readonly bars: readonly BarLayout[];
    /** In the order of `Counter`, in shared memory. */
    readonly counters: Float64Array;
  }
  | ({ readonly kind: "report" } & ServerReport)
  /** A line for people. */
  | { readonly kind: "log"; readonly line: string }
  | { readonly kind: "answer"; readonly query: number; readonly answer: Answer | null }
  | { readonly kind: "detail"; readonly query: number; readonly captured: CapturedDetail };
