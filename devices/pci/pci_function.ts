/**
 * One PCI function: a device with the configuration space, BAR decoding, interrupts, bus-master gate,
 * power states and resets around it. A bus, a vfio-user server or a test hosts it.
 * @module
 */

import type { Iova } from "../../core/address.ts";
import type { Memory } from "../../core/memory/memory.ts";
import type { Clock } from "../../core/observe/clock.ts";
import { type BarHit, Bars, barSpace, type BusSpace } from "./bars.ts";
import { BusMasterMemory } from "./bus_master_memory.ts";
import {
  type CapabilitySpec,
  msiCapability,
  msixCapability,
  placeCapabilities,
  type PlacedCapability,
  placeExtendedCapabilities,
} from "./capabilities.ts";
import { ConfigSpace } from "./config_space.ts";
import { DeviceError, type DeviceFailure, type DeviceOperation } from "./device_error.ts";
import { FunctionState, type PowerState } from "./function_state.ts";
import { type0Header } from "./header.ts";
import { FunctionInterrupts, type InterruptSink, type MessageRouter } from "./interrupts.ts";
import { MsixTable } from "./msix_table.ts";
import type {
  AccessSize,
  BarIndex,
  BarLayout,
  DeviceState,
  InterruptMode,
  PciDevice,
} from "./pci_device.ts";
import { RegisterMessages } from "./register_messages.ts";
import { isPromise } from "./returned_promise.ts";
import { allOnes, load, type RegisterBlock, store } from "./registers.ts";
import * as spec from "./spec.ts";

/** The machine around a function. */
export interface PciFunctionOptions {
  /** The function's DMA view, before its own bus-master gate. */
  readonly memory: Memory<Iova>;
  /** The device's time. */
  readonly clock: Clock;
  /** Where its interrupts go. */
  readonly sink: InterruptSink;
  /**
   * Told of each bug of the model; without it they are only counted and shown by
   * {@linkcode PciFunction.inspect}.
   */
  readonly onError?: (error: DeviceError) => void;
  /**
   * Decides about message interrupts instead of the MSI and MSI-X registers: for a host whose client
   * emulates those. It delivers messages by itself; `sink.message` is not called.
   */
  readonly messages?: MessageRouter;
  /**
   * Makes the memory of a BAR's `shared` part, as many bytes as that says: for a host whose client maps
   * it. Fresh zeroed bytes unless told.
   */
  readonly sharedMemory?: (bar: BarLayout) => Uint8Array;
}

const ALL_ONES_64 = 0xffff_ffff_ffff_ffffn;
/** Capabilities whose registers the function acts on, and so can have but once. */
const SINGLE: readonly number[] = [spec.PCI_CAP_ID_PM, spec.PCI_CAP_ID_EXP, spec.PCI_CAP_ID_AF];

/**
 * A hosted device. Nothing here throws for what a guest does, nor for what the device does wrong: a
 * device method that throws, or a register that reads as no integer, reads as all ones, and is
 * reported; so is a promise that a method gives, and its rejection.
 */
export class PciFunction {
  /** The model. */
  readonly device: PciDevice;
  /** Configuration space; its `read` and `write` are what software does. */
  readonly config: ConfigSpace;
  /** The capability list, in its order. */
  readonly capabilities: readonly PlacedCapability[];
  /** The extended capability list, in its order. */
  readonly extendedCapabilities: readonly PlacedCapability[];

  readonly #bars: Bars;
  readonly #state = new FunctionState();
  readonly #memory: BusMasterMemory;
  readonly #interrupts: FunctionInterrupts;
  readonly #table: MsixTable | undefined;
  /** Null when the host decides about messages. */
  readonly #messages: RegisterMessages | null;
  /** By BAR. */
  readonly #shared: (SharedPart | undefined)[] = [];
  readonly #pm: number | undefined;
  readonly #onError: ((error: DeviceError) => void) | undefined;
  #errorCount = 0;
  #lastError: DeviceError | undefined;

