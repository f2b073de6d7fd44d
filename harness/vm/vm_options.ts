/**
 * What a virtual machine is made of, and QEMU's command line for it.
 * @module
 */

import { AGENT_PORT } from "./guest_protocol.ts";
import type { GuestImage, ImageOptions } from "./image/guest_image.ts";
import { VmError } from "./vm_error.ts";

/** How a machine is made. */
export interface VmOptions {
  /** Guest RAM; 512 unless told. All of it is shared memory. */
  readonly memoryMib?: number;
  /** A file of that size that holds all of RAM, from its first byte on; memory of QEMU's own unless told. */
  readonly memoryFile?: string;
  /** RAM below 4 GiB; what is more lies from 4 GiB on. As QEMU likes it unless told. */
  readonly lowMemoryMib?: number;
  /** Virtual CPUs; 1 unless told. */
  readonly cpus?: number;
  /** Arguments of QEMU for devices: `["-device", "edu,addr=04.0"]`. */
  readonly devices?: readonly string[];
  /** More words for the kernel's command line. */
  readonly kernelArgs?: readonly string[];
  /** QEMU's own IOMMU in front of the devices; `none` unless told. */
  readonly iommu?: "none" | "intel" | "virtio";
  /** How instructions run; `tcg` unless told. KVM inside a virtual machine starts and then fails on many hosts. */
  readonly accelerator?: "tcg" | "kvm";
  /** Files of ACPI tables to add, such as a VIOT. */
  readonly acpiTables?: readonly string[];
  /** What goes into the guest beside busybox and our programs. */
  readonly image?: ImageOptions;
  /** Milliseconds for the boot, of the wall's clock; 60 000 unless told. */
  readonly bootTimeoutMs?: number;
  /** Milliseconds without a sign of life after which a guest that should be at work counts as hung; 20 000 unless told. */
  readonly silenceMs?: number;
  /** Gets the file of the console's log before the boot: it ends with the machine. */
  readonly onConsole?: (path: string) => void;
  /** `interactive` gives a shell on the console, which is then {@linkcode Vm.console}. */
  readonly console?: "log" | "interactive";
}

/** Paths in a machine's own folder. */
export interface VmPaths {
  readonly folder: string;
  readonly qmp: string;
  readonly agent: string;
  readonly console: string;
  readonly consoleLog: string;
}

/** The longest path of a UNIX socket (unix(7)): 108 bytes with its NUL. */
const SOCKET_PATH_LIMIT = 107;

/** Where things are in a machine's folder. @throws {VmError} when sockets cannot be there */
export function vmPaths(folder: string): VmPaths {
  const path = (name: string): string => `${folder}/${name}`;
  const paths = {
    folder,
    qmp: path("qmp"),
    agent: path("agent"),
    console: path("console"),
    consoleLog: path("console.log"),
  };
  if (new TextEncoder().encode(paths.console).length <= SOCKET_PATH_LIMIT) return paths;
  throw new VmError(
    `Cannot put sockets into ${folder}: their paths are longer than ${SOCKET_PATH_LIMIT} bytes`,
    "`export TMPDIR=/tmp`",
  );
}

/** Modules that the image needs for what the options ask for. */
export function modulesFor(options: VmOptions): readonly string[] {
  const wanted = options.image?.modules ?? [];
  return options.iommu === "virtio" ? ["virtio-iommu", ...wanted] : wanted;
}

/** QEMU's arguments after those by which it is called. */
export function qemuArguments(options: VmOptions, image: GuestImage, paths: VmPaths): string[] {
  const memory = `${options.memoryMib ?? 512}M`;
  const accelerator = options.accelerator ?? "tcg";
  return [
    "-nodefaults",
    "-no-user-config",
    ...["-display", "none"],
    ...["-machine", machine(options)],
    ...["-accel", accelerator],
    ...["-cpu", accelerator === "kvm" ? "host" : "max"],
    ...["-smp", `${options.cpus ?? 1}`],
    ...["-m", memory],
    // Shared, for devices in other processes.
    ...["-object", `${memoryBackend(options)},id=ram,size=${memory},share=on`],
    ...["-kernel", image.kernel],
    ...["-initrd", image.initrd],
    ...["-append", kernelCommandLine(options)],
    ...["-qmp", `unix:${escaped(paths.qmp)},server=off`],
    ...["-chardev", consoleDevice(options, paths)],
    ...["-serial", "chardev:console"],
    // An IOMMU is there before what stands behind it.
    ...iommuArguments(options.iommu ?? "none"),
    // High up, so that devices without an address of their own get the same one always.
    ...["-device", "virtio-serial-pci-non-transitional,id=agent-bus,addr=1e.0"],
    ...["-chardev", `socket,id=agent,path=${escaped(paths.agent)}`],
    ...["-device", `virtserialport,bus=agent-bus.0,chardev=agent,name=${AGENT_PORT}`],
    ...(options.acpiTables ?? []).flatMap((file) => ["-acpitable", `file=${escaped(file)}`]),
    ...options.devices ?? [],
  ];
}

function machine({ lowMemoryMib }: VmOptions): string {
  // Controllers that nothing here needs take the kernel a second to look at.
  const words = "q35,memory-backend=ram,sata=off,smbus=off,usb=off,vmport=off,i8042=off";
  return lowMemoryMib === undefined ? words : `${words},max-ram-below-4g=${lowMemoryMib}M`;
}

function memoryBackend({ memoryFile }: VmOptions): string {
  return memoryFile === undefined
    ? "memory-backend-memfd"
    : `memory-backend-file,mem-path=${escaped(memoryFile)}`;
}

function kernelCommandLine(options: VmOptions): string {
  return [
    "console=ttyS0",
    // A character on the console costs the machine's emulator more than the kernel's work.
    "loglevel=4",
    // A panic resets at once, which the monitor tells us of.
    "panic=-1",
    // Registers of devices that a driver has claimed can be mapped all the same.
    "iomem=relaxed",
    "nokaslr",
    // On a busy host the kernel would find its timer too slow, and give up.
    "no_timer_check",
    ...(options.iommu === "intel" ? ["intel_iommu=on"] : []),
    ...(options.console === "interactive" ? ["viaduct_shell=1"] : []),
    ...options.kernelArgs ?? [],
  ].join(" ");
}

function consoleDevice(options: VmOptions, paths: VmPaths): string {
  if (options.console !== "interactive") {
    return `file,id=console,path=${escaped(paths.consoleLog)}`;
  }
  return `socket,id=console,path=${escaped(paths.console)},logfile=${escaped(paths.consoleLog)}`;
}

function iommuArguments(iommu: "none" | "intel" | "virtio"): string[] {
  switch (iommu) {
    case "none":
      return [];
    case "intel":
      // Without caching-mode the guest does not tell of new mappings, and plug-ins never hear of them.
      return ["-device", "intel-iommu,caching-mode=on"];
    case "virtio":
      return ["-device", "virtio-iommu-pci,addr=1d.0"];
  }
}

/** QEMU parts options at commas; two of them are one. */
function escaped(path: string): string {
  return path.replaceAll(",", ",,");
}
