/**
 * Via `qemu`: devices in a server process, plugged into a stock QEMU by its own vfio-user client,
 * and driven by a program in a Linux guest. Guest RAM is mapped here too, so that a scenario's
 * bytes are the guest's.
 *
 * In identity mode no IOMMU stands in between: registers are reached through /dev/mem, and devices
 * reach all of the guest's RAM by GPA, the kernel's part included, so a scenario that sends them
 * elsewhere than into its own does not belong here. In remap mode the IOMMU is QEMU's, in the
 * client: each mapping is a VFIO_IOMMU_MAP_DMA in the guest, and arrives at the server as DMA_MAP.
 * An endpoint has a container of its own, which mirrors the mappings of the domain that it is in.
 *
 * @module
 */

import { Fault, hex, type Iova } from "../../core/address.ts";
import type { RamRegionSpec } from "../../core/memory/ram_region.ts";
import { formatRequesterId, parseRequesterId } from "../../devices/pci/bdf.ts";
import type { DeviceType } from "../../devices/pci/pci_device.ts";
import type { PciTarget } from "../../devices/pci/pci_driver.ts";
import {
  PCI_COMMAND,
  PCI_COMMAND_IO,
  PCI_COMMAND_MASTER,
  PCI_COMMAND_MEMORY,
} from "../../devices/pci/spec.ts";
import { checkAdvance } from "../machine/advance.ts";
import { latenciesOf } from "../machine/latencies.ts";
import { localIommu } from "../machine/local_iommu.ts";
import { Machine, type MachineOptions } from "../machine/machine.ts";
import { mixSeed } from "../random.ts";
import { type Metrics, NO_METRICS, sumMetrics } from "../run/run_report.ts";
import type { Latencies } from "../run/threshold.ts";
import type { FaultReport, MachineIommu } from "../scenario.ts";
import { within } from "../vm/deadline.ts";
import { PciAgent, PciAgentError } from "../vm/pci_agent.ts";
import type { MachineParts, ViaBackend } from "./backend.ts";
import { NamedMessages } from "./kept_messages.ts";
import {
  type BootOptions,
  MAILBOX,
  MAX_SCENARIO_MIB,
  PORTS,
  type QemuIommu,
  QemuVm,
} from "./qemu_vm.ts";
import { QemuTarget } from "./qemu_target.ts";
import { ServerEndpoints } from "./vfio_user_endpoints.ts";
import { type ServerProcess, serverProcess } from "./vfio_user_process.ts";
import { Takeover } from "./vfio_user_takeover.ts";

/** How long the devices' process may take for what one that works does at once. */
const ANSWER_MS = 5_000;
/** How long a guest may take to let go of its devices: more than until its silence is noticed. */
const RELEASE_MS = 30_000;

/** What via `qemu` is told beside what every via is. */
export interface QemuMachineOptions extends MachineOptions, BootOptions {
  /** Told of messages that came faster than they could be told: how many. */
  readonly onMessagesLost?: (count: number) => void;
}

/** Machines of this process that are up: each is used for one run after the other. */
const machines = new Map<QemuIommu, QemuVm>();

/** Builds a machine in a guest. @throws {VmError | GuestError | LinuxError} */
export async function buildQemuMachine(options: QemuMachineOptions): Promise<Machine> {
  if (options.memoryMib > MAX_SCENARIO_MIB) {
    throw new RangeError(
      `Cannot give a scenario ${options.memoryMib} MiB via qemu: ${MAX_SCENARIO_MIB} at most`,
    );
  }
  const remapping = options.variant === "virtio-iommu" ? "virtio" : "intel";
  const host = await machineFor(options.mode === "identity" ? "none" : remapping, options);
  try {
    const process = await serverProcess(0);
    const agent = new PciAgent(host.vm.guest);
    for (const { start, bytes } of [host.low, host.high]) {
      await agent.do("ram", start, bytes.length);
    }
    await agent.do("mailbox", MAILBOX);
    return Machine.build(
      options,
      (parts) => new QemuBackend(parts, options, host, agent, process),
      (regions) => reservedRam(host, regions),
    );
  } catch (error) {
    // The next run must not find what this one could not use.
    await discard(host);
    throw error;
  }
}

async function machineFor(iommu: QemuIommu, options: BootOptions): Promise<QemuVm> {
  const there = machines.get(iommu);
  if (there?.alive === true) {
    options.onConsole?.(there.vm.consoleLog);
    return there;
  }
  if (there !== undefined) await discard(there);
  const made = await QemuVm.boot(iommu, options);
  machines.set(iommu, made);
  return made;
}