  /**
   * Lays configuration space out and attaches the device.
   * @throws {RangeError} when the device describes itself in a way that PCI does not allow
   * @throws {DeviceError} when its `attach` throws
   */
  constructor(device: PciDevice, options: PciFunctionOptions) {
    this.device = device;
    this.#onError = options.onError;
    const { msix } = device.interrupts ?? {};
    this.#table = msix === undefined ? undefined : new MsixTable(msix, device.bars);
    const list = capabilityList(device);
    const express = list.some(({ id }) => id === spec.PCI_CAP_ID_EXP);
    const extended = device.extendedCapabilities ?? [];
    if (extended.length > 0 && !express) {
      throw new RangeError(
        `Cannot give ${device.type} extended capabilities: it has no PCI Express capability`,
      );
    }
    this.config = new ConfigSpace(express ? spec.PCI_CFG_SPACE_EXP_SIZE : spec.PCI_CFG_SPACE_SIZE);
    this.config.place(0, type0Header(device));
    this.#bars = new Bars(device.bars, this.config);
    checkBarExtras(device, this.#table);
    this.capabilities = placeCapabilities(this.config, list.map((block) => this.#guarded(block)));
    this.extendedCapabilities = placeExtendedCapabilities(
      this.config,
      extended.map((block) => this.#guarded(block)),
    );
    this.#pm = this.#find(spec.PCI_CAP_ID_PM);
    this.#memory = new BusMasterMemory(
      options.memory,
      this.#state,
      (body) => this.#guard({ method: "revoke" }, body),
    );
    this.#messages = options.messages !== undefined ? null : new RegisterMessages(this.config, {
      msi: this.#find(spec.PCI_CAP_ID_MSI),
      msix: this.#find(spec.PCI_CAP_ID_MSIX),
      table: this.#table,
    }, options.sink);
    const router = options.messages ?? this.#messages!;
    this.#interrupts = new FunctionInterrupts(this.config, this.#state, router, options.sink);
    this.#watch();
    this.#state.update(this.config, this.#pm);
    for (const bar of device.bars) this.#share(bar, options);
    let attached: unknown;
    try {
      attached = device.attach({
        memory: this.#memory,
        interrupts: this.#interrupts,
        clock: this.#guardedClock(options.clock),
      });
    } catch (cause) {
      throw new DeviceError(device.type, { method: "attach" }, { threw: cause });
    }
    this.#done({ method: "attach" }, attached);
  }

  /** The BARs, by index. */
  get bars(): readonly BarLayout[] {
    return this.#bars.layouts;
  }

  /** The base address that software has given a BAR; null when there is none or it is out of reach. */
  barAddress(bar: number): number | null {
    return this.#bars.address(bar);
  }

  /** Whether the function asserts its INTx pin. */
  get intxAsserted(): boolean {
    return this.#interrupts.pin;
  }

  /** The form of interrupts that is on. */
  get interruptMode(): InterruptMode {
    return this.#interrupts.mode;
  }

  /** The state that software has put the function into. */
  get power(): PowerState {
    return this.#state.power;
  }

  /** How often the model threw, was rejected, or gave what a method does not give. */
  get errorCount(): number {
    return this.#errorCount;
  }

  /** Software reads `size` bytes of configuration space, at any offset. */
  configRead(offset: number, size: AccessSize): number {
    return this.config.read(offset, size);
  }

  /** Software writes the low `size` bytes of `value` to configuration space, at any offset. */
  configWrite(offset: number, size: AccessSize, value: number): void {
    this.config.write(offset, size, value);
  }

  /** As {@linkcode configRead}, for any length. */
  configReadBytes(offset: number, into: Uint8Array): void {
    this.config.readBytes(offset, into);
  }

  /** As {@linkcode configWrite}, for any length. */
  configWriteBytes(offset: number, from: Uint8Array): void {
    this.config.writeBytes(offset, from);
  }

  /** The BAR that answers to the whole range, or null. Which one may depend on the power state. */
  decode(space: BusSpace, address: number, length: number): BarHit | null {
    return this.#state.power === "D0" ? this.#bars.decode(space, address, length) : null;
  }

  /** Whether the BAR answers: the command register lets it, and the function is in D0. */
  decodes(bar: number): boolean {
    const layout = this.#bars.get(bar);
    if (layout === undefined) return false;
    return barSpace(layout) === "io" ? this.#state.io : this.#state.memory;
  }

  /**
   * Reads an aligned register. All ones when the access is not aligned to its size, not wholly inside
   * the BAR, or the BAR does not answer.
   */
  barRead(bar: number, offset: number, size: AccessSize): number {
    if (!this.#reaches(bar, offset, size)) return allOnes(size);
    if (this.#table?.covers(bar, offset, size)) {
      return size === 4 ? this.#table.read(offset) : allOnes(size);
    }
    const shared = this.#shared[bar];
    if (shared?.covers(offset)) return load(shared.bytes, offset - shared.offset, size);
    let value: number;
    try {
      value = this.device.barRead(bar as BarIndex, offset, size);
    } catch (cause) {
      this.#report({ method: "barRead", bar, offset, size }, cause);
      return allOnes(size);
    }
    // A model need not be TypeScript: what is no number must not pass for a register that reads 0.
    if (Number.isInteger(value)) return (value & allOnes(size)) >>> 0;
    this.#returned({ method: "barRead", bar, offset, size }, value);
    return allOnes(size);
  }

  /** Writes an aligned register. Ignored where {@linkcode barRead} gives all ones. */
  barWrite(bar: number, offset: number, size: AccessSize, value: number): void {
    if (!this.#reaches(bar, offset, size)) return;
    const bits = (value & allOnes(size)) >>> 0;
    if (this.#table?.covers(bar, offset, size)) {
      if (size === 4) this.#tableWrite(this.#table, offset, [bits]);
      return;
    }
    const shared = this.#shared[bar];
    if (shared?.covers(offset)) {
      store(shared.bytes, offset - shared.offset, size, bits);
      return;
    }
    let done: unknown;
    try {
      done = this.device.barWrite(bar as BarIndex, offset, size, bits);
    } catch (cause) {
      this.#report({ method: "barWrite", bar, offset, size, value: bits }, cause);
    }
    if (done !== undefined) {
      this.#done({ method: "barWrite", bar, offset, size, value: bits }, done);
    }
  }

  /** As {@linkcode barRead}, for 8 bytes: two reads of 4, low half first, unless the device tells them apart. */
  barRead64(bar: number, offset: number): bigint {
    if (!this.#reaches(bar, offset, 8)) return ALL_ONES_64;
    if (
      this.device.barRead64 === undefined || this.#table?.covers(bar, offset, 8) ||
      this.#shared[bar]?.covers(offset)
    ) {
      const low = this.barRead(bar, offset, 4);
      return BigInt(this.barRead(bar, offset + 4, 4)) << 32n | BigInt(low);
    }
    let value: bigint;
    try {
      value = this.device.barRead64(bar as BarIndex, offset);
    } catch (cause) {
      this.#report({ method: "barRead", bar, offset, size: 8 }, cause);
      return ALL_ONES_64;
    }
    if (typeof value === "bigint") return BigInt.asUintN(64, value);
    this.#returned({ method: "barRead", bar, offset, size: 8 }, value);
    return ALL_ONES_64;
  }

  /** As {@linkcode barWrite}, for 8 bytes. */
  barWrite64(bar: number, offset: number, value: bigint): void {
    if (!this.#reaches(bar, offset, 8)) return;
    const bits = BigInt.asUintN(64, value);
    const low = Number(bits & 0xffff_ffffn), high = Number(bits >> 32n);
    if (this.#table?.covers(bar, offset, 8)) {
      this.#tableWrite(this.#table, offset, [low, high]);
      return;
    }
    if (this.device.barWrite64 === undefined || this.#shared[bar]?.covers(offset)) {
      this.barWrite(bar, offset, 4, low);
      this.barWrite(bar, offset + 4, 4, high);
      return;
    }
    let done: unknown;
    try {
      done = this.device.barWrite64(bar as BarIndex, offset, bits);
    } catch (cause) {
      this.#report({ method: "barWrite", bar, offset, size: 8, value: bits }, cause);
    }
    if (done !== undefined) {
      this.#done({ method: "barWrite", bar, offset, size: 8, value: bits }, done);
    }
  }

  /** As {@linkcode barRead}, for any length: all ones when it is not 1, 2, 4 or 8. */
  barReadBytes(bar: number, offset: number, into: Uint8Array): void {
    switch (into.length) {
      case 1:
      case 2:
      case 4:
        store(into, 0, into.length, this.barRead(bar, offset, into.length));
        return;
      case 8: {
        const value = this.barRead64(bar, offset);
        store(into.subarray(0, 4), 0, 4, Number(value & 0xffff_ffffn));
        store(into.subarray(4, 8), 0, 4, Number(value >> 32n));
        return;
      }
      default:
        into.fill(0xff);
    }
  }

  /** As {@linkcode barWrite}, for any length: ignored when it is not 1, 2, 4 or 8. */
  barWriteBytes(bar: number, offset: number, from: Uint8Array): void {
    switch (from.length) {
      case 1:
      case 2:
      case 4:
        this.barWrite(bar, offset, from.length, load(from, 0, from.length));
        return;
      case 8:
        this.barWrite64(bar, offset, BigInt(load(from, 4, 4)) << 32n | BigInt(load(from, 0, 4)));
        return;
    }
  }

  /** To be called by the owner of a {@linkcode MessageRouter} when its mode or masks have changed. */
  refreshInterrupts(): void {
    this.#interrupts.refresh();
  }

  /** A bus reset: configuration space and device as after power-on, the pin deasserted. */
  reset(): void {
    this.config.powerOn();
    this.#afterReset();
  }

  /** Whether the model can be saved and restored. */
  get migratable(): boolean {
    return this.device.save !== undefined && this.device.restore !== undefined;
  }

  /** Stops time for the model, as {@linkcode PciDevice.pause}. Pins that it keeps are the caller's to wait for. */
  pause(): void {
    this.#guard({ method: "pause" }, () => this.device.pause?.());
  }

  /** Lets it go on. */
  resume(): void {
    this.#guard({ method: "resume" }, () => this.device.resume?.());
  }

  /** What {@linkcode restore} takes over elsewhere; null when the model cannot be saved, or failed. While paused. */
  save(): FunctionSnapshot | null {
    let state: DeviceState;
    try {
      if (this.device.save === undefined) return null;
      state = this.device.save();
    } catch (cause) {
      this.#report({ method: "save" }, cause);
      return null;
    }
    if (isPromise(state, () => {})) {
      this.#returned({ method: "save" }, state);
      return null;
    }
    return {
      config: this.config.snapshot(),
      msix: this.#table?.snapshot() ?? new Uint8Array(0),
      state,
    };
  }

  /**
   * Takes over a snapshot of the same kind of function, while paused. Its parts come from a peer, and
   * may be anything. @returns null, or what is wrong, and then nothing has changed
   */
  restore(snapshot: FunctionSnapshot): string | null {
    const { config, msix, state } = snapshot;
    if (config.length !== this.config.length) {
      return `configuration space has ${config.length} bytes instead of ${this.config.length}`;
    }
    for (const [at, size] of IDENTITY) {
      if (load(config, at, size) !== this.config.get(at, size)) {
        return `it is another device's: configuration offset 0x${at.toString(16)} differs`;
      }
    }
    const tableBefore = this.#table?.snapshot() ?? new Uint8Array(0);
    if (msix.length !== tableBefore.length) {
      return `the MSI-X table has ${msix.length} bytes instead of ${tableBefore.length}`;
    }
    if (this.#table !== undefined && !this.#table.restore(msix)) {
      return "the MSI-X table has pending bits of vectors that are not there";
    }
    const configBefore = this.config.snapshot();
    // First what the device's own interrupts rest on: it drives its level as it restores.
    this.config.restore(config);
    this.#state.update(this.config, this.#pm);
    let wrong: string | null;
    try {
      wrong = this.device.restore === undefined
        ? "the model cannot be restored"
        : this.device.restore(state);
    } catch (cause) {
      this.#report({ method: "restore" }, cause);
      wrong = "the model threw";
    }
    if (wrong !== null && typeof wrong !== "string") {
      this.#returned({ method: "restore" }, wrong);
      wrong = "the model does not say what is wrong";
    }
    if (wrong !== null) {
      this.config.restore(configBefore);
      this.#table?.restore(tableBefore);
    } else {
      this.#messages?.restore(config);
    }
    this.#changed();
    return wrong;
  }

  /** Says in the header that the device has further functions. Survives resets. */
  markMultifunction(): void {
    const type = this.config.get(spec.PCI_HEADER_TYPE, 1);
    this.config.setInitial(spec.PCI_HEADER_TYPE, 1, type | spec.PCI_HEADER_TYPE_MFD);
  }

  /** Plain JSON of the function's state, with that of the device in it. */
  inspect(): Record<string, unknown> {
    const state = this.#state;
    return {
      type: this.device.type,
      power: state.power,
      memoryEnable: state.memory,
      ioEnable: state.io,
      busMaster: state.busMaster,
      bars: this.bars.map((bar) => ({ ...bar, address: this.barAddress(bar.index) })),
      interrupts: this.#interrupts.inspect(),
      device: this.inspectDevice(),
      errors: this.#errorCount,
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError.message }),
    };
  }

  /** What the model says of itself; null when it throws or gives no object, which is reported as its error. */
  inspectDevice(): Record<string, unknown> | null {
    let state: Record<string, unknown>;
    try {
      state = this.device.inspect();
    } catch (cause) {
      this.#report({ method: "inspect" }, cause);
      return null;
    }
    if (typeof state === "object" && state !== null && !isPromise(state, () => {})) return state;
    this.#returned({ method: "inspect" }, state);
    return null;
  }

  #share(bar: BarLayout, options: PciFunctionOptions): void {
    if (bar.shared === undefined) return;
    const { offset, length } = bar.shared;
    const bytes = options.sharedMemory?.(bar) ?? new Uint8Array(length);
    this.#shared[bar.index] = new SharedPart(offset, length, bytes);
    let shared: unknown;
    try {
      shared = this.device.share?.(bar.index, bytes);
    } catch (cause) {
      throw new DeviceError(this.device.type, { method: "share" }, { threw: cause });
    }
    this.#done({ method: "share" }, shared);
  }

  #reaches(bar: number, offset: number, size: number): boolean {
    const layout = this.#bars.get(bar);
    return layout !== undefined && this.decodes(bar) && offset >= 0 && offset % size === 0 &&
      offset + size <= layout.size;
  }

  /** One access, so the masks count only once all of it is stored. */
  #tableWrite(table: MsixTable, offset: number, dwords: readonly number[]): void {
    dwords.forEach((dword, index) => table.write(offset + 4 * index, dword));
    this.#interrupts.refresh();
  }

