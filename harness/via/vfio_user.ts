/**
 * Via `vfio-user`: devices in another process, behind vfio-user sockets. This is the client's
 * half, in the process of the scenario: guest RAM in memory files, the machine's IOMMU, whose
 * mappings are forwarded, and the connections.
 *
 * Waiting for any answer serves all connections of the process, so a device that asks for
 * memory by message is answered while time moves on, and an unmap that waits for DMA in
 * flight is picked up whenever its answer comes.
 *
 * @module
 */

import { Fault, type Iova, type Status } from "../../core/address.ts";
import type { Mapping } from "../../core/iommu/address_space.ts";
import type { Iommu } from "../../core/iommu/iommu.ts";
import { formatRequesterId, requesterId } from "../../devices/pci/bdf.ts";
import type { DeviceType } from "../../devices/pci/pci_device.ts";
import type { PciTarget } from "../../devices/pci/pci_driver.ts";
import { liveDescriptors, liveMappings } from "../../protocols/linux/mod.ts";
import {
  ClientIommu,
  isUnsupported,
  joinTickets,
  RemoteFunction,
  type ServerCommandHandler,
  type Ticket,
  VfioUserClient,
} from "../../protocols/vfio_user/client/mod.ts";
import { OUR_CAPABILITIES } from "../../protocols/vfio_user/capabilities.ts";
import { VFIO_USER_HEADER, VfioUserCommand } from "../../protocols/vfio_user/spec.ts";
import { VfioDeviceMigState } from "../../protocols/vfio_user/vfio_spec.ts";
import { checkAdvance } from "../machine/advance.ts";
import { latenciesOf } from "../machine/latencies.ts";
import { DomainNumbers } from "../machine/local_iommu.ts";
import { Machine, type MachineOptions } from "../machine/machine.ts";
import { mixSeed } from "../random.ts";
import { type Metrics, NO_METRICS, sumMetrics } from "../run/run_report.ts";
import type { Latencies } from "../run/threshold.ts";
import type { FaultReport, MachineIommu, MigrateOptions } from "../scenario.ts";
import type { MachineParts, ViaBackend } from "./backend.ts";
import { RemoteBars } from "./remote_bars.ts";
import { SharedRam } from "./shared_ram.ts";
import { MAX_DMA_MAPS } from "./vfio_user_control.ts";
import { type Home, VfioUserDevice } from "./vfio_user_device.ts";
import { VfioUserDirty } from "./vfio_user_dirty.ts";
import { ServerEndpoints } from "./vfio_user_endpoints.ts";
import { group, served, type ServerProcess, serverProcess } from "./vfio_user_process.ts";
import { Takeover } from "./vfio_user_takeover.ts";

/**
 * Milliseconds that an answer is waited for with the event loop standing still. What comes
 * later, because DMA is in flight, is waited for in the background.
 */
const GRACE_MS = 2;
/** Mappings that may be sent before their answers are looked for. */
const MAPS_OUT = 1024;
/** Steps of promises between an answer and a scenario that waits for it, and a few more. */
const MICROTASKS = 16;

const { VFIO_DEVICE_STATE_STOP_COPY: STOP_COPY, VFIO_DEVICE_STATE_RUNNING: RUNNING } =
  VfioDeviceMigState;
const { VFIO_DEVICE_STATE_RESUMING: RESUMING, VFIO_DEVICE_STATE_PRE_COPY: PRE_COPY } =
  VfioDeviceMigState;

/** How a device is made, here or elsewhere. */
interface Recipe {
  readonly type: string;
  readonly module: string;
  readonly options: unknown;
}

/** What was open before the machine was built. */
interface OpenBefore {
  descriptors: number;
  readonly mappings: number;
}