/** Ends a machine that a run has left in an unknown state. */
async function discard(host: QemuVm): Promise<void> {
  for (const [iommu, one] of machines) if (one === host) machines.delete(iommu);
  await host.stop();
}

/** The scenario's RAM as parts of the guest's, all zero: low and high, without ROM. */
function reservedRam(host: QemuVm, regions: readonly RamRegionSpec[]): RamRegionSpec[] {
  return regions.filter(({ readOnly }) => readOnly !== true).map((region, at) => {
    const { start, bytes } = at === 0 ? host.low : host.high;
    const own = bytes.subarray(0, region.length);
    own.fill(0);
    return { ...region, start, bytes: own };
  });
}

/** A device that is plugged in. */
interface Slot {
  readonly endpoint: number;
  /** In the server's IOMMU. */
  readonly number: number;
  readonly handle: bigint;
  readonly target: QemuTarget;
}

/** A mapping, as the guest is asked for it. */
interface Mapped {
  readonly iova: number;
  readonly gpa: number;
  readonly length: number;
  readonly access: number;
}

/** Copies of the mappings that begin below `end`: views of a table end with the next change of it. */
function mappedIn(mappings: Iterable<Mapped>, end = Infinity): Mapped[] {
  const found: Mapped[] = [];
  for (const { iova, gpa, length, access } of mappings) {
    if (iova >= end) break;
    found.push({ iova, gpa, length, access });
  }
  return found;
}

/** {@linkcode ViaBackend} over a guest. */
class QemuBackend implements ViaBackend {
  readonly iommu: MachineIommu;
  readonly elsewhere: ServerEndpoints = new ServerEndpoints(() => this.#collect());
  readonly #parts: MachineParts;
  readonly #options: QemuMachineOptions;
  readonly #host: QemuVm;
  readonly #agent: PciAgent;
  readonly #process: ServerProcess;
  readonly #takeover: Takeover;
  /** QEMU is the client, so they come from the server. Null when nobody wants them. */
  readonly #messages: NamedMessages | null;
  #hearing = false;
  /** By requester ID. */
  readonly #slots = new Map<number, Slot>();
  /** Root ports that have a device. */
  #ports = 0;
  #touched = false;
  /** By the server's number, what its messages are told of when it never gets an address. */
  readonly #unnamed = new Map<number, string>();
  #broken: unknown = null;
  /** How the devices' process was ended, when it did not answer. */
  #hung: string | null = null;

  constructor(
    parts: MachineParts,
    options: QemuMachineOptions,
    host: QemuVm,
    agent: PciAgent,
    process: ServerProcess,
  ) {
    this.#parts = parts;
    this.#options = options;
    this.#host = host;
    this.#agent = agent;
    this.#process = process;
    this.iommu = this.#control();
    this.#takeover = new Takeover(
      parts,
      this.elsewhere,
      (endpoint, iova, access, seen) => this.#reason(endpoint, iova, access, seen),
    );
    this.#messages = options.messages === undefined ? null : new NamedMessages(options.messages);
    process.onHappened = (happened) => {
      this.#takeover.take(process, happened);
      this.#messages?.take(happened.messages);
      if (happened.messagesLost > 0) options.onMessagesLost?.(happened.messagesLost);
    };
    // Until it notices by itself, QEMU waits for an answer, and the guest with it.
    void process.ended.then((how) => agent.giveUp(new Error(how)));
    const { nowNs } = parts.clock;
    process.do({
      kind: "begin",
      seed: mixSeed(options.seed, "server", 0),
      nowNs,
      trace: options.trace,
      messages: this.#messages === null ? "off" : "on",
    });
    this.elsewhere.join(process);
  }

