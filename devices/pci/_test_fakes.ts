/**
 * The machine around a PCI function, as small as it can be: memory of 64 KiB at IOVA 0, a clock, a
 * sink that remembers, and a device that is all RAM.
 */

import { Fault, type Iova, type Status } from "../../core/address.ts";
import type { Memory, Pin, ScalarSize } from "../../core/memory/memory.ts";
import type { Clock, Timer } from "../../core/observe/clock.ts";
import type { CapabilitySpec, ExtendedCapabilitySpec } from "./capabilities.ts";
import type { DeviceError } from "./device_error.ts";
import type { InterruptSink, MessageRouter } from "./interrupts.ts";
import type { BarLayout, InterruptSpec, PciDevice, PciHost, PciIdent } from "./pci_device.ts";
import { PciFunction } from "./pci_function.ts";

/** 64 KiB at IOVA 0. */
export class FakeMemory implements Memory<Iova> {
  readonly bytes = new Uint8Array(0x1_0000);
  readonly #view = new DataView(this.bytes.buffer);
  transferred = 0;

  read(address: Iova, into: Uint8Array): Status {
    this.transferred = Math.max(0, Math.min(into.length, this.bytes.length - address));
    into.set(this.bytes.subarray(address, address + this.transferred));
    return this.transferred === into.length ? 0 : Fault.UNMAPPED;
  }

  write(address: Iova, from: Uint8Array): Status {
    this.transferred = Math.max(0, Math.min(from.length, this.bytes.length - address));
    this.bytes.set(from.subarray(0, this.transferred), address);
    return this.transferred === from.length ? 0 : Fault.UNMAPPED;
  }

  readU8 = (address: Iova): number => this.#view.getUint8(address);
  readU16 = (address: Iova): number => this.#view.getUint16(address, true);
  readU32 = (address: Iova): number => this.#view.getUint32(address, true);
  readU64 = (address: Iova): number => Number(this.#view.getBigUint64(address, true));
  writeU8 = (address: Iova, value: number): Status => this.#stored(1, address, value);
  writeU16 = (address: Iova, value: number): Status => this.#stored(2, address, value);
  writeU32 = (address: Iova, value: number): Status => this.#stored(4, address, value);
  writeU64 = (address: Iova, value: number): Status => this.#stored(8, address, value);

  atomicLoad(address: Iova, size: ScalarSize): number {
    return { 1: this.readU8, 2: this.readU16, 4: this.readU32, 8: this.readU64 }[size](address);
  }

  atomicStore(address: Iova, size: ScalarSize, value: number): Status {
    return this.#stored(size, address, value);
  }

  check(address: Iova, length: number): Status {
    return length === 0 || address + length <= this.bytes.length ? 0 : Fault.UNMAPPED;
  }

  slices(address: Iova, length: number): readonly Uint8Array[] | Fault {
    if (this.check(address, length) !== 0) return Fault.UNMAPPED;
    return [this.bytes.subarray(address, address + length)];
  }

  pin(address: Iova, length: number): Pin | Fault {
    const slices = this.slices(address, length);
    if (typeof slices === "number") return slices;
    return {
      slices,
      length,
      revoked: false,
      onRevoke: null,
      wrote: () => 0,
      release: () => {},
    };
  }

  #stored(size: number, address: number, value: number): Status {
    new Uint8Array(this.bytes.buffer, address, size).fill(0);
    if (size === 8) this.#view.setBigUint64(address, BigInt(value), true);
    else for (let i = 0; i < size; i++) this.#view.setUint8(address + i, value >>> 8 * i);
    return 0;
  }
}

/** A clock that runs its work when told to. */
export class FakeClock implements Clock {
  nowNs = 0;
  readonly #tasks = new Set<() => void>();

