/**
 * What a device author writes. Configuration space, BAR decoding, interrupt
 * routing and masking, bus mastering and function-level reset are not the
 * device's business: the function that hosts it does them (`pci_function.ts`).
 * @module
 */

import type { Iova } from "../../core/address.ts";
import type { Memory } from "../../core/memory/memory.ts";
import type { Clock } from "../../core/observe/clock.ts";
import type { CapabilitySpec, ExtendedCapabilitySpec } from "./capabilities.ts";
import type { PciTarget } from "./pci_driver.ts";

/** Index of a base address register. A 64-bit BAR takes its own index and the next. */
export type BarIndex = 0 | 1 | 2 | 3 | 4 | 5;

/** Bytes of a register access that reaches {@linkcode PciDevice.barRead}. */
export type AccessSize = 1 | 2 | 4;

/** Who the device says it is (PCI 3.0, 6.2.1). */
export interface PciIdent {
  /** 16 bits, but not 0xffff: that says nobody is there. */
  readonly vendorId: number;
  /** 16 bits, given by the vendor. */
  readonly deviceId: number;
  /** 8 bits. */
  readonly revisionId: number;
  /** 24 bits: base class, subclass, programming interface. */
  readonly classCode: number;
  /** 16 bits; 0 unless told. */
  readonly subsystemVendorId?: number;
  /** 16 bits; 0 unless told. */
  readonly subsystemId?: number;
}

/** One base address register (PCI 3.0, 6.2.5.1). */
export interface BarLayout {
  /** No other BAR may have it, nor be the upper half of a 64-bit one there. */
  readonly index: BarIndex;
  /** Bytes, a power of two: 16 to 2^31, to 2^51 for `mmio64`, 4 to 256 for `io`. */
  readonly size: number;
  /** Memory below 4 GiB, memory anywhere, or I/O ports. */
  readonly kind: "mmio32" | "mmio64" | "io";
  /** Reads have no side effects; memory BARs only. False unless told. */
  readonly prefetchable?: boolean;
  /**
   * A part that is plain memory, which guests may map: accesses to it do not reach the device, which
   * gets its bytes by {@linkcode PciDevice.share} and looks at them when it likes. Both numbers
   * multiples of 4096, inside the BAR; memory BARs only.
   */
  readonly shared?: { readonly offset: number; readonly length: number };
  /**
   * Registers for which only that they are written counts: such a write may reach
   * {@linkcode PciDevice.barWrite} late, once for several, and with any value unless `value` says which.
   */
  readonly doorbells?: readonly Doorbell[];
}

/** A register that a guest's write may signal without a message (vfio-user, ioeventfd). */
export interface Doorbell {
  /** Byte offset in the BAR, a multiple of `size`. */
  readonly offset: number;
  /** Bytes of the write. */
  readonly size: AccessSize;
  /** Only writes of this value count; writes of others reach the device as ever. Any unless told. */
  readonly value?: number;
}

/** The interrupts a function can raise, each form it can raise them in. */
export interface InterruptSpec {
  /** INTA to INTD as 1 to 4; 0 or absent when the function has no pin. */
  readonly pin?: 0 | 1 | 2 | 3 | 4;
  /** The MSI capability: 1 to 32 vectors, a power of two. 64-bit and unmasked unless told. */
  readonly msi?: {
    readonly vectors: number;
    readonly address64?: boolean;
    readonly perVectorMasking?: boolean;
  };
  /** The MSI-X capability: 1 to 2048 vectors, with its table and pending bits in `bar`. */
  readonly msix?: {
    readonly vectors: number;
    readonly bar: BarIndex;
    /** Byte offsets within the BAR, multiples of 8. The device never sees accesses to either. */
    readonly tableOffset: number;
    readonly pendingOffset: number;
  };
}

/** The form in which the guest has asked for interrupts. At most one is on. */
export type InterruptMode = "intx" | "msi" | "msix";

/** The interrupt half of the host. Never throws for a guest's doing. */
export interface Interrupts {
  /** Which of the two methods has an effect now. */
  readonly mode: InterruptMode;
  /**
   * Sends MSI or MSI-X message `vector`, or marks it pending while masked. Does
   * nothing in mode `intx`, with bus mastering off, or for a vector that was not granted.
   */
  raise(vector: number): void;
  /** Drives the INTx level. Kept in every mode; it reaches the pin in mode `intx` alone. */
  setIntx(asserted: boolean): void;
}