  #find(id: number): number | undefined {
    return this.capabilities.find((placed) => placed.id === id)?.offset;
  }

  /** Watches the registers that the function itself acts on. */
  #watch(): void {
    const changed = { written: () => this.#changed() };
    this.config.observe(spec.PCI_COMMAND, 2, changed);
    for (const { id, offset, length } of this.capabilities) {
      switch (id) {
        case spec.PCI_CAP_ID_MSI:
        case spec.PCI_CAP_ID_MSIX:
          this.config.observe(offset, length, changed);
          break;
        case spec.PCI_CAP_ID_PM:
          this.config.observe(offset, length, { written: () => this.#powerChanged() });
          break;
        case spec.PCI_CAP_ID_EXP:
          if ((this.config.get(offset + spec.PCI_EXP_DEVCAP, 4) & spec.PCI_EXP_DEVCAP_FLR) === 0) {
            break;
          }
          this.config.observe(offset, length, {
            written: (_, write) => {
              if ((write.bits(spec.PCI_EXP_DEVCTL, 2) & spec.PCI_EXP_DEVCTL_BCR_FLR) !== 0) {
                this.#functionReset();
              }
            },
          });
          break;
        case spec.PCI_CAP_ID_AF:
          if ((this.config.get(offset + spec.PCI_AF_CAP, 1) & spec.PCI_AF_CAP_FLR) === 0) break;
          this.config.observe(offset, length, {
            written: (_, write) => {
              if ((write.bits(spec.PCI_AF_CTRL, 1) & spec.PCI_AF_CTRL_FLR) !== 0) {
                this.#functionReset();
              }
            },
          });
          break;
      }
    }
  }

  #changed(): void {
    const wasMaster = this.#state.busMaster;
    this.#state.update(this.config, this.#pm);
    if (wasMaster && !this.#state.busMaster) this.#memory.revokePins();
    this.#interrupts.refresh();
  }

  #powerChanged(): void {
    const pm = this.#pm;
    if (pm === undefined) return;
    const control = this.config.get(pm + spec.PCI_PM_CTRL, 2);
    const wakes = this.#state.power === "D3hot" && (control & spec.PCI_PM_CTRL_STATE_MASK) === 0;
    // Without No_Soft_Reset the function comes back uninitialized (PCI Power Management 1.2, 5.4.1),
    // and nothing that was pending may leave on the way.
    if (wakes && (control & spec.PCI_PM_CTRL_NO_SOFT_RESET) === 0) this.#functionReset();
    else this.#changed();
  }

  #functionReset(): void {
    this.config.functionReset();
    this.#afterReset();
  }

  #afterReset(): void {
    this.#state.update(this.config, this.#pm);
    // The device first, so that it drops its work by itself; a transfer that ends only because it
    // is revoked must not interrupt on the way.
    this.#guard({ method: "reset" }, () => this.device.reset());
    this.#memory.revokePins();
    this.#interrupts.reset();
  }

  #guard(operation: DeviceOperation, body: () => unknown): void {
    let done: unknown;
    try {
      done = body();
    } catch (cause) {
      this.#report(operation, cause);
    }
    this.#done(operation, done);
  }

  /**
   * `value` is what a method gave that has nothing to say. When it is a promise, nobody waits for it,
   * and it may never go on: that is reported now, and its rejection as what the method threw.
   */
  #done(operation: DeviceOperation, value: unknown): void {
    if (isPromise(value, (cause) => this.#report(operation, cause))) {
      this.#returned(operation, value);
    }
  }

  /** The model gave what the operation does not give. */
  #returned(operation: DeviceOperation, value: unknown): void {
    this.#fail(operation, { returned: value });
  }

  #report(operation: DeviceOperation, cause: unknown): void {
    this.#fail(operation, { threw: cause });
  }

  #fail(operation: DeviceOperation, failure: DeviceFailure): void {
    this.#errorCount++;
    this.#lastError = new DeviceError(this.device.type, operation, failure);
    this.#onError?.(this.#lastError);
  }

  /** Deferred work runs in the clock's loop, where what it throws would hit everybody. */
  #guardedClock(clock: Clock): Clock {
    return {
      get nowNs() {
        return clock.nowNs;
      },
      defer: (delayMs, task) => clock.defer(delayMs, () => this.#guard({ method: "timer" }, task)),
    };
  }

  /** The same block with its observer kept from throwing into a configuration access. */
  #guarded<Block extends RegisterBlock>(block: Block): Block {
    const { observer } = block;
    if (observer === undefined) return block;
    return {
      ...block,
      observer: {
        placed: (registers) => {
          const done: unknown = observer.placed?.(registers);
          this.#done({ method: "config", offset: 0, size: block.length }, done);
        },
        reading: (registers, at, length) => {
          this.#guard(
            { method: "config", offset: at, size: length },
            () => observer.reading?.(registers, at, length),
          );
        },
        written: (registers, write) => {
          this.#guard(
            { method: "config", offset: 0, size: block.length },
            () => observer.written?.(registers, write),
          );
        },
      },
    };
  }
}

