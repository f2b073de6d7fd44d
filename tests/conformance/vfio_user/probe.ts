/**
 * A device made for tests of the server: memory to read back, DMA of every form on demand, all kinds
 * of interrupts, a BAR that can be mapped and doorbells. Its registers do what its methods do, so that
 * it can be driven from another thread too.
 * @module
 */

import { Access, type Iova } from "../../../core/address.ts";
import type { Pin } from "../../../core/memory/memory.ts";
import type {
  BarIndex,
  BarLayout,
  DeviceState,
  InterruptSpec,
  PciDevice,
  PciHost,
} from "../../../devices/pci/pci_device.ts";

/** Registers of BAR 0, all of 4 bytes. Below them, from 0 to 0xfff, is memory of any width. */
export const ProbeRegister = {
  /** Where DMA goes: low and high half. */
  ADDRESS: 0x1000,
  ADDRESS_HIGH: 0x1004,
  /** Bytes. */
  LENGTH: 0x1008,
  /** A value of {@link ProbeCommand}; runs it. */
  COMMAND: 0x100c,
  /** What the last command came to: 0, or a fault as 32 bits. */
  STATUS: 0x1010,
  /** Vector, or byte to store. */
  ARGUMENT: 0x1014,
  /** 1 KiB that DMA moves from and to. */
  BUFFER: 0x2000,
} as const;

export const ProbeCommand = {
  /** Memory to buffer. */
  READ: 1,
  /** Buffer to memory. */
  WRITE: 2,
  /** Pins the range for both, or for writing alone. */
  PIN: 3,
  PIN_WRITE: 4,
  /** Stores the argument's byte over all of the pin. */
  FILL: 5,
  RELEASE: 6,
  RAISE: 7,
  ASSERT: 8,
  DEASSERT: 9,
  THROW: 10,
  /** Reads 4 bytes, and stores them at the buffer's start. */
  READ_U32: 11,
  /** Stores the argument's byte over the first LENGTH bytes of the pin. */
  FILL_FIRST: 12,
  /** Stores the argument's byte over the range through views: half of it, then raises vector 0, then the rest. */
  FILL_VIEWS: 13,
} as const;

const BUFFER = 0x400;

export class Probe implements PciDevice {
  readonly type = "probe";
  readonly ident = { vendorId: 0x1234, deviceId: 0xd0e5, revisionId: 1, classCode: 0xff0000 };
  readonly bars: readonly BarLayout[] = [
    { index: 0, size: 0x4000, kind: "mmio32" },
    {
      index: 2,
      size: 0x4000,
      kind: "mmio64",
      shared: { offset: 0x1000, length: 0x2000 },
      doorbells: [{ offset: 0x10, size: 4 }, { offset: 0x14, size: 2, value: 7 }],
    },
    { index: 4, size: 0x1000, kind: "mmio32" },
    { index: 5, size: 0x20, kind: "io" },
  ];
  readonly interrupts: InterruptSpec = {
    pin: 1,
    msi: { vectors: 4 },
    msix: { vectors: 8, bar: 4, tableOffset: 0, pendingOffset: 0x800 },
  };
  readonly memory = new Uint8Array(0x1000);
  readonly buffer = new Uint8Array(BUFFER);
  /** Every access to BARs 2 and 5: `write 2 10 4 1`. */
  log: string[] = [];
  resets = 0;
  pauses = 0;
  resumes = 0;
  /** Bytes of the shared part of BAR 2. */
  shared: Uint8Array = new Uint8Array(0);
  pins: Pin[] = [];
  /** Called before the device stops. */
  onPause: () => void = () => {};
  /** What a pin does when it is asked for: by default it waits for {@link ProbeCommand.RELEASE}. */
  onRevoke: "keep" | "release" = "keep";
  /** State that save gives and restore takes: any number. */
  value = 0;
  #host: PciHost | null = null;
  #registers = new Map<number, number>();

