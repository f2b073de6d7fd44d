/**
 * The virtual machine of via `qemu`: guest RAM in a file that is mapped here as well, a part of
 * which the guest's kernel leaves to the scenario, and root ports that devices are plugged into
 * while it runs. One machine serves one run after the other.
 * @module
 */

import type { Gpa } from "../../core/address.ts";
import {
  createSharedMemory,
  type Descriptor,
  LinuxError,
  Mapping,
} from "../../protocols/linux/mod.ts";
import { SILENT } from "../vm/fetch/listener.ts";
import type { ImageOptions } from "../vm/image/guest_image.ts";
import { PCI_AGENT } from "../vm/image/programs.ts";
import { vfioUserPci } from "../vm/vfio_user_pci.ts";
import { Vm } from "../vm/vm.ts";
import type { VmOptions } from "../vm/vm_options.ts";

const MIB = 2 ** 20;
/** RAM below 4 GiB, and from there on. */
const LOW_MIB = 512;
const HIGH_MIB = 128;
/** What is the scenario's: so low that devices with 28 address bits reach it, and all that is high. */
const RESERVED_LOW: { readonly start: number; readonly mib: number } = { start: 128, mib: 128 };
const HIGH_START = 2 ** 32;
/** The last page of the low part: where messages go when no kernel driver takes them. */
export const MAILBOX: Gpa = (RESERVED_LOW.start + RESERVED_LOW.mib) * MIB - 4096 as Gpa;
/** MiB of a scenario's RAM at most, half of it from 4 GiB on. */
export const MAX_SCENARIO_MIB: number = 2 * Math.min(RESERVED_LOW.mib - 1, HIGH_MIB);
/** Devices at a time. */
export const PORTS = 8;
/** The root ports' device numbers on bus 0 start here; each has two, as functions. */
const FIRST_SLOT = 8;

/** QEMU's virtio-iommu does not remap interrupts, without which type 1 wants to be told that it may. */
const VFIO_MODULES: readonly string[] = [
  "vfio_iommu_type1 allow_unsafe_interrupts=1",
  "vfio-pci",
];

/** QEMU's IOMMU in front of the devices. */
export type QemuIommu = NonNullable<VmOptions["iommu"]>;

/** A part of guest RAM that the guest's kernel leaves alone. */
export interface ReservedRam {
  readonly start: Gpa;
  readonly bytes: Uint8Array;
}

/** What the guest has beside what every guest has. */
export function qemuImage(iommu: QemuIommu): ImageOptions {
  return { modules: iommu === "none" ? [] : VFIO_MODULES, programs: [PCI_AGENT] };
}

/** How one is booted. */
export interface BootOptions {
  /** Whether what is missing may be fetched; it may unless told. */
  readonly network?: "allowed" | "never";
  /** Gets the file of the console's log before the boot. */
  readonly onConsole?: (path: string) => void;
}

/** A machine that is up. */
export class QemuVm {
  readonly vm: Vm;
  readonly low: ReservedRam;
  readonly high: ReservedRam;
  readonly #descriptor: Descriptor;
  readonly #mapping: Mapping;
  #alive = true;

  private constructor(vm: Vm, descriptor: Descriptor, mapping: Mapping) {
    this.vm = vm;
    this.#descriptor = descriptor;
    this.#mapping = mapping;
    const part = (start: number, offset: number, mib: number): ReservedRam => ({
      start: start as Gpa,
      bytes: mapping.bytes.subarray(offset, offset + mib * MIB),
    });
    const low = RESERVED_LOW.start * MIB;
    this.low = part(low, low, RESERVED_LOW.mib);
    this.high = part(HIGH_START, LOW_MIB * MIB, HIGH_MIB);
    void vm.ended.then(() => this.#alive = false);
  }

  /** Boots one. `iommu` is what stands in front of the devices. @throws {VmError | GuestError | LinuxError} */
  static async boot(iommu: QemuIommu, options: BootOptions = {}): Promise<QemuVm> {
    const memoryMib = LOW_MIB + HIGH_MIB;
    const descriptor = createSharedMemory("viaduct-guest", memoryMib * MIB);
    const mapping = Mapping.map(descriptor.fd, 0, memoryMib * MIB, "read-write");
    if (typeof mapping === "number") {
      descriptor.close();
      throw new LinuxError("mmap", mapping, "the guest's RAM");
    }
    try {
      const vm = await Vm.start({
        memoryMib,
        memoryFile: `/proc/${Deno.pid}/fd/${descriptor.fd}`,
        lowMemoryMib: LOW_MIB,
        iommu,
        devices: Array.from({ length: PORTS }, (_, at) => [
          "-device",
          `pcie-root-port,id=${portName(at)},chassis=${at + 1},addr=${
            portPlace(at)
          },multifunction=on`,
        ]).flat(),
        kernelArgs: [
          `memmap=${RESERVED_LOW.mib}M$${RESERVED_LOW.start}M`,
          `memmap=${HIGH_MIB}M$${HIGH_START / MIB}M`,
        ],
        image: qemuImage(iommu),
        ...(options.onConsole === undefined ? {} : { onConsole: options.onConsole }),
      }, { network: options.network ?? "allowed", listener: SILENT });
      return new QemuVm(vm, descriptor, mapping);
    } catch (error) {
      mapping.close();
      descriptor.close();
      throw error;
    }
  }

  /** Whether QEMU runs. */
  get alive(): boolean {
    return this.#alive;
  }

  /**
   * Plugs the device behind a vfio-user socket into root port `port`, and waits until the guest
   * has seen it. @returns its address there: `0000:01:00.0`
   */
  async plug(port: number, socket: string): Promise<string> {
    const device = vfioUserPci(socket, { bus: portName(port) });
    await this.vm.qmp.deviceAdd({ ...device, id: deviceName(port) });
    const bridge = `/sys/bus/pci/devices/${portAddress(port)}`;
    // The files of BARs appear when these have their addresses.
    const { stdout } = await this.vm.guest.run(
      `cd ${bridge}; while ! ls -d 0000:*:00.0/resource[0-9] 2>/dev/null; do usleep 5000; done`,
    );
    const address = stdout.split("/")[0] ?? "";
    return address;
  }

  /** Takes the device out of a root port. */
  async unplug(port: number): Promise<void> {
    await this.vm.qmp.deviceDel(deviceName(port));
  }

  /** Ends QEMU. */
  async stop(): Promise<void> {
    await this.vm.stop();
    this.#mapping.close();
    this.#descriptor.close();
  }
}

function portName(port: number): string {
  return `port${port}`;
}

function deviceName(port: number): string {
  return `device${port}`;
}

/** Device and function number. */
function portPlace(port: number): string {
  return `${(FIRST_SLOT + (port >> 1)).toString(16).padStart(2, "0")}.${port % 2}`;
}

function portAddress(port: number): string {
  return `0000:00:${portPlace(port)}`;
}