/** What a device may use of the machine it sits in. Given once, on {@linkcode PciDevice.attach}. */
export interface PciHost {
  /** The device's own DMA view. Accesses fail with `BUS_MASTER_OFF` while the guest has that bit clear. */
  readonly memory: Memory<Iova>;
  /** How to interrupt the guest. */
  readonly interrupts: Interrupts;
  /** Time, and work for later. Timers survive a reset: a device cancels its own. */
  readonly clock: Clock;
}

/** What {@linkcode PciDevice.save} makes: plain JSON, so that another process can take it. */
export type DeviceState =
  | null
  | boolean
  | number
  | string
  | readonly DeviceState[]
  | { readonly [name: string]: DeviceState };

/**
 * A PCI function's model: identity and BARs as data, behaviour as five methods; what is optional
 * beyond these serves migration and shared memory.
 * A method that throws is a bug of the model: the access reads all ones, and the
 * error is reported against the device. So is one that gives a promise, `async` as
 * the types let it be: nobody waits for it, and it may never go on. What it is
 * rejected with is reported as what a method throws, where there is no value that
 * it stood in for. All that a device hands to its host is held to the same: timers,
 * observers, `onRevoke`.
 */
export interface PciDevice {
  /** Kebab-case and fixed for the type: `edu`, `virtio-net`. */
  readonly type: string;
  /** What configuration space says of it. */
  readonly ident: PciIdent;
  /** In any order; none for a device without registers. */
  readonly bars: readonly BarLayout[];
  /** Absent when it never interrupts. */
  readonly interrupts?: InterruptSpec;
  /** Further capabilities, in list order, after those that {@linkcode interrupts} asks for. */
  readonly capabilities?: readonly CapabilitySpec[];
  /** Extended capabilities from offset 0x100 on, in list order. Needs a PCI Express capability. */
  readonly extendedCapabilities?: readonly ExtendedCapabilitySpec[];

  /** Called once, before anything else. Keep the host; do not use its memory yet. */
  attach(host: PciHost): void;

  /**
   * The unsigned value of `size` bytes at `offset`, which is aligned to `size` and
   * inside the BAR. An undefined register reads as all ones.
   */
  barRead(bar: BarIndex, offset: number, size: AccessSize): number;
  /** As {@linkcode barRead}. A write to an undefined register is ignored. */
  barWrite(bar: BarIndex, offset: number, size: AccessSize, value: number): void;

  /** 8-byte accesses, for devices that tell them from two of 4; otherwise they arrive as two, low half first. */
  barRead64?(bar: BarIndex, offset: number): bigint;
  /** See {@linkcode barRead64}. */
  barWrite64?(bar: BarIndex, offset: number, value: bigint): void;

  /** Back to the state after power-on, by bus, power or function-level reset. Pending work is dropped. */
  reset(): void;
  /** Plain JSON of the device's state, for the dashboard and failed scenarios. */
  inspect(): Record<string, unknown>;

  /** Called before {@linkcode attach} with the bytes of the BAR's `shared` part, the same ones for ever. */
  share?(bar: BarIndex, bytes: Uint8Array): void;

  /**
   * Stops time for the device: from now on it does nothing by itself. DMA in flight is ended, or left
   * off where it can go on; pins that it keeps are waited for. Registers are not accessed meanwhile.
   */
  pause?(): void;
  /** Goes on where {@linkcode pause} stopped it. */
  resume?(): void;
  /**
   * All that a device of the same kind needs to go on elsewhere, while paused; what the function
   * itself keeps is not part of it. A device with this one and {@linkcode restore} can migrate.
   */
  save?(): DeviceState;
  /**
   * Takes over a state while paused, and drives the INTx level that belongs to it. `state` comes from a
   * peer and may be anything. @returns null, or what is wrong with it, and then nothing has changed
   */
  restore?(state: unknown): string | null;
}

/**
 * A kind of device that can be plugged in by name, here or in another process:
 * the server imports `module` and takes the export with this `type`.
 */
export interface DeviceType<Options, Driver> {
  /** As {@linkcode PciDevice.type}. */
  readonly type: string;
  /** `import.meta.url` of the module that exports this object. */
  readonly module: string;
  /** Makes the model. `options` must be plain JSON: it may cross to another process. */
  create(options: Options): PciDevice;
  /** Makes the guest driver's half over `target`. */
  driver(target: PciTarget): Driver;
}

/** Checks a {@linkcode DeviceType}'s types and returns it. */
export function defineDevice<Options, Driver>(
  type: DeviceType<Options, Driver>,
): DeviceType<Options, Driver> {
  return type;
}