/** Builds a machine whose devices live in a server process. @throws {Error} when none can be started */
export async function buildVfioUserMachine(options: MachineOptions): Promise<Machine> {
  const process = await serverProcess(0);
  const before = { descriptors: liveDescriptors(), mappings: liveMappings() };
  let memory: SharedRam | null = null;
  let backend: VfioUserBackend | null = null;
  try {
    return Machine.build(
      options,
      (parts) => backend = new VfioUserBackend(parts, options, memory!, process, before),
      (regions) => (memory = new SharedRam(regions)).specs,
    );
  } catch (error) {
    if (backend === null) (memory as SharedRam | null)?.[Symbol.dispose]();
    throw error;
  }
}

/** {@linkcode ViaBackend} over server processes. */
class VfioUserBackend implements ViaBackend {
  readonly iommu: MachineIommu;
  readonly elsewhere: ServerEndpoints = new ServerEndpoints(() => this.#collect());
  readonly #parts: MachineParts;
  readonly #options: MachineOptions;
  readonly #memory: SharedRam;
  readonly #before: OpenBefore;
  readonly #client: ClientIommu;
  readonly #dirty: VfioUserDirty;
  readonly #bars = new RemoteBars();
  readonly #startedMs = performance.now();
  /** By requester ID. */
  readonly #devices = new Map<number, VfioUserDevice>();
  readonly #recipes = new Map<number, Recipe>();
  /** Processes that have a machine of this run. */
  readonly #hosts: (ServerProcess | undefined)[] = [];
  readonly #takeover: Takeover;
  /** Devices may have done something that has not been asked for. */
  #touched = false;
  /** Mappings that were sent, and are not known to be there. */
  #maps: Ticket<void>[] = [];
  /** Answers that came late. */
  #late = 0;
  /** Events that a server's trace no longer held. */
  #dropped = 0;
  #closed = false;

  constructor(
    parts: MachineParts,
    options: MachineOptions,
    memory: SharedRam,
    process: ServerProcess,
    before: OpenBefore,
  ) {
    this.#parts = parts;
    this.#options = options;
    this.#memory = memory;
    this.#before = before;
    this.#client = new ClientIommu(parts.iommu, memory.regions);
    this.#dirty = new VfioUserDirty(parts.iommu, parts.ram, this.#descriptors);
    this.#takeover = new Takeover(
      parts,
      this.elsewhere,
      (endpoint, iova, access, seen) => this.#reason(endpoint, iova, access, seen),
    );
    this.iommu = this.#control();
    this.#begin(0, process);
  }

