/**
 * A PCI function behind a vfio-user socket, as a guest's driver reaches it: what a VMM
 * does between the guest and the server.
 * @module
 */

import type { BarIndex } from "../../../devices/pci/pci_device.ts";
import type { PciTarget } from "../../../devices/pci/pci_driver.ts";
import { allOnes, load, store } from "../../../devices/pci/registers.ts";
import * as pci from "../../../devices/pci/spec.ts";
import type { IrqInfo } from "../messages/irqs.ts";
import type { RegionInfo } from "../messages/region_info.ts";
import { VfioDeviceFlags, VfioPciRegion } from "../vfio_spec.ts";
import type { VfioUserClient } from "./client.ts";
import { VfioUserError } from "./client_error.ts";
import { RegionWindow } from "./region_window.ts";
import { findCapabilities } from "./remote_config.ts";
import { RemoteInterrupts } from "./remote_interrupts.ts";

/** How a function is opened. */
export interface RemoteFunctionOptions {
  /** Requester ID: whose DMA its accesses are. */
  readonly endpoint: number;
  /** How to look into the model, which the protocol cannot. */
  readonly inspect?: () => Promise<Record<string, unknown>>;
  /** Told of each access that the server refused; it reads as all ones, as nothing answering does. */
  readonly onRefusal?: (error: VfioUserError) => void;
  /** `use` unless told: parts that the server gave a file for are reached without messages. */
  readonly windows?: "use" | "ignore";
}

const { VFIO_PCI_CONFIG_REGION_INDEX: CONFIG, VFIO_PCI_BAR5_REGION_INDEX: BAR5 } = VfioPciRegion;
const ALL_ONES_64 = 0xffff_ffff_ffff_ffffn;
type Size = 1 | 2 | 4;

/** What a write to configuration space did beside storing bits. */
const NO_RESET = 0, RESET = 1;

/** See the module. Every call waits for the server, and serves the client's group meanwhile. */
export class RemoteFunction implements PciTarget, Disposable {
  readonly endpoint: number;
  /** What it is reached by. */
  readonly client: VfioUserClient;
  readonly #options: RemoteFunctionOptions;
  #regions: readonly (Readonly<RegionInfo> | null)[] = [];
  #windows: readonly (RegionWindow | null)[] = [];
  #interrupts: RemoteInterrupts | null = null;
  #resets = false;
  /** Region indexes of BARs in I/O space. */
  #ioBars = 0;
  /** Capabilities that reset the function, and power management. */
  #capabilities: ReadonlyMap<number, number> = new Map();
  /** Command register and power state, as far as they matter here; read when not known. */
  #decoding: { readonly command: number; readonly power: number } | null = null;

  private constructor(client: VfioUserClient, options: RemoteFunctionOptions) {
    this.client = client;
    this.endpoint = options.endpoint;
    this.#options = options;
  }

  /** Asks the server what there is, and gives it an eventfd for INTx. @throws {VfioUserError} */
  static open(client: VfioUserClient, options: RemoteFunctionOptions): RemoteFunction {
    const fn = new RemoteFunction(client, options);
    try {
      fn.#discover();
      return fn;
    } catch (error) {
      fn.close();
      throw error;
    }
  }

  /** The form of interrupts that the guest has switched on. */
  get interruptMode(): "intx" | "msi" | "msix" {
    return this.#interrupts?.mode ?? "intx";
  }

  /** What the server says of a region, or null when there is none. */
  region(index: number): Readonly<RegionInfo> | null {
    return this.#regions[index] ?? null;
  }