  async plug<Options>(type: DeviceType<Options, unknown>, options: Options): Promise<PciTarget> {
    const port = this.#ports;
    if (port === PORTS) {
      throw new Error(`Cannot plug ${type.type} in: all ${PORTS} ports are taken`);
    }
    const path = this.#process.nextSocket();
    const recipe = { type: type.type, module: type.module, options: options ?? null };
    const name = `${type.type} in QEMU's port ${port}`;
    const { endpoint: number } = await this.#process.askLater({
      kind: "plug",
      ...recipe,
      name,
      path,
    });
    this.#ports++;
    this.#unnamed.set(number, name);
    const address = await this.#checked(this.#host.plug(port, path));
    const endpoint = parseRequesterId(address.slice("0000:".length));
    this.#parts.iommu.addEndpoint(endpoint);
    this.elsewhere.add(this.#process, number, endpoint);
    this.#messages?.name(number, `${type.type} at ${formatRequesterId(endpoint)}`);
    const way = this.#options.mode === "identity" ? "sysfs" : "vfio";
    const handle = await this.#checked(this.#agent.do("open", way, address));
    const target = await QemuTarget.open({
      endpoint,
      agent: this.#agent,
      handle,
      inspect: async () => {
        return (await this.#process.askLater({ kind: "inspect", endpoint: number })).state;
      },
      touched: () => {
        void this.#hear();
        this.#touched = true;
      },
      failed: (error) => this.#broken ??= error,
    });
    this.#slots.set(endpoint, { endpoint, number, handle, target });
    const command = await target.configRead(PCI_COMMAND, 2);
    const enable = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
    await target.configWrite(PCI_COMMAND, 2, command | enable);
    return target;
  }

  migrate(): Promise<void> {
    return Promise.reject(
      new Error("Cannot migrate a device via qemu: QEMU alone could ask its server to"),
    );
  }

  async advance(ms: number): Promise<void> {
    const { clock } = this.#parts;
    checkAdvance(clock, ms);
    this.#process.do({ kind: "advance", ms });
    clock.advance(ms);
    for (const { target } of this.#slots.values()) await target.collect();
    this.#touched = false;
  }

  takeFaults(): readonly FaultReport[] {
    this.#collect();
    return this.#takeover.takeFaults();
  }

  metrics(): Metrics {
    return this.#process.alive ? sumMetrics(this.elsewhere.figures()) : NO_METRICS;
  }

  translationLatencies(): Latencies {
    const figures = this.#process.alive ? this.elsewhere.figures() : [];
    return latenciesOf(figures.flatMap(({ latencies }) => latencies));
  }

  startDirtyTracking(): never {
    throw new Error("Cannot track dirty pages via qemu: it is for QEMU to ask");
  }

  takeDirtyPages(): never {
    return this.startDirtyTracking();
  }

  collectTrace(): number {
    if (this.#options.trace === "on" && this.#process.alive) this.#collect();
    return 0;
  }

  async settle(): Promise<void> {
    // A server that is gone cannot: lost() tells of that.
    if (!this.#process.alive) return;
    await this.#answered(this.#process.doLater({ kind: "settle" })).catch(() => {});
  }

  /** What the devices' process answers; one that does not is ended, and {@linkcode lost} says so. */
  async #answered<T>(answer: Promise<T>): Promise<T> {
    const late = Symbol();
    const found = await within(answer, ANSWER_MS, late);
    if (found !== late) return found as T;
    this.#hung = "The server process of the devices hangs: " +
      `it has not answered for ${ANSWER_MS / 1000} s, and was ended`;
    this.#process.kill();
    throw new Error(this.#hung);
  }

  async lost(): Promise<string | null> {
    if (this.#hung !== null) return this.#hung;
    if (!this.#host.alive) {
      const { code, signal, output } = await this.#host.vm.ended;
      return [`QEMU has ended (${signal ?? `exit code ${code}`})`, output].join("\n").trim();
    }
    return await this.#process.lost();
  }

  async close(): Promise<void> {
    let failure: unknown = null;
    try {
      if (this.#broken !== null) throw this.#broken;
      // To let go of a device that does not answer any more takes Linux a minute.
      if (!this.#process.alive) throw new Error("The devices are gone with their process");
      if (!await within(this.#release().then(() => true), RELEASE_MS, false)) {
        throw new Error(
          `The guest has not let go of the devices for ${RELEASE_MS / 1000} s, and was ended`,
        );
      }
    } catch (error) {
      // The next run gets a machine that is known to be whole.
      await discard(this.#host);
      failure = error;
    }
    const process = this.#process;
    const left = process.alive ? await this.#answered(process.endMachine()) : [];
    process.onHappened = () => {};
    this.#messages?.end((number) => this.#unnamed.get(number)!);
    if (left.length > 0) process.kill();
    // What broke the machine in the run has been thrown there.
    if (process.alive && failure !== null && failure !== this.#broken) throw failure;
    if (left.length > 0) throw new Error(`Something is left behind: ${left.join("; ")}`);
  }

  async #release(): Promise<void> {
    for (const { target } of this.#slots.values()) await target.close();
    await this.#agent.close();
    // QEMU aborts when a function with MSI-X is unplugged (spec/09 rule 7): it goes with its machine.
    if ([...this.#slots.values()].some(({ target }) => target.hasMsix)) {
      await discard(this.#host);
      return;
    }
    for (let port = 0; port < this.#ports; port++) await this.#host.unplug(port);
  }

  /** The machine's IOMMU: its own tables, which the containers in the guest follow. */
  #control(): MachineIommu {
    const { iommu } = this.#parts;
    const local = localIommu(iommu);
    const members = (domain: number): Slot[] => {
      if (!iommu.hasDomain(domain)) return [];
      return [...iommu.domain(domain).members]
        .map(({ endpoint }) => this.#slots.get(endpoint.id))
        .filter((slot) => slot !== undefined);
    };
    const empty = async (slot: Slot): Promise<void> => {
      const { domain } = iommu.endpoint(slot.endpoint);
      if (domain === null) return;
      for (const mapping of mappedIn(domain.space.mappings())) await this.#unmap(slot, mapping);
    };
    return {
      createDomain: () => local.createDomain(),
      destroyDomain: (domain) => {
        this.#collect();
        return local.destroyDomain(domain);
      },
      attach: async (endpoint, domain) => {
        const slot = this.#slots.get(endpoint);
        if (slot === undefined || !iommu.hasDomain(domain)) return local.attach(endpoint, domain);
        if (iommu.endpoint(endpoint).domain?.id === domain) return;
        this.#collect();
        await empty(slot);
        await local.attach(endpoint, domain);
        for (const mapping of mappedIn(iommu.domain(domain).space.mappings())) {
          await this.#map(slot, mapping);
        }
      },
      detach: async (endpoint) => {
        const slot = this.#slots.get(endpoint);
        this.#collect();
        if (slot !== undefined) await empty(slot);
        await local.detach(endpoint);
      },
      map: async (domain, iova, gpa, length, access) => {
        this.#collect();
        await local.map(domain, iova, gpa, length, access);
        const mapped = { iova, gpa, length, access };
        const done: Slot[] = [];
        try {
          for (const slot of members(domain)) {
            await this.#map(slot, mapped);
            done.push(slot);
          }
        } catch (error) {
          // Linux takes whole pages alone: what it has refused is mapped nowhere.
          if (!(error instanceof PciAgentError)) throw error;
          for (const slot of done) await this.#unmap(slot, mapped);
          await local.unmap(domain, iova, length);
          throw error;
        }
      },
      unmap: async (domain, iova, length) => {
        this.#collect();
        const slots = members(domain);
        const gone = slots.length === 0
          ? []
          : mappedIn(iommu.domain(domain).space.mappings(iova), iova + length);
        const bytes = await local.unmap(domain, iova, length);
        for (const slot of slots) {
          for (const mapping of gone) await this.#unmap(slot, mapping);
        }
        return bytes;
      },
      startDirtyTracking: () => Promise.try(() => this.startDirtyTracking()),
      takeDirtyPages: () => Promise.try(() => this.startDirtyTracking()),
    };
  }

  async #map(slot: Slot, { iova, gpa, length, access }: Mapped): Promise<void> {
    // VFIO has no mapping that permits nothing; to a device it is as good as none.
    if (access === 0) return;
    await this.#checked(this.#agent.do("map", slot.handle, iova, gpa, length, access));
  }

  async #unmap(slot: Slot, { iova, length, access }: Mapped): Promise<void> {
    if (access === 0) return;
    const bytes = await this.#checked(this.#agent.do("unmap", slot.handle, iova, length));
    if (bytes === BigInt(length)) return;
    throw new Error(
      `Cannot unmap ${hex(length)} bytes at ${hex(iova)} in the guest: VFIO unmapped ${hex(bytes)}`,
    );
  }

  /** What fails otherwise than by Linux's answer leaves the guest in a state that is not known. */
  async #checked<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (!(error instanceof PciAgentError)) this.#broken ??= error;
      throw error;
    }
  }

  /** Has messages told as the run goes on: one that is cut off has told what it came to. */
  async #hear(): Promise<void> {
    if (this.#messages === null || this.#hearing || !this.#process.alive) return;
    this.#hearing = true;
    try {
      await this.#process.doLater({ kind: "sync" });
    } catch {
      // The process has ended, which lost() tells of.
    } finally {
      this.#hearing = false;
    }
  }

  #collect(): void {
    if (!this.#touched || !this.#process.alive) return;
    this.#process.do({ kind: "sync" });
    this.#touched = false;
  }

  /** See `ReasonOf` of `vfio_user_takeover.ts`. */
  #reason(endpoint: number, iova: Iova, access: number, seen: Fault): Fault {
    const { iommu } = this.#parts;
    const { domain, context } = iommu.endpoint(endpoint);
    if (domain === null) return context.bypass ? Fault.NO_MEMORY : Fault.NO_DOMAIN;
    const mapping = domain.space.mappingAt(iova);
    return mapping !== null && (mapping.access & access) !== access ? Fault.PERMISSION : seen;
  }
}