  get #descriptors(): "pass" | "withhold" {
    return this.#options.variant === undefined ? "pass" : "withhold";
  }

  async plug<Options>(type: DeviceType<Options, unknown>, options: Options): Promise<PciTarget> {
    const { iommu } = this.#parts;
    const endpoint = this.#nextFree();
    const name = `${type.type} at ${formatRequesterId(endpoint)}`;
    const recipe = { type: type.type, module: type.module, options: options ?? null };
    iommu.addEndpoint(endpoint);
    const host = this.#hosts[0]!;
    let home: Omit<Home, "fn"> | null = null;
    let fn: RemoteFunction | null = null;
    try {
      home = await this.#make(host, recipe, name, endpoint);
      this.elsewhere.add(host, home.endpoint, endpoint);
      const { client } = home;
      const descriptors = this.#descriptors;
      client.wait(this.#client.connect(endpoint, client, { descriptors }));
      fn = this.#open(endpoint, client);
      const device = new VfioUserDevice(
        endpoint,
        name,
        { ...home, fn },
        () => {
          this.#settleMaps();
          this.#touched = true;
        },
      );
      await this.#bars.assign(device);
      this.#devices.set(endpoint, device);
      this.#recipes.set(endpoint, recipe);
      this.#dirty.log(device);
      return device;
    } catch (error) {
      this.#devices.delete(endpoint);
      this.#recipes.delete(endpoint);
      fn?.close();
      home?.client.close();
      this.#client.disconnect(endpoint);
      if (home !== null) this.#unplug(home);
      iommu.removeEndpoint(endpoint);
      throw error;
    }
  }

  async migrate(endpoint: number, options: MigrateOptions): Promise<void> {
    const device = this.#devices.get(endpoint)!;
    const { name, home: old } = device;
    this.#settleMaps();
    device.mustBeFree("migrate");
    const { features } = old.client;
    const wait = <T>(ticket: Ticket<T>): T => old.client.wait(ticket);
    try {
      wait(features.migrationFlags());
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      throw new Error(`Cannot migrate ${name}: its model has no save() and restore()`);
    }
    let next: Home;
    try {
      next = await this.#takeOver(device, options);
    } catch (error) {
      if (old.client.failure === null) {
        wait(features.setState(RUNNING));
        wait(this.#client.connect(endpoint, old.client, { descriptors: this.#descriptors }));
      }
      throw error;
    }
    // The old one must not run again when its client goes.
    this.#unplug(old);
    await device.move(next);
    this.#dirty.log(device);
    this.#touched = true;
  }

  /** A new home with all of the device's state, which runs there; it stands still at its old one. */
  async #takeOver(device: VfioUserDevice, options: MigrateOptions): Promise<Home> {
    const { endpoint, name, home: old } = device;
    const { features } = old.client;
    const wait = <T>(ticket: Ticket<T>): T => old.client.wait(ticket);
    const stream: Uint8Array[] = [];
    const read = (): void => {
      for (;;) {
        const data = wait(features.readData());
        if (data.length === 0) return;
        stream.push(data);
      }
    };
    if (options.preCopy !== undefined) {
      wait(features.setState(PRE_COPY));
      read();
      await options.preCopy();
      read();
    }
    wait(features.setState(STOP_COPY));
    read();
    // What it has written until here is known to its old home alone.
    this.#collect();
    this.#dirty.collect(device);

    const from = this.#hosts.indexOf(old.process);
    const host = await this.#host(from === 0 ? 1 : 0);
    const next = await this.#make(host, this.#recipes.get(endpoint)!, name, endpoint);
    this.elsewhere.add(host, next.endpoint, endpoint);
    const { client } = next;
    try {
      client.wait(this.#client.connect(endpoint, client, { descriptors: this.#descriptors }));
      client.wait(client.features.setState(RESUMING));
      for (const data of stream) client.wait(client.features.writeData(data));
      client.wait(client.features.setState(RUNNING));
      return { ...next, fn: this.#open(endpoint, client) };
    } catch (error) {
      client.close();
      this.#unplug(next);
      throw new Error(`Cannot migrate ${name}: its new home refuses its state`, { cause: error });
    }
  }

  async advance(ms: number): Promise<void> {
    const { clock } = this.#parts;
    checkAdvance(clock, ms);
    this.#settleMaps();
    const late = this.#late;
    for (const host of this.#hosts) host?.do({ kind: "advance", ms });
    clock.advance(ms);
    this.#touched = false;
    // An answer that left before is there by now.
    group.turn(0);
    // Who waits for one goes on before who moved the clock does.
    for (let step = 0; late !== this.#late && step < MICROTASKS; step++) await Promise.resolve();
  }

  takeFaults(): readonly FaultReport[] {
    this.#collect();
    return this.#takeover.takeFaults();
  }

  metrics(): Metrics {
    return this.#alive ? sumMetrics(this.elsewhere.figures()) : NO_METRICS;
  }

  translationLatencies(): Latencies {
    const figures = this.#alive ? this.elsewhere.figures() : [];
    return latenciesOf(figures.flatMap(({ latencies }) => latencies));
  }

  startDirtyTracking(): void {
    this.#collectDirty();
    this.#parts.ram.startDirtyLog();
    for (const device of this.#devices.values()) this.#dirty.log(device);
  }

  takeDirtyPages() {
    this.#collectDirty();
    return this.#parts.ram.takeDirtyPages();
  }

  collectTrace(): number {
    if (this.#options.trace === "on" && this.#alive) this.#collect();
    return this.#dropped;
  }

  async settle(): Promise<void> {
    for (const host of this.#hosts) {
      if (host?.alive === true) await host.doLater({ kind: "settle" });
    }
  }

  async lost(): Promise<string | null> {
    for (const host of this.#hosts) {
      const lost = await host?.lost() ?? null;
      if (lost !== null) return lost;
    }
    return null;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const left: string[] = [];
    try {
      for (const device of this.#devices.values()) device.close();
      for (const process of this.#hosts) {
        if (process === undefined || !process.alive) continue;
        const found = (await process.endMachine()).map((what) => `the server process has ${what}`);
        process.onHappened = () => {};
        left.push(...found);
        // What is left would be found again after the next run.
        if (found.length > 0) process.kill();
      }
    } finally {
      this.#memory[Symbol.dispose]();
    }
    const descriptors = liveDescriptors() - this.#before.descriptors;
    const mappings = liveMappings() - this.#before.mappings;
    const lost = this.#hosts.some((host) => host?.alive === false);
    if (!lost && descriptors !== 0) left.push(`the client has ${descriptors} descriptors more`);
    if (mappings !== 0) left.push(`the client has ${mappings} mappings more`);
    if (left.length > 0) throw new Error(`Something is left behind: ${left.join("; ")}`);
  }

  get #alive(): boolean {
    return this.#hosts.every((host) => host === undefined || host.alive);
  }

  /** The machine's IOMMU: its own tables, and the servers. */
  #control(): MachineIommu {
    const { iommu } = this.#parts;
    const numbers = new DomainNumbers(iommu);
    const client = this.#client;
    const members = (domain: number): VfioUserDevice[] => {
      if (!iommu.hasDomain(domain)) return [];
      return [...iommu.domain(domain).members]
        .map(({ endpoint }) => this.#devices.get(endpoint.id))
        .filter((device) => device !== undefined);
    };
    const one = (endpoint: number): VfioUserDevice[] => {
      const device = this.#devices.get(endpoint);
      return device === undefined ? [] : [device];
    };
    return {
      createDomain: () => Promise.try(() => client.createDomain(numbers.next()).id),
      destroyDomain: async (domain) => {
        this.#collect();
        await this.#answered(client.destroyDomain(domain));
      },
      attach: async (endpoint, domain) => {
        const devices = one(endpoint);
        this.#beforeChange(devices);
        const gone = this.#reached(devices);
        const ticket = client.attach(endpoint, domain);
        this.#lose(devices, gone);
        await this.#answered(ticket);
        for (const device of devices) this.#dirty.log(device);
      },
      detach: async (endpoint) => {
        const devices = one(endpoint);
        this.#beforeChange(devices);
        const gone = this.#reached(devices);
        const ticket = client.detach(endpoint);
        this.#lose(devices, gone);
        await this.#answered(ticket);
      },
      map: async (domain, iova, gpa, length, access) => {
        const devices = members(domain);
        this.#collect();
        if (this.#maps.length === 0) {
          for (const device of devices) device.mustBeFree("map memory for");
        }
        const ticket = client.map(domain, iova, gpa, length, access);
        if (ticket.done) return await this.#answered(ticket);
        // A socket's commands are done in order, and nothing but time makes a device move by
        // itself: before either goes on the answers are there.
        this.#maps.push(ticket);
        if (this.#maps.length >= MAPS_OUT) this.#settleMaps();
      },
      unmap: async (domain, iova, length) => {
        const devices = members(domain);
        this.#beforeChange(devices);
        const gone = devices.length === 0 ? [] : mappingsIn(iommu, domain, iova, length);
        const ticket = client.unmap(domain, iova, length);
        this.#lose(devices, gone);
        const bytes = await this.#answered(ticket);
        this.#collectIdle(devices);
        return bytes;
      },
      startDirtyTracking: (domain, iova, length) =>
        Promise.try(() => {
          this.#collectDirty();
          iommu.startDirtyTracking(domain, iova, length);
          for (const device of members(domain)) this.#dirty.log(device);
        }),
      takeDirtyPages: (domain) =>
        Promise.try(() => {
          this.#collectDirty();
          return iommu.takeDirtyPages(domain);
        }),
    };
  }

  /**
   * The answer. An unmap may wait for DMA in flight: until then it is looked for in the
   * background, and whenever anything else is waited for.
   */
  #answered<T>(ticket: Ticket<T>): Promise<T> {
    if (!ticket.done) group.wait(ticket, GRACE_MS);
    if (ticket.done) return Promise.try(() => ticket.value);
    // Of a machine that is taken down nobody waits for an answer any more.
    served(ticket).catch(() => {});
    return new Promise((resolve, reject) => {
      ticket.whenDone(() => {
        this.#late++;
        if (this.#closed) return;
        if (ticket.error !== null) reject(ticket.error);
        else resolve(ticket.value);
      });
    });
  }

  /** What devices did under the mappings of now is judged, and dated, by them. */
  #beforeChange(devices: readonly VfioUserDevice[]): void {
    this.#settleMaps();
    this.#collect();
    this.#collectIdle(devices);
  }

  /** The mappings of devices that are in one domain. */
  #reached(devices: readonly VfioUserDevice[]): readonly Mapping[] {
    const [device] = devices;
    if (device === undefined) return [];
    return [...this.#parts.iommu.endpoint(device.endpoint).domain?.space.mappings() ?? []];
  }

  /** Devices lose these mappings: what they have written there is still to be asked for. */
  #lose(devices: readonly VfioUserDevice[], mappings: readonly Mapping[]): void {
    for (const device of devices) {
      if (device.logging === "on") this.#dirty.unmapped(device, mappings);
    }
  }

  /** Of a device that has an answer to come the log is asked for when that is there. */
  #collectIdle(devices: readonly VfioUserDevice[]): void {
    for (const device of devices) if (!device.isWaiting) this.#dirty.collect(device);
  }

  #collectDirty(): void {
    for (const device of this.#devices.values()) {
      if (device.logging === "off") continue;
      device.mustBeFree("ask for the dirty pages of");
      this.#dirty.collect(device);
    }
  }

  /** Waits until all that was mapped is there. @throws {VfioUserError} when a server has refused one */
  #settleMaps(): void {
    if (this.#maps.length === 0) return;
    const maps = joinTickets(this.#maps, () => {});
    this.#maps = [];
    group.wait(maps, -1);
    maps.value;
  }

  #collect(): void {
    if (!this.#touched) return;
    for (const host of this.#hosts) host?.do({ kind: "sync" });
    this.#touched = false;
  }

  #begin(index: number, process: ServerProcess): ServerProcess {
    this.#hosts[index] = process;
    process.onHappened = (happened) => {
      this.#takeover.take(process, happened);
      if (this.#parts.iommu.trace.on) this.#dropped += happened.dropped;
    };
    const { seed, trace } = this.#options;
    const { nowNs } = this.#parts.clock;
    process.do({
      kind: "begin",
      seed: mixSeed(seed, "server", index),
      nowNs,
      trace,
      messages: "off",
    });
    this.elsewhere.join(process);
    return process;
  }

  async #host(index: number): Promise<ServerProcess> {
    const there = this.#hosts[index];
    if (there !== undefined) return there;
    const before = liveDescriptors();
    const process = await serverProcess(index);
    // Its control socket stays.
    this.#before.descriptors += liveDescriptors() - before;
    return this.#begin(index, process);
  }

  /** A device that listens, and a connection to it. */
  async #make(
    process: ServerProcess,
    recipe: Recipe,
    name: string,
    number: number,
  ): Promise<Omit<Home, "fn">> {
    const path = process.nextSocket();
    const { endpoint } = await process.askLater({ kind: "plug", ...recipe, name, path });
    try {
      return { process, endpoint, client: this.#connect(path, name, number) };
    } catch (error) {
      this.#unplug({ process, endpoint });
      throw error;
    }
  }

  /** Takes a device away, unless it has gone with its process. */
  #unplug({ process, endpoint }: Pick<Home, "process" | "endpoint">): void {
    if (!process.alive) return;
    try {
      process.do({ kind: "unplug", endpoint });
    } catch (error) {
      if (process.alive) throw error;
    }
  }

  #connect(path: string, name: string, endpoint: number): VfioUserClient {
    const { iommu, ram } = this.#parts;
    const { variant, messages } = this.#options;
    const { max_data_xfer_size, max_msg_fds } = OUR_CAPABILITIES;
    const startedMs = this.#startedMs;
    return VfioUserClient.connect(path, {
      // How long a run may take is its timeout's to say.
      timeoutMs: -1,
      group,
      capabilities: {
        max_dma_maps: MAX_DMA_MAPS,
        max_msg_fds: variant === "messages" ? 0 : max_msg_fds,
        twin_socket: { supported: variant === "twin-socket", fd_index: null },
      },
      handlers: untraced(iommu, this.#client.service(endpoint, ram, max_data_xfer_size)),
      ...(messages === undefined ? {} : {
        tap: ({ direction, bytes, descriptors = 0 }) => {
          if (this.#devices.get(endpoint)?.isLookedAt === true && isRegionRead(bytes)) return;
          messages({
            connection: name,
            timeNs: Math.round((performance.now() - startedMs) * 1e6),
            direction,
            bytes,
            descriptors,
          });
        },
      }),
    });
  }

  #open(endpoint: number, client: VfioUserClient): RemoteFunction {
    const windows = this.#options.variant === "messages" ? "ignore" : "use";
    return RemoteFunction.open(client, { endpoint, windows });
  }

  /** As `PciBus.nextFree()`: device 0 is the host bridge. */
  #nextFree(): number {
    for (let device = 1;; device++) {
      const endpoint = requesterId(0, device);
      if (!this.#devices.has(endpoint)) return endpoint;
    }
  }

  /** See `ReasonOf` of `vfio_user_takeover.ts`. */
  #reason(endpoint: number, iova: Iova, access: number, seen: Fault): Fault {
    const { iommu, ram } = this.#parts;
    const { domain, context } = iommu.endpoint(endpoint);
    if (domain === null && !context.bypass) return Fault.NO_DOMAIN;
    const mapping = domain?.space.mappingAt(iova) ?? null;
    if (domain !== null && mapping === null) return seen;
    if (mapping !== null && (mapping.access & access) !== access) return Fault.PERMISSION;
    const gpa = mapping === null ? iova : mapping.gpa + (iova - mapping.iova);
    const status: Status = ram.check(gpa as typeof ram.regions[0]["start"], 1, access);
    return status === 0 ? seen : status;
  }
}

function isRegionRead(message: Uint8Array): boolean {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  return view.getUint16(VFIO_USER_HEADER.at.command, true) ===
    VfioUserCommand.VFIO_USER_REGION_READ;
}

function mappingsIn(iommu: Iommu, domain: number, iova: Iova, length: number): Mapping[] {
  if (!iommu.hasDomain(domain)) return [];
  const found: Mapping[] = [];
  for (const mapping of iommu.domain(domain).space.mappings(iova)) {
    if (mapping.iova >= iova + length) break;
    found.push(mapping);
  }
  return found;
}

/** Handlers whose accesses leave no trace: it has them from the server that made them. */
function untraced(
  iommu: Iommu,
  handlers: ReadonlyMap<number, ServerCommandHandler>,
): ReadonlyMap<number, ServerCommandHandler> {
  const { trace } = iommu;
  const quiet = (handler: ServerCommandHandler): ServerCommandHandler => (command) => {
    const { on } = trace;
    trace.on = false;
    try {
      return handler(command);
    } finally {
      trace.on = on;
    }
  };
  return new Map([...handlers].map(([command, handler]) => [command, quiet(handler)]));
}
