/**
 * What edu's tests run on: the model in a host, driven as a guest drives it.
 * {@linkcode fakeBench} is a host of a few lines that does what the contract of
 * `PciHost` says and no more, so that what fails on it is the model's doing;
 * {@linkcode functionBench} is the real thing, with its configuration space.
 * @module
 */

import { Fault, type Iova, MAX_ADDRESS, type Status } from "../../core/address.ts";
import type { Memory, Pin } from "../../core/memory/memory.ts";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";
import { EduDriver } from "./driver.ts";
import { Edu, type EduOptions } from "./edu.ts";
import type { BarIndex, InterruptMode, Interrupts, PciDevice, PciHost } from "../pci/pci_device.ts";
import type { PciTarget } from "../pci/pci_driver.ts";
import { PciFunction } from "../pci/pci_function.ts";

/** One access that reached {@linkcode SparseMemory}. */
export interface MemoryAccess {
  readonly kind: "read" | "write";
  readonly address: number;
  readonly length: number;
}

/** Bytes at every address, zero until stored, and ranges that refuse access. */
export class SparseMemory implements Memory<Iova> {
  readonly #bytes = new Map<number, number>();
  #denied: { start: number; length: number; fault: Fault }[] = [];
  /** Not 0: what every access fails with. */
  refusal: Status = 0;
  transferred = 0;
  /** Every read and write of at least one byte that came this far, denied ones too. */
  readonly accesses: MemoryAccess[] = [];

  /** Stores bytes without asking for permission. */
  poke(address: number, bytes: Iterable<number>): void {
    let at = address;
    for (const byte of bytes) this.#bytes.set(at++, byte);
  }

  /** Loads bytes without asking for permission. */
  peek(address: number, length: number): Uint8Array {
    return Uint8Array.from({ length }, (_, i) => this.peekByte(address + i));
  }

  peekByte(address: number): number {
    return this.#bytes.get(address) ?? 0;
  }

  /** From now on accesses to the range fail with `fault`. */
  deny(start: number, length: number, fault: Fault): void {
    this.#denied.push({ start, length, fault });
  }

  read(address: Iova, into: Uint8Array): Status {
    return this.#move("read", address, into.length, (at, i) => {
      into[i] = this.#bytes.get(at) ?? 0;
    });
  }

  write(address: Iova, from: Uint8Array): Status {
    return this.#move("write", address, from.length, (at, i) => {
      this.#bytes.set(at, from[i]!);
    });
  }

  #move(
    kind: MemoryAccess["kind"],
    address: number,
    length: number,
    byte: (at: number, i: number) => void,
  ): Status {
    if (!Number.isSafeInteger(address) || address < 0 || address > MAX_ADDRESS) {
      throw new RangeError(`Cannot ${kind} at ${address}: not an Iova, the model must not pass it`);
    }
    this.transferred = 0;
    if (this.refusal !== 0) return this.refusal;
    if (length > 0) this.accesses.push({ kind, address, length });
    for (; this.transferred < length; this.transferred++) {
      const at = address + this.transferred;
      const fault = at > MAX_ADDRESS ? Fault.UNMAPPED : this.#faultAt(at);
      if (fault !== 0) return fault;
      byte(at, this.transferred);
    }
    return 0;
  }

  #faultAt(at: number): Status {
    return this.#denied.find(({ start, length }) => at >= start && at < start + length)?.fault ?? 0;
  }

  readU8(): number {
    return unused("readU8");
  }
  readU16(): number {
    return unused("readU16");
  }
  readU32(): number {
    return unused("readU32");
  }
  readU64(): number {
    return unused("readU64");
  }
  writeU8(): Status {
    return unused("writeU8");
  }
  writeU16(): Status {
    return unused("writeU16");
  }
  writeU32(): Status {
    return unused("writeU32");
  }
  writeU64(): Status {
    return unused("writeU64");
  }
  atomicLoad(): number {
    return unused("atomicLoad");
  }
  atomicStore(): Status {
    return unused("atomicStore");
  }
  check(): Status {
    return unused("check");
  }
  slices(): Uint8Array[] {
    return unused("slices");
  }
  pin(): Pin {
    return unused("pin");
  }
}

function unused(method: string): never {
  throw new Error(`Cannot ${method}: edu moves byte ranges, by read() and write() alone`);
}

/** Records what the model does with its interrupts. */
export class RecordingInterrupts implements Interrupts {
  mode: InterruptMode = "intx";
  /** Level as the model drives it, whatever the mode. */
  level = false;
  messages = 0;
  /** Runs within each message, as a guest's handler may. */
  onMessage: () => void = () => {};