  get host(): PciHost {
    if (this.#host === null) throw new Error("Cannot use the host: the probe is not attached");
    return this.#host;
  }

  attach(host: PciHost): void {
    this.#host = host;
  }

  share(_bar: BarIndex, bytes: Uint8Array): void {
    this.shared = bytes;
  }

  barRead(bar: BarIndex, offset: number, size: number): number {
    if (bar !== 0) {
      this.log.push(`read ${bar} ${offset.toString(16)} ${size}`);
      return 0x5a5a_5a5a;
    }
    if (offset < 0x1000) return little(this.memory, offset, size);
    const at = offset - ProbeRegister.BUFFER;
    if (at >= 0) return at + size <= BUFFER ? little(this.buffer, at, size) : 0xffff_ffff;
    return this.#registers.get(offset) ?? 0;
  }

  barWrite(bar: BarIndex, offset: number, size: number, value: number): void {
    if (bar !== 0) {
      this.log.push(`write ${bar} ${offset.toString(16)} ${size} ${value.toString(16)}`);
      return;
    }
    const at = offset - ProbeRegister.BUFFER;
    if (offset < 0x1000) store(this.memory, offset, size, value);
    else if (at >= 0) {
      if (at + size <= BUFFER) store(this.buffer, at, size, value);
    } else {
      this.#registers.set(offset, value);
      if (offset === ProbeRegister.COMMAND) this.#run(value);
    }
  }

  reset(): void {
    this.resets++;
    this.memory.fill(0);
    this.#registers.clear();
    this.release();
    this.#host?.interrupts.setIntx(false);
  }

  inspect(): Record<string, unknown> {
    return { value: this.value };
  }

  pause(): void {
    this.onPause();
    this.pauses++;
  }

  resume(): void {
    this.resumes++;
  }

  save(): DeviceState {
    return { value: this.value, memory: this.memory.toHex() };
  }

  restore(state: unknown): string | null {
    const { value, memory } = (state ?? {}) as { value?: unknown; memory?: unknown };
    if (typeof value !== "number") return "value is no number";
    if (typeof memory !== "string" || !/^[0-9a-f]{8192}$/.test(memory)) return "memory is wrong";
    this.value = value;
    this.memory.set(Uint8Array.fromHex(memory));
    return null;
  }

  /** Releases every pin. */
  release(): void {
    const pins = this.pins;
    this.pins = [];
    for (const pin of pins) pin.release();
  }

  /** Takes a pin, or answers the fault. */
  pin(address: number, length: number, access: number): number {
    const pin = this.host.memory.pin(address as Iova, length, access);
    if (typeof pin === "number") return pin;
    this.pins.push(pin);
    pin.onRevoke = () => {
      if (this.onRevoke === "release") this.release();
    };
    return 0;
  }

  #run(command: number): void {
    const get = (register: number): number => this.#registers.get(register) ?? 0;
    const address = get(ProbeRegister.ADDRESS_HIGH) * 2 ** 32 + get(ProbeRegister.ADDRESS);
    const length = get(ProbeRegister.LENGTH);
    const argument = get(ProbeRegister.ARGUMENT);
    const { memory, interrupts } = this.host;
    const view = this.buffer.subarray(0, length);
    let status = 0;
    switch (command) {
      case ProbeCommand.READ:
        status = memory.read(address as Iova, view);
        break;
      case ProbeCommand.WRITE:
        status = memory.write(address as Iova, view);
        break;
      case ProbeCommand.PIN:
        status = this.pin(address, length, Access.READ_WRITE);
        break;
      case ProbeCommand.PIN_WRITE:
        status = this.pin(address, length, Access.WRITE);
        break;
      case ProbeCommand.FILL:
        for (const pin of this.pins) {
          for (const slice of pin.slices) slice.fill(argument);
          status = pin.wrote(0, pin.length);
        }
        break;
      case ProbeCommand.FILL_FIRST:
        for (const pin of this.pins) {
          const first = Math.min(length, pin.length);
          pin.slices[0]?.fill(argument, 0, first);
          status = pin.wrote(0, first);
        }
        break;
      case ProbeCommand.RELEASE:
        this.release();
        break;
      case ProbeCommand.RAISE:
        interrupts.raise(argument);
        break;
      case ProbeCommand.ASSERT:
        interrupts.setIntx(true);
        break;
      case ProbeCommand.DEASSERT:
        interrupts.setIntx(false);
        break;
      case ProbeCommand.THROW:
        throw new Error("the probe was told to");
      case ProbeCommand.FILL_VIEWS: {
        const views = memory.slices(address as Iova, length, Access.WRITE);
        if (typeof views === "number") {
          status = views;
          break;
        }
        for (const each of views) each.fill(argument, 0, each.length / 2);
        interrupts.raise(0);
        for (const each of views) each.fill(argument, each.length / 2);
        break;
      }
      case ProbeCommand.READ_U32: {
        const value = memory.readU32(address as Iova);
        if (value < 0) status = value;
        else store(this.buffer, 0, 4, value);
        break;
      }
    }
    this.#registers.set(ProbeRegister.STATUS, status >>> 0);
  }
}

function little(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let i = size - 1; i >= 0; i--) value = value * 256 + bytes[at + i]!;
  return value;
}

function store(bytes: Uint8Array, at: number, size: number, value: number): void {
  for (let i = 0; i < size; i++) bytes[at + i] = value >>> 8 * i;
}
