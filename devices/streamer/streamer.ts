/**
 * A copy engine whose transfers take time: it pins source and destination, moves
 * a few bytes each tick between the very pages, and releases them at the end. It
 * exists so that there is DMA in flight when a mapping is taken away.
 * @module
 */

import {
  Access,
  Fault,
  faultName,
  hex,
  hexRange,
  type Iova,
  MAX_ADDRESS,
} from "../../core/address.ts";
import type { Pin } from "../../core/memory/memory.ts";
import type { Timer } from "../../core/observe/clock.ts";
import type {
  AccessSize,
  BarIndex,
  BarLayout,
  InterruptSpec,
  PciDevice,
  PciHost,
  PciIdent,
} from "../pci/pci_device.ts";
import { SliceCursor } from "./slice_cursor.ts";
import {
  STREAMER_BARS,
  STREAMER_CHUNK,
  STREAMER_IDENT,
  STREAMER_IDENTIFICATION,
  STREAMER_INTERRUPTS,
  STREAMER_MAX_LENGTH,
  STREAMER_TICK_MS,
  StreamerCommand,
  StreamerError,
  StreamerInterrupt,
  StreamerOnRevoke,
  StreamerRegister,
  StreamerStatus,
} from "./spec.ts";

/** How a streamer is made. There is nothing to choose. */
export type StreamerOptions = Readonly<Record<string, never>>;

/** A transfer that runs. */
interface Transfer {
  readonly source: Pin;
  readonly destination: Pin;
  readonly from: SliceCursor;
  readonly into: SliceCursor;
  readonly length: number;
  readonly interrupt: "raise" | "none";
}

const ALL_ONES = 0xffff_ffff;
/** The registers of 8 bytes are kept as the dwords from here on. */
const WIDE_START = StreamerRegister.SOURCE;
const WIDE_DWORDS = 6;

/** The device model. */
export class Streamer implements PciDevice {
  readonly type: string = "streamer";
  readonly ident: PciIdent = STREAMER_IDENT;
  readonly bars: readonly BarLayout[] = STREAMER_BARS;
  readonly interrupts: InterruptSpec = STREAMER_INTERRUPTS;

  #host: PciHost | null = null;
  readonly #wide = new Uint32Array(WIDE_DWORDS);
  #status: number = StreamerStatus.IDLE;
  #error: number = StreamerError.NONE;
  #bytesDone = 0;
  #faultReason = 0;
  #chunk = STREAMER_CHUNK;
  #onRevoke: number = StreamerOnRevoke.FINISH;
  #interruptStatus = 0;

  #transfer: Transfer | null = null;
  #timer: Timer | null = null;

  #started = 0;
  #bytesMoved = 0;
  #revocations = 0;
  #aborted = 0;
  #faults = 0;
  #refused = 0;
  #whileRunning = 0;
  #badValues = 0;