  defer(_delayMs: number, task: () => void): Timer {
    this.#tasks.add(task);
    return { cancel: () => this.#tasks.delete(task) };
  }

  runAll(): void {
    for (const task of [...this.#tasks]) {
      this.#tasks.delete(task);
      task();
    }
  }
}

/** Remembers what came. */
export class FakeSink implements InterruptSink {
  /** `[address, data, vector]` of each message. */
  messages: [number, number, number][] = [];
  /** Every change of the pin. */
  levels: boolean[] = [];

  message(address: number, data: number, vector: number): void {
    this.messages.push([address, data, vector]);
  }

  intx(asserted: boolean): void {
    this.levels.push(asserted);
  }

  /** The vectors that came since the last call. */
  take(): number[] {
    const vectors = this.messages.map(([, , vector]) => vector);
    this.messages = [];
    return vectors;
  }
}

/** What a test wants of its device. */
export interface FakeDeviceParts {
  readonly type?: string;
  readonly ident?: Partial<PciIdent>;
  readonly bars?: readonly BarLayout[];
  readonly interrupts?: InterruptSpec;
  readonly capabilities?: readonly CapabilitySpec[];
  readonly extendedCapabilities?: readonly ExtendedCapabilitySpec[];
}

/** A device that logs its accesses and reads back what was stored at the same offset. */
export class FakeDevice implements PciDevice {
  readonly type: string;
  readonly ident: PciIdent;
  readonly bars: readonly BarLayout[];
  readonly interrupts: InterruptSpec;
  readonly capabilities: readonly CapabilitySpec[];
  readonly extendedCapabilities: readonly ExtendedCapabilitySpec[];
  readonly registers = new Map<string, number>();
  log: string[] = [];
  resets = 0;
  #host: PciHost | undefined;

  constructor(parts: FakeDeviceParts = {}) {
    this.type = parts.type ?? "fake";
    this.ident = {
      vendorId: 0x1234,
      deviceId: 0x5678,
      revisionId: 3,
      classCode: 0xff0000,
      subsystemVendorId: 0x1af4,
      subsystemId: 0x1100,
      ...parts.ident,
    };
    this.bars = parts.bars ?? [{ index: 0, size: 0x1000, kind: "mmio32" }];
    this.interrupts = parts.interrupts ?? {};
    this.capabilities = parts.capabilities ?? [];
    this.extendedCapabilities = parts.extendedCapabilities ?? [];
  }

  get host(): PciHost {
    if (this.#host === undefined) {
      throw new Error("Cannot use the host: the device is not attached");
    }
    return this.#host;
  }

  attach(host: PciHost): void {
    this.#host = host;
  }

  barRead(bar: number, offset: number, size: number): number {
    this.log.push(`read ${bar} ${offset.toString(16)} ${size}`);
    return this.registers.get(`${bar} ${offset}`) ?? 0;
  }

  barWrite(bar: number, offset: number, size: number, value: number): void {
    this.log.push(`write ${bar} ${offset.toString(16)} ${size} ${value.toString(16)}`);
    this.registers.set(`${bar} ${offset}`, value);
  }

  reset(): void {
    this.resets++;
    this.registers.clear();
  }

  inspect(): Record<string, unknown> {
    return { resets: this.resets };
  }
}

/** A function with everything around it. */
export interface FakeMachine<Device extends PciDevice> {
  readonly device: Device;
  readonly fn: PciFunction;
  readonly memory: FakeMemory;
  readonly clock: FakeClock;
  readonly sink: FakeSink;
  readonly errors: DeviceError[];
}

/** Hosts `device`. */
export function hostDevice<Device extends PciDevice>(
  device: Device,
  messages?: MessageRouter,
): FakeMachine<Device> {
  const memory = new FakeMemory(), clock = new FakeClock(), sink = new FakeSink();
  const errors: DeviceError[] = [];
  const fn = new PciFunction(device, {
    memory,
    clock,
    sink,
    onError: (error) => errors.push(error),
    ...(messages === undefined ? {} : { messages }),
  });
  return { device, fn, memory, clock, sink, errors };
}

/** Hosts a {@linkcode FakeDevice}. */
export function host(parts: FakeDeviceParts = {}): FakeMachine<FakeDevice> {
  return hostDevice(new FakeDevice(parts));
}