  configRead(offset: number, size: Size): Promise<number> {
    return Promise.try(() => this.#configRead(offset, size));
  }

  configWrite(offset: number, size: Size, value: number): Promise<void> {
    return Promise.try(() => this.#configWrite(offset, size, value));
  }

  barRead(bar: BarIndex, offset: number, size: Size): Promise<number> {
    return Promise.try(() => this.#barRead(bar, offset, size));
  }

  barWrite(bar: BarIndex, offset: number, size: Size, value: number): Promise<void> {
    return Promise.try(() => {
      if (!this.#reaches(bar, offset, size)) return;
      const table = this.#interrupts?.table ?? null;
      if (table?.covers(bar, offset, size)) {
        if (size !== 4 || !this.#decodes(bar)) return;
        table.write(bar, offset, value);
        this.#interrupts?.sync();
        return;
      }
      const bytes = new Uint8Array(size);
      store(bytes, 0, size, value);
      this.#write(bar, offset, bytes);
    });
  }

  barRead64(bar: BarIndex, offset: number): Promise<bigint> {
    return Promise.try(() => {
      if (!this.#reaches(bar, offset, 8)) return ALL_ONES_64;
      if (this.#interrupts?.table?.covers(bar, offset, 8)) {
        const low = this.#barRead(bar, offset, 4);
        return BigInt(this.#barRead(bar, offset + 4, 4)) << 32n | BigInt(low);
      }
      const bytes = new Uint8Array(8);
      if (!this.#read(bar, offset, bytes)) return ALL_ONES_64;
      return BigInt(load(bytes.subarray(4), 0, 4)) << 32n | BigInt(load(bytes, 0, 4));
    });
  }

  barWrite64(bar: BarIndex, offset: number, value: bigint): Promise<void> {
    return Promise.try(() => {
      if (!this.#reaches(bar, offset, 8)) return;
      const low = Number(BigInt.asUintN(32, value));
      const high = Number(BigInt.asUintN(32, value >> 32n));
      const table = this.#interrupts?.table ?? null;
      if (table?.covers(bar, offset, 8)) {
        if (!this.#decodes(bar)) return;
        // One access, so the masks count only once all of it is stored.
        table.write(bar, offset, low);
        table.write(bar, offset + 4, high);
        this.#interrupts?.sync();
        return;
      }
      const bytes = new Uint8Array(8);
      store(bytes, 0, 4, low);
      store(bytes, 4, 4, high);
      this.#write(bar, offset, bytes);
    });
  }

  takeInterrupts(vector: number): Promise<number> {
    return Promise.try(() => this.#interrupts?.take(vector) ?? 0);
  }

  intxAsserted(): Promise<boolean> {
    return Promise.try(() => this.#interrupts?.intxAsserted() ?? false);
  }

  /** VFIO_USER_DEVICE_RESET. @throws {VfioUserError} `limit` when the device has no reset */
  reset(): Promise<void> {
    return Promise.try(() => {
      if (!this.#resets) {
        throw new VfioUserError(
          "limit",
          "Cannot reset the function: the server's device flags do not have " +
            "VFIO_DEVICE_FLAGS_RESET",
        );
      }
      const interrupts = this.#interrupts;
      interrupts?.suspend();
      try {
        this.client.wait(this.client.reset());
      } catch (error) {
        // It goes on as it was.
        if (error instanceof VfioUserError && error.code === "refused") interrupts?.sync();
        throw error;
      }
      this.#decoding = null;
      interrupts?.wasReset();
    });
  }

  inspect(): Promise<Record<string, unknown>> {
    const { inspect } = this.#options;
    if (inspect !== undefined) return inspect();
    return Promise.reject(
      new Error(
        "Cannot inspect a remote function: the protocol has no such command; " +
          "open it with the option `inspect`",
      ),
    );
  }

  /**
   * After `VfioUserClient.reconnect()`: asks anew what there is, and gives the server eventfds
   * for what its registers say is on.
   */
  replay(): void {
    const before = this.#interrupts;
    before?.forget();
    this.#closeWindows();
    try {
      this.#discover();
    } finally {
      if (this.#interrupts !== before) before?.close();
    }
  }

  /** Closes eventfds and mappings; the client stays open. Idempotent. */
  close(): void {
    this.#interrupts?.close();
    this.#interrupts = null;
    this.#closeWindows();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #discover(): void {
    const { client } = this;
    const { flags, num_regions, num_irqs } = client.wait(client.deviceInfo());
    this.#resets = (flags & VfioDeviceFlags.VFIO_DEVICE_FLAGS_RESET) !== 0;
    const regions: (Readonly<RegionInfo> | null)[] = [];
    const windows: (RegionWindow | null)[] = [];
    this.#regions = regions;
    this.#windows = windows;
    for (let index = 0; index < Math.min(num_regions, CONFIG + 1); index++) {
      const { info, descriptor } = client.wait(client.regions.info(index));
      regions[index] = info.size > 0 ? info : null;
      if (this.#options.windows === "ignore" || index > BAR5) {
        descriptor?.close();
        windows[index] = null;
      } else windows[index] = RegionWindow.open(info, descriptor);
    }
    const irqs = new Map<number, Readonly<IrqInfo>>();
    for (let index = 0; index < num_irqs; index++) {
      irqs.set(index, client.wait(client.irqs.info(index)));
    }
    const read = (offset: number, size: Size): number => this.#configRead(offset, size);
    this.#capabilities = findCapabilities(read);
    this.#ioBars = 0;
    for (let bar = 0; bar < pci.PCI_STD_NUM_BARS; bar++) {
      const register = read(pci.PCI_BASE_ADDRESS_0 + 4 * bar, 4);
      if ((register & pci.PCI_BASE_ADDRESS_SPACE_IO) !== 0) this.#ioBars |= 1 << bar;
    }
    this.#decoding = null;
    this.#interrupts = new RemoteInterrupts(client, read, irqs, this.#interrupts);
    this.#interrupts.sync();
  }

  #closeWindows(): void {
    for (const window of this.#windows) window?.close();
    this.#windows = [];
  }

  #configRead(offset: number, size: Size): number {
    if (!this.#reaches(CONFIG, offset, size)) return allOnes(size);
    const bytes = new Uint8Array(size);
    if (!this.#message(() => this.client.regions.read(CONFIG, offset, bytes))) return allOnes(size);
    let value = load(bytes, 0, size);
    const pendingAt = this.#interrupts?.pendingMsiOffset ?? null;
    if (pendingAt !== null && offset >= pendingAt && offset < pendingAt + 4) {
      const held = (this.#interrupts?.pendingMsi ?? 0) >>> 8 * (offset - pendingAt);
      value = (value | held & allOnes(size)) >>> 0;
    }
    return value;
  }

  #configWrite(offset: number, size: Size, value: number): void {
    if (!this.#reaches(CONFIG, offset, size)) return;
    const powerBefore = this.#touches(pci.PCI_CAP_ID_PM, pci.PCI_PM_CTRL, 2, offset, size)
      ? this.#decodingState().power
      : 0;
    const bytes = new Uint8Array(size);
    store(bytes, 0, size, value);
    if (!this.#message(() => this.client.regions.write(CONFIG, offset, bytes))) return;
    this.#decoding = null;
    if (this.#effect(offset, size, value, powerBefore) === RESET) this.#interrupts?.wasReset();
    else if (this.#interrupts?.concerns(offset, size)) this.#interrupts.sync();
  }

  /** Whether a write has reset the function: by FLR, or by waking it up without a state kept. */
  #effect(offset: number, size: Size, value: number, powerBefore: number): number {
    const written = (id: number, at: number, bytes: 1 | 2): number => {
      const base = this.#capabilities.get(id);
      if (base === undefined) return 0;
      let bits = 0;
      for (let byte = 0; byte < bytes; byte++) {
        const from = base + at + byte - offset;
        if (from >= 0 && from < size) bits |= (value >>> 8 * from & 0xff) << 8 * byte;
      }
      return bits;
    };
    const devctl = written(pci.PCI_CAP_ID_EXP, pci.PCI_EXP_DEVCTL, 2);
    if ((devctl & pci.PCI_EXP_DEVCTL_BCR_FLR) !== 0) {
      const base = this.#capabilities.get(pci.PCI_CAP_ID_EXP) ?? 0;
      const able = this.#configRead(base + pci.PCI_EXP_DEVCAP, 4) & pci.PCI_EXP_DEVCAP_FLR;
      if (able !== 0) return RESET;
    }
    const af = written(pci.PCI_CAP_ID_AF, pci.PCI_AF_CTRL, 1);
    if ((af & pci.PCI_AF_CTRL_FLR) !== 0) {
      const base = this.#capabilities.get(pci.PCI_CAP_ID_AF) ?? 0;
      if ((this.#configRead(base + pci.PCI_AF_CAP, 1) & pci.PCI_AF_CAP_FLR) !== 0) return RESET;
    }
    if (powerBefore !== 0) {
      const base = this.#capabilities.get(pci.PCI_CAP_ID_PM) ?? 0;
      const control = this.#configRead(base + pci.PCI_PM_CTRL, 2);
      const awake = (control & pci.PCI_PM_CTRL_STATE_MASK) === 0;
      if (awake && (control & pci.PCI_PM_CTRL_NO_SOFT_RESET) === 0) return RESET;
    }
    return NO_RESET;
  }

  #touches(id: number, at: number, length: number, offset: number, size: number): boolean {
    const base = this.#capabilities.get(id);
    return base !== undefined && offset < base + at + length && base + at < offset + size;
  }

  #barRead(bar: number, offset: number, size: Size): number {
    if (!this.#reaches(bar, offset, size)) return allOnes(size);
    const table = this.#interrupts?.table ?? null;
    if (table?.covers(bar, offset, size)) {
      if (size !== 4 || !this.#decodes(bar)) return allOnes(size);
      this.#interrupts?.collectPending();
      return table.read(bar, offset);
    }
    const bytes = new Uint8Array(size);
    return this.#read(bar, offset, bytes) ? load(bytes, 0, size) : allOnes(size);
  }

  /** Whether the access is aligned to its size and inside the region: nothing else is an access. */
  #reaches(region: number, offset: number, size: number): boolean {
    const info = this.#regions[region];
    return info !== undefined && info !== null && Number.isSafeInteger(offset) && offset >= 0 &&
      offset % size === 0 && offset + size <= info.size;
  }

  #read(region: number, offset: number, into: Uint8Array): boolean {
    const window = this.#windows[region] ?? null;
    if (
      window !== null && window.covers(offset, into.length) && this.#decodes(region) &&
      window.read(offset, into)
    ) return true;
    return this.#message(() => this.client.regions.read(region, offset, into));
  }

  #write(region: number, offset: number, from: Uint8Array): void {
    const window = this.#windows[region] ?? null;
    if (
      window !== null && window.covers(offset, from.length) && this.#decodes(region) &&
      window.write(offset, from)
    ) return;
    this.#message(() => this.client.regions.write(region, offset, from));
  }

  /** True when the server did it; a refusal is what a guest sees as nothing answering. */
  #message(send: () => ReturnType<VfioUserClient["regions"]["read"]>): boolean {
    try {
      this.client.wait(send());
      return true;
    } catch (error) {
      if (!(error instanceof VfioUserError) || error.code !== "refused") throw error;
      this.#options.onRefusal?.(error);
      return false;
    }
  }

  /** Whether the BAR answers, for what is not asked of the server. */
  #decodes(bar: number): boolean {
    const { command, power } = this.#decodingState();
    const needed = (this.#ioBars & 1 << bar) !== 0 ? pci.PCI_COMMAND_IO : pci.PCI_COMMAND_MEMORY;
    return power === 0 && (command & needed) !== 0;
  }

  #decodingState(): { readonly command: number; readonly power: number } {
    if (this.#decoding !== null) return this.#decoding;
    const pm = this.#capabilities.get(pci.PCI_CAP_ID_PM);
    const command = this.#configRead(pci.PCI_COMMAND, 2);
    const control = pm === undefined ? 0 : this.#configRead(pm + pci.PCI_PM_CTRL, 2);
    this.#decoding = { command, power: control & pci.PCI_PM_CTRL_STATE_MASK };
    return this.#decoding;
  }
}