  /** Keeps the host. @throws {Error} when it is attached already */
  attach(host: PciHost): void {
    if (this.#host !== null) throw new Error("Cannot attach streamer: it has a host already");
    this.#host = host;
  }

  /** 4 bytes at an aligned offset; any other width or alignment reads all ones. */
  barRead(bar: BarIndex, offset: number, size: AccessSize): number {
    if (bar !== 0 || size !== 4 || offset % 4 !== 0) return ALL_ONES;
    switch (offset) {
      case StreamerRegister.IDENTIFICATION:
        return STREAMER_IDENTIFICATION;
      case StreamerRegister.STATUS:
        return this.#status;
      case StreamerRegister.ERROR:
        return this.#error;
      case StreamerRegister.BYTES_DONE:
        return this.#bytesDone;
      case StreamerRegister.FAULT_REASON:
        return this.#faultReason;
      case StreamerRegister.CHUNK:
        return this.#chunk;
      case StreamerRegister.ON_REVOKE:
        return this.#onRevoke;
      case StreamerRegister.INTERRUPT_STATUS:
        return this.#interruptStatus;
      default:
        return this.#wide[(offset - WIDE_START) / 4] ?? ALL_ONES;
    }
  }

  /** See {@linkcode barRead}. */
  barWrite(bar: BarIndex, offset: number, size: AccessSize, value: number): void {
    if (bar !== 0 || size !== 4 || offset % 4 !== 0) return;
    switch (offset) {
      case StreamerRegister.COMMAND:
        return this.#command(value);
      case StreamerRegister.INTERRUPT_ACKNOWLEDGE:
        return this.#acknowledge(value);
      case StreamerRegister.CHUNK:
        if (this.#takes(value >= 1 && value <= STREAMER_MAX_LENGTH)) this.#chunk = value;
        return;
      case StreamerRegister.ON_REVOKE:
        if (this.#takes(value === StreamerOnRevoke.FINISH || value === StreamerOnRevoke.ABORT)) {
          this.#onRevoke = value;
        }
        return;
    }
    const dword = (offset - WIDE_START) / 4;
    if (dword >= 0 && dword < WIDE_DWORDS && this.#takes(true)) this.#wide[dword] = value;
  }

  /** Ends the transfer that runs without a word: no status, no interrupt. */
  reset(): void {
    this.#wide.fill(0);
    this.#status = StreamerStatus.IDLE;
    this.#error = StreamerError.NONE;
    this.#chunk = STREAMER_CHUNK;
    this.#onRevoke = StreamerOnRevoke.FINISH;
    this.#bytesDone = this.#faultReason = this.#interruptStatus = 0;
    this.#started = this.#bytesMoved = this.#revocations = 0;
    this.#aborted =
      this.#faults =
      this.#refused =
      this.#whileRunning =
      this.#badValues =
        0;
    this.#host?.interrupts.setIntx(false);
    // Last, as at every end of a transfer: who waited for it may look at the registers, or start anew.
    this.#release();
  }

  /** Registers, what is pinned, and counts from the last reset. 64-bit values are hexadecimal strings. */
  inspect(): Record<string, unknown> {
    const transfer = this.#transfer;
    return {
      registers: {
        status: nameOf(StreamerStatus, this.#status),
        error: nameOf(StreamerError, this.#error),
        source: hex(this.#wideAt(StreamerRegister.SOURCE)),
        destination: hex(this.#wideAt(StreamerRegister.DESTINATION)),
        length: hex(this.#wideAt(StreamerRegister.LENGTH)),
        bytesDone: this.#bytesDone,
        faultReason: this.#faultReason === 0 ? null : faultName(-this.#faultReason),
        chunk: this.#chunk,
        onRevoke: nameOf(StreamerOnRevoke, this.#onRevoke),
        interruptStatus: this.#interruptStatus,
      },
      pinned: transfer === null ? null : {
        source: hexRange(Number(this.#wideAt(StreamerRegister.SOURCE)), transfer.length),
        destination: hexRange(Number(this.#wideAt(StreamerRegister.DESTINATION)), transfer.length),
        revoked: transfer.source.revoked || transfer.destination.revoked,
      },
      transfers: {
        started: this.#started,
        bytesMoved: this.#bytesMoved,
        revocations: this.#revocations,
        aborted: this.#aborted,
        faults: this.#faults,
      },
      errors: {
        guestErrors: this.#refused + this.#whileRunning + this.#badValues,
        refused: this.#refused,
        writesWhileRunning: this.#whileRunning,
        badValues: this.#badValues,
      },
    };
  }

  /** @throws {Error} when the device is used before it has a host */
  get #attached(): PciHost {
    if (this.#host === null) {
      throw new Error("Cannot use streamer: it has no host yet, attach it first");
    }
    return this.#host;
  }

  /** Whether a register takes the write now; counts it when not. */
  #takes(legal: boolean): boolean {
    if (this.#transfer !== null) this.#whileRunning++;
    else if (!legal) this.#badValues++;
    else return true;
    return false;
  }

  #wideAt(offset: number): bigint {
    const dword = (offset - WIDE_START) / 4;
    return BigInt(this.#wide[dword + 1]!) << 32n | BigInt(this.#wide[dword]!);
  }

  #command(value: number): void {
    if ((value & StreamerCommand.STOP) !== 0) {
      if (this.#transfer !== null) this.#end(StreamerStatus.ABORTED, StreamerError.STOPPED);
    } else if ((value & StreamerCommand.START) !== 0 && this.#takes(true)) {
      this.#start((value & StreamerCommand.RAISE_INTERRUPT) !== 0 ? "raise" : "none");
    }
  }

  #start(interrupt: "raise" | "none"): void {
    this.#started++;
    this.#bytesDone = 0;
    this.#faultReason = 0;
    const source = this.#wideAt(StreamerRegister.SOURCE);
    const destination = this.#wideAt(StreamerRegister.DESTINATION);
    const length = this.#wideAt(StreamerRegister.LENGTH);

    const error = refusal(source, destination, length);
    if (error !== StreamerError.NONE) {
      return this.#end(StreamerStatus.REFUSED, error, interrupt);
    }
    if (length === 0n) {
      return this.#end(StreamerStatus.DONE, StreamerError.NONE, interrupt);
    }

    const { memory } = this.#attached;
    const bytes = Number(length);
    const from = memory.pin(Number(source) as Iova, bytes, Access.READ);
    if (typeof from === "number") {
      this.#faultReason = -from;
      return this.#end(StreamerStatus.FAULT, StreamerError.SOURCE, interrupt);
    }
    const into = memory.pin(Number(destination) as Iova, bytes, Access.WRITE);
    if (typeof into === "number") {
      from.release();
      this.#faultReason = -into;
      return this.#end(StreamerStatus.FAULT, StreamerError.DESTINATION, interrupt);
    }
    this.#status = StreamerStatus.RUNNING;
    this.#error = StreamerError.NONE;
    const transfer: Transfer = {
      source: from,
      destination: into,
      from: new SliceCursor(from.slices),
      into: new SliceCursor(into.slices),
      length: bytes,
      interrupt,
    };
    this.#transfer = transfer;
    from.onRevoke = into.onRevoke = () => this.#revoked(transfer);
    this.#defer();
  }

  #defer(): void {
    this.#timer = this.#attached.clock.defer(STREAMER_TICK_MS, () => this.#tick());
  }

  #tick(): void {
    const transfer = this.#transfer;
    if (transfer === null) return;
    if (this.#mustStop()) return this.#end(StreamerStatus.FAULT, StreamerError.BUS_MASTER);
    const moved = transfer.into.copyFrom(
      transfer.from,
      Math.min(this.#chunk, transfer.length - this.#bytesDone),
    );
    const status = transfer.destination.wrote(this.#bytesDone, moved);
    if (status !== 0) {
      this.#faultReason = -status;
      return this.#end(StreamerStatus.FAULT, StreamerError.DESTINATION);
    }
    this.#bytesDone += moved;
    this.#bytesMoved += moved;
    if (this.#bytesDone < transfer.length) this.#defer();
    else this.#end(StreamerStatus.DONE, StreamerError.NONE);
  }

  /** Told by a pin that somebody waits for it. Also when the function may not master the bus any more. */
  #revoked(transfer: Transfer): void {
    // Its own pins alone: the end of one transfer may already have started the next.
    if (this.#transfer !== transfer) return;
    this.#revocations++;
    if (this.#mustStop()) this.#end(StreamerStatus.FAULT, StreamerError.BUS_MASTER);
    else if (this.#onRevoke === StreamerOnRevoke.ABORT) {
      this.#end(StreamerStatus.ABORTED, StreamerError.REVOKED);
    }
  }

  /**
   * Whether bus mastering is off. A transfer may outlive its mapping, which whoever
   * unmaps waits for; it may not outlive this bit (PCI 3.0, 6.2.2).
   */
  #mustStop(): boolean {
    const address = Number(this.#wideAt(StreamerRegister.SOURCE)) as Iova;
    return this.#attached.memory.check(address, 1, Access.READ) === Fault.BUS_MASTER_OFF;
  }

  /** Ends a transfer, or one that did not come about. */
  #end(status: number, error: number, interrupt = this.#transfer?.interrupt ?? "none"): void {
    // The outcome is there before the pins go: their release may let an unmap
    // complete, and whoever waited for it look at the registers, or start anew.
    this.#status = status;
    this.#error = error;
    if (status === StreamerStatus.ABORTED) this.#aborted++;
    if (status === StreamerStatus.FAULT) this.#faults++;
    if (status === StreamerStatus.REFUSED) this.#refused++;
    try {
      this.#release();
    } finally {
      // Also when one who waited for it fails: that is not the guest's doing.
      if (interrupt === "raise") this.#raise();
    }
  }

  #raise(): void {
    this.#interruptStatus |= StreamerInterrupt.ENDED;
    const { interrupts } = this.#attached;
    // The level is driven in every mode: the pin shows it after a switch back to INTx.
    interrupts.setIntx(true);
    if (interrupts.mode === "msi") interrupts.raise(0);
  }

  #release(): void {
    const transfer = this.#transfer;
    this.#transfer = null;
    this.#timer?.cancel();
    this.#timer = null;
    try {
      transfer?.source.release();
    } finally {
      // Nobody must wait for this one for ever because one who waited for the other fails.
      transfer?.destination.release();
    }
  }

  #acknowledge(bits: number): void {
    this.#interruptStatus = (this.#interruptStatus & ~bits) >>> 0;
    if (this.#interruptStatus === 0) this.#attached.interrupts.setIntx(false);
  }
}

/** What is wrong with a transfer that nothing on the bus can make right; `NONE` when nothing is. */
function refusal(source: bigint, destination: bigint, length: bigint): number {
  if (length > BigInt(STREAMER_MAX_LENGTH)) return StreamerError.LENGTH;
  const end = BigInt(MAX_ADDRESS) + 1n;
  if (source + length > end || destination + length > end) return StreamerError.ADDRESS;
  if (source < destination + length && destination < source + length) return StreamerError.OVERLAP;
  return StreamerError.NONE;
}

/** The name of a value of a table, in lower case. */
function nameOf(table: Readonly<Record<string, number>>, value: number): string {
  const entry = Object.entries(table).find(([, known]) => known === value);
  return entry === undefined ? `${value}` : entry[0].toLowerCase();
}