/** A function as it travels. */
export interface FunctionSnapshot {
  /** Configuration space, all of it. */
  readonly config: Uint8Array;
  /** The MSI-X table and its pending bits; empty without MSI-X. */
  readonly msix: Uint8Array;
  /** The device's own. */
  readonly state: unknown;
}

/** Registers that say what a device is: offset and bytes. */
const IDENTITY: readonly (readonly [number, 1 | 2 | 4])[] = [
  [spec.PCI_VENDOR_ID, 4],
  [spec.PCI_REVISION_ID, 4],
  [spec.PCI_SUBSYSTEM_VENDOR_ID, 4],
];

/** A part of a BAR that is plain memory. */
class SharedPart {
  readonly #end: number;

  constructor(readonly offset: number, length: number, readonly bytes: Uint8Array) {
    this.#end = offset + length;
  }

  /** Aligned accesses are inside or outside as a whole. */
  covers(offset: number): boolean {
    return offset >= this.offset && offset < this.#end;
  }
}

/** @throws {RangeError} for a shared part or a doorbell that is not where it may be */
function checkBarExtras(device: PciDevice, table: MsixTable | undefined): void {
  for (const { index, kind, size, shared, doorbells = [] } of device.bars) {
    if (shared !== undefined) {
      const { offset, length } = shared;
      const inside = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 &&
        length > 0 && offset % 4096 === 0 && length % 4096 === 0 && offset + length <= size;
      if (kind === "io" || !inside) {
        throw new RangeError(
          `Cannot share ${length} bytes at ${offset} of BAR ${index}: whole pages of a memory BAR can be`,
        );
      }
      if (table?.covers(index, offset, length)) {
        throw new RangeError(`Cannot share the MSI-X table or its pending bits in BAR ${index}`);
      }
    }
    for (const { offset, size: bytes } of doorbells) {
      if (!(offset >= 0 && offset % bytes === 0 && offset + bytes <= size)) {
        throw new RangeError(
          `Cannot put a doorbell of ${bytes} bytes at ${offset} of BAR ${index}, which has ${size}`,
        );
      }
    }
  }
}

/** MSI, MSI-X, and then what the device brings, which must not get in the function's way. */
function capabilityList(device: PciDevice): readonly CapabilitySpec[] {
  const { msi, msix } = device.interrupts ?? {};
  const own = device.capabilities ?? [];
  for (const { id } of own) {
    if (id === spec.PCI_CAP_ID_MSI || id === spec.PCI_CAP_ID_MSIX) {
      throw new RangeError(
        `Cannot give ${device.type} an MSI or MSI-X capability in its list: ask for it by \`interrupts\``,
      );
    }
    if (SINGLE.includes(id) && own.filter((other) => other.id === id).length > 1) {
      throw new RangeError(`Cannot give ${device.type} two capabilities 0x${id.toString(16)}`);
    }
  }
  return [
    ...(msi === undefined ? [] : [msiCapability(msi)]),
    ...(msix === undefined ? [] : [msixCapability(msix)]),
    ...own,
  ];
}