  raise(vector: number): void {
    if (vector !== 0) throw new RangeError(`Cannot raise vector ${vector}: edu has vector 0 alone`);
    if (this.mode !== "msi") return;
    this.messages++;
    this.onMessage();
  }

  setIntx(asserted: boolean): void {
    this.level = asserted;
  }
}

/** A host that records, with a clock that stands still. */
export interface FakeHost extends PciHost {
  readonly memory: SparseMemory;
  readonly interrupts: RecordingInterrupts;
  readonly clock: VirtualClock;
}

export function fakeHost(): FakeHost {
  return {
    memory: new SparseMemory(),
    interrupts: new RecordingInterrupts(),
    clock: new VirtualClock(),
  };
}

const MSI_CAPABILITY = 0x40;
const COMMAND_BUS_MASTER = 0x0004;

/** A function in front of a fake host: a header and an MSI capability as plain bytes. */
export class FakeTarget implements PciTarget {
  readonly endpoint = 0x0008;
  readonly #config = new DataView(new ArrayBuffer(256));
  readonly #device: PciDevice;
  readonly #host: FakeHost;

  constructor(device: PciDevice, host: FakeHost) {
    this.#device = device;
    this.#host = host;
    this.#powerOn();
  }

  #powerOn(): void {
    const { ident, interrupts } = this.#device;
    const config = this.#config;
    for (let i = 0; i < 256; i++) config.setUint8(i, 0);
    config.setUint16(0x00, ident.vendorId, true);
    config.setUint16(0x02, ident.deviceId, true);
    config.setUint16(0x04, 0x0006, true);
    config.setUint16(0x06, 0x0010, true);
    config.setUint32(0x08, (ident.classCode << 8 | ident.revisionId) >>> 0, true);
    config.setUint16(0x2c, ident.subsystemVendorId ?? 0, true);
    config.setUint16(0x2e, ident.subsystemId ?? 0, true);
    config.setUint8(0x34, MSI_CAPABILITY);
    config.setUint8(0x3d, interrupts?.pin ?? 0);
    config.setUint16(MSI_CAPABILITY, 0x0005, true);
    const msi = interrupts?.msi;
    const control = Math.log2(msi?.vectors ?? 1) << 1 | (msi?.address64 === false ? 0 : 0x80) |
      (msi?.perVectorMasking === true ? 0x100 : 0);
    config.setUint16(MSI_CAPABILITY + 2, control, true);
    this.#applyConfig();
  }

  #applyConfig(): void {
    const control = this.#config.getUint16(MSI_CAPABILITY + 2, true);
    this.#host.interrupts.mode = (control & 1) !== 0 ? "msi" : "intx";
    const busMaster = (this.#config.getUint16(0x04, true) & COMMAND_BUS_MASTER) !== 0;
    this.#host.memory.refusal = busMaster ? 0 : Fault.BUS_MASTER_OFF;
  }

  configRead(offset: number, size: 1 | 2 | 4): Promise<number> {
    const config = this.#config;
    const value = size === 1
      ? config.getUint8(offset)
      : size === 2
      ? config.getUint16(offset, true)
      : config.getUint32(offset, true);
    return Promise.resolve(value);
  }

  configWrite(offset: number, size: 1 | 2 | 4, value: number): Promise<void> {
    if (size === 1) this.#config.setUint8(offset, value);
    else if (size === 2) this.#config.setUint16(offset, value, true);
    else this.#config.setUint32(offset, value, true);
    this.#applyConfig();
    return Promise.resolve();
  }

  barRead(bar: BarIndex, offset: number, size: 1 | 2 | 4): Promise<number> {
    return Promise.resolve(this.#device.barRead(bar, offset, size));
  }

  barWrite(bar: BarIndex, offset: number, size: 1 | 2 | 4, value: number): Promise<void> {
    this.#device.barWrite(bar, offset, size, value);
    return Promise.resolve();
  }

  barRead64(bar: BarIndex, offset: number): Promise<bigint> {
    return Promise.resolve(this.#device.barRead64!(bar, offset));
  }

  barWrite64(bar: BarIndex, offset: number, value: bigint): Promise<void> {
    this.#device.barWrite64!(bar, offset, value);
    return Promise.resolve();
  }

  takeInterrupts(vector: number): Promise<number> {
    if (vector !== 0) return Promise.resolve(0);
    const { messages } = this.#host.interrupts;
    this.#host.interrupts.messages = 0;
    return Promise.resolve(messages);
  }

  intxAsserted(): Promise<boolean> {
    const { mode, level } = this.#host.interrupts;
    return Promise.resolve(mode === "intx" && level);
  }

  reset(): Promise<void> {
    this.#device.reset();
    this.#powerOn();
    return Promise.resolve();
  }

  inspect(): Promise<Record<string, unknown>> {
    return Promise.resolve(this.#device.inspect());
  }
}

/** What leaves a {@linkcode PciFunction}, counted. */
class CountingSink {
  messages = 0;
  onMessage: () => void = () => {};

  message(): void {
    this.messages++;
    this.onMessage();
  }

  intx(): void {}
}

/** A real function as its driver reaches it in the same process. */
class FunctionTarget implements PciTarget {
  readonly endpoint = 0x0010;
  readonly #function: PciFunction;
  readonly #sink: CountingSink;

  constructor(hosted: PciFunction, sink: CountingSink) {
    this.#function = hosted;
    this.#sink = sink;
  }

  configRead(offset: number, size: 1 | 2 | 4): Promise<number> {
    return Promise.resolve(this.#function.configRead(offset, size));
  }

  configWrite(offset: number, size: 1 | 2 | 4, value: number): Promise<void> {
    return Promise.resolve(this.#function.configWrite(offset, size, value));
  }

  barRead(bar: BarIndex, offset: number, size: 1 | 2 | 4): Promise<number> {
    return Promise.resolve(this.#function.barRead(bar, offset, size));
  }

  barWrite(bar: BarIndex, offset: number, size: 1 | 2 | 4, value: number): Promise<void> {
    return Promise.resolve(this.#function.barWrite(bar, offset, size, value));
  }

  barRead64(bar: BarIndex, offset: number): Promise<bigint> {
    return Promise.resolve(this.#function.barRead64(bar, offset));
  }

  barWrite64(bar: BarIndex, offset: number, value: bigint): Promise<void> {
    return Promise.resolve(this.#function.barWrite64(bar, offset, value));
  }

  takeInterrupts(vector: number): Promise<number> {
    if (vector !== 0) return Promise.resolve(0);
    const { messages } = this.#sink;
    this.#sink.messages = 0;
    return Promise.resolve(messages);
  }

  intxAsserted(): Promise<boolean> {
    return Promise.resolve(this.#function.intxAsserted);
  }

  reset(): Promise<void> {
    return Promise.resolve(this.#function.reset());
  }

  inspect(): Promise<Record<string, unknown>> {
    return Promise.resolve(this.#function.device.inspect());
  }
}

/** Edu in a host, and what a test may touch of it. */
export interface EduBench {
  readonly device: Edu;
  readonly target: PciTarget;
  readonly driver: EduDriver;
  /** What the bus shows the device while it may master it. */
  readonly memory: SparseMemory;
  readonly clock: VirtualClock;
  /** Has `handler` run within each MSI message, as a guest's may. */
  onMessage(handler: () => void): void;
  /** What the model threw into its host. A fake host keeps nothing back: it throws on. */
  readonly thrown: readonly Error[];
}

/** Edu in a {@linkcode FakeHost}, bus mastering on. */
export function fakeBench(options: EduOptions = {}): EduBench {
  const host = fakeHost();
  const device = new Edu(options);
  device.attach(host);
  const target = new FakeTarget(device, host);
  const { memory, clock, interrupts } = host;
  const onMessage = (handler: () => void) => void (interrupts.onMessage = handler);
  return { device, target, driver: new EduDriver(target), memory, clock, onMessage, thrown: [] };
}

/** Edu in a {@linkcode PciFunction}, its BAR placed, decoding and bus mastering on. */
export function functionBench(options: EduOptions = {}): EduBench {
  const memory = new SparseMemory(), clock = new VirtualClock(), sink = new CountingSink();
  const thrown: Error[] = [];
  const device = new Edu(options);
  const onError = (error: Error) => void thrown.push(error);
  const hosted = new PciFunction(device, { memory, clock, sink, onError });
  hosted.configWrite(0x10, 4, 0xe000_0000);
  hosted.configWrite(0x04, 2, 0x0006);
  const target = new FunctionTarget(hosted, sink);
  const onMessage = (handler: () => void) => void (sink.onMessage = handler);
  return { device, target, driver: new EduDriver(target), memory, clock, onMessage, thrown };
}
