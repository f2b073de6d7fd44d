/**
 * A device in a server process, as its driver and the rest of its machine have it. It may
 * move from one process to another; then the connection changes and the target stays.
 * @module
 */

import type { BarIndex } from "../../devices/pci/pci_device.ts";
import type { RemoteFunction, VfioUserClient } from "../../protocols/vfio_user/client/mod.ts";
import type { SizedTarget } from "../observe/device_detail.ts";
import { group, type ServerProcess } from "./vfio_user_process.ts";

/** Vectors that a function has at most (PCI 3.0, 6.8.1.3 and 6.8.2.3). */
const MSI_VECTORS = 32, MSIX_VECTORS = 2048;
/** Milliseconds until an unmap that has no answer is taken to wait for DMA in flight. */
const PATIENCE_MS = 2_000;

/** Where a device lives. */
export interface Home {
  readonly process: ServerProcess;
  /** The device's number there. */
  readonly endpoint: number;
  readonly client: VfioUserClient;
  readonly fn: RemoteFunction;
}

type Size = 1 | 2 | 4;

/** A `PciTarget` over whatever home it has now. */
export class VfioUserDevice implements SizedTarget {
  readonly endpoint: number;
  /** For people: `edu at 00:01.0`. */
  readonly name: string;
  /** Its writes by DMA are logged (DEVICE_FEATURE, DMA_LOGGING). */
  logging: "on" | "off" = "off";
  /** See `SizedTarget`. */
  readonly onlooker: NonNullable<SizedTarget["onlooker"]> = {
    configRead: (offset, size) => this.#look((fn) => fn.configRead(offset, size)),
    barRead: (bar, offset, size) => this.#look((fn) => fn.barRead(bar, offset, size)),
  };
  #home: Home;
  readonly #touched: () => void;
  /** Messages that arrived at an earlier home and were not taken. */
  readonly #carried = new Map<number, number>();
  #isLookedAt = false;

  /** @param touched called before each access of the function: it may do something */
  constructor(endpoint: number, name: string, home: Home, touched: () => void) {
    this.endpoint = endpoint;
    this.name = name;
    this.#home = home;
    this.#touched = touched;
  }

  get home(): Home {
    return this.#home;
  }

  /** Whether the reads of its regions that go to and fro now are an onlooker's. */
  get isLookedAt(): boolean {
    return this.#isLookedAt;
  }

  /**
   * Whether a command has no answer yet: an unmap or the like, which is answered when DMA in flight
   * has ended. Nothing else is left to be answered when a call here returns.
   */
  get isWaiting(): boolean {
    const { client } = this.#home;
    return client.failure === null && client.outstanding > 0;
  }

  /** @throws {Error} while {@linkcode isWaiting}; `what` is what would wait behind it for ever */
  mustBeFree(what: string): void {
    if (!this.isWaiting) return;
    const isWaiting = (): boolean => this.isWaiting;
    const free = {
      get done(): boolean {
        return !isWaiting();
      },
    };
    if (group.wait(free, PATIENCE_MS)) return;
    throw new Error(
      `Cannot ${what} ${this.name}: an unmap, detach or attach waits for its DMA in flight, and ` +
        `vfio-user answers a socket's commands in order; advance the clock first, look by ` +
        `target.inspect(), or use another device`,
    );
  }

  /** Takes over another home. What has arrived at the one before is kept; that one is closed. */
  async move(home: Home): Promise<void> {
    const { fn, client } = this.#home;
    const vectors = fn.interruptMode === "msix" ? MSIX_VECTORS : MSI_VECTORS;
    for (let vector = 0; vector < vectors; vector++) {
      const count = await fn.takeInterrupts(vector);
      if (count > 0) this.#carried.set(vector, (this.#carried.get(vector) ?? 0) + count);
    }
    fn.close();
    client.close();
    this.#home = home;
    this.logging = "off";
  }

  /** Closes the connection. */
  close(): void {
    this.#home.fn.close();
    this.#home.client.close();
  }

  configRead(offset: number, size: Size): Promise<number> {
    return this.#access("read configuration space of", (fn) => fn.configRead(offset, size));
  }

  configWrite(offset: number, size: Size, value: number): Promise<void> {
    return this.#access("write configuration space of", (fn) => {
      return fn.configWrite(offset, size, value);
    });
  }

  barRead(bar: BarIndex, offset: number, size: Size): Promise<number> {
    return this.#access("read a register of", (fn) => fn.barRead(bar, offset, size));
  }

  barWrite(bar: BarIndex, offset: number, size: Size, value: number): Promise<void> {
    return this.#access("write a register of", (fn) => fn.barWrite(bar, offset, size, value));
  }

  barRead64(bar: BarIndex, offset: number): Promise<bigint> {
    return this.#access("read a register of", (fn) => fn.barRead64(bar, offset));
  }

  barWrite64(bar: BarIndex, offset: number, value: bigint): Promise<void> {
    return this.#access("write a register of", (fn) => fn.barWrite64(bar, offset, value));
  }

  /** As the server said when it was connected to: no message is sent for it. */
  barSize(bar: BarIndex): number | null {
    return this.#home.fn.region(bar)?.size ?? null;
  }

  async takeInterrupts(vector: number): Promise<number> {
    const carried = this.#carried.get(vector) ?? 0;
    this.#carried.delete(vector);
    return carried + await this.#home.fn.takeInterrupts(vector);
  }

  intxAsserted(): Promise<boolean> {
    return this.#access("look at the interrupt pin of", (fn) => fn.intxAsserted());
  }

  reset(): Promise<void> {
    return this.#access("reset", (fn) => fn.reset());
  }

  inspect(): Promise<Record<string, unknown>> {
    return Promise.try(() => {
      const { process, endpoint } = this.#home;
      return process.ask({ kind: "inspect", endpoint }).state;
    });
  }

  #look<T>(access: (fn: RemoteFunction) => Promise<T>): Promise<T> {
    return Promise.try(() => {
      if (this.isWaiting) {
        throw new Error(
          `Cannot look at ${this.name}: an unmap, detach or attach waits for its DMA in flight`,
        );
      }
      this.#isLookedAt = true;
      try {
        // A call of the function has waited for the server when it returns.
        return access(this.#home.fn);
      } finally {
        this.#isLookedAt = false;
      }
    });
  }

  #access<T>(what: string, access: (fn: RemoteFunction) => Promise<T>): Promise<T> {
    return Promise.try(() => {
      this.#touched();
      this.mustBeFree(what);
      return access(this.#home.fn);
    });
  }
}
