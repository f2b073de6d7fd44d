/**
 * Lanes of a device's random 8-byte reads: `direct`, through the IOMMU to guest RAM; and `server`,
 * through a server's IOMMU and memory to a file that a client has passed with each of its mappings.
 * The same pages, the same accesses, the same sum.
 * @module
 */

import { Access, type Gpa, type Iova, PAGE_SIZE } from "../../../core/address.ts";
import { Iommu } from "../../../core/iommu/iommu.ts";
import { GuestRam } from "../../../core/memory/guest_ram.ts";
import type { Memory } from "../../../core/memory/memory.ts";
import { VirtualClock } from "../../../core/observe/virtual_clock.ts";
import { createSharedMemory, Mapping } from "../../../protocols/linux/mapping.ts";
import { Reactor } from "../../../protocols/linux/reactor.ts";
import { DMA_MAP } from "../../../protocols/vfio_user/messages/dma_map.ts";
import type { RemoteAccess } from "../../../protocols/vfio_user/server/backing.ts";
import { DmaRegions } from "../../../protocols/vfio_user/server/dma_regions.ts";
import { ServerMachine } from "../../../protocols/vfio_user/server/server_machine.ts";
import { conditionCore } from "../core/conditioning.ts";
import { numberOf, RAM_BASE, ScatteredPages, selfDescribingBytes } from "../core/workload.ts";
import type { LaneFactory, LaneParameters, Subject } from "../subject.ts";

class Reads implements Subject {
  readonly name: string;
  readonly pass: number;
  readonly #memory: Memory<Iova>;
  readonly #order: Float64Array;
  #at = 0;

  constructor(name: string, memory: Memory<Iova>, order: Float64Array) {
    this.name = name;
    this.pass = order.length;
    this.#memory = memory;
    this.#order = order;
  }

  run(operations: number): number {
    const order = this.#order;
    const memory = this.#memory;
    let at = this.#at;
    let sum = 0;
    for (let i = 0; i < operations; i++) {
      sum += memory.readU64(order[at]! as Iova);
      if (++at === order.length) at = 0;
    }
    this.#at = at;
    return sum;
  }
}

/** Every mapping has a descriptor. */
const nobody: RemoteAccess = {
  transferred: 0,
  dmaRead: () => {
    throw new Error("A mapping came without its descriptor");
  },
  dmaWrite: () => {
    throw new Error("A mapping came without its descriptor");
  },
};

function workload(parameters: LaneParameters): { pages: ScatteredPages; order: Float64Array } {
  const seed = numberOf(parameters, "seed");
  const count = numberOf(parameters, "pages");
  conditionCore(seed, numberOf(parameters, "conditioning"));
  const pages = new ScatteredPages(count, numberOf(parameters, "frames"), seed);
  return { pages, order: pages.accesses(count, seed + 1) };
}

/** Parameters: `seed`; `conditioning`; `pages` mapped to `frames`. */
export const dmaLanes: Readonly<Record<string, LaneFactory>> = {
  direct: (parameters) => {
    const { pages, order } = workload(parameters);
    const ram = new GuestRam([{
      name: "ram",
      start: RAM_BASE as Gpa,
      length: pages.frames * PAGE_SIZE,
      bytes: selfDescribingBytes(pages.frames),
    }]);
    const iommu = new Iommu(ram, {
      clock: new VirtualClock(),
      seed: numberOf(parameters, "seed"),
    });
    const { memory } = iommu.addEndpoint(1);
    iommu.createDomain(1);
    iommu.attach(1, 1);
    pages.mapEach((iova, gpa) => iommu.map(1, iova, gpa, PAGE_SIZE, Access.READ_WRITE));
    return [new Reads("direct", memory, order)];
  },
  server: (parameters) => {
    const { pages, order } = workload(parameters);
    const length = pages.frames * PAGE_SIZE;
    const file = createSharedMemory("bench", length);
    const filling = Mapping.map(file.fd, 0, length, "read-write");
    if (typeof filling === "number") throw new Error(`Cannot map the file: errno ${-filling}`);
    filling.bytes.set(selfDescribingBytes(pages.frames));
    filling.close();
    const machine = new ServerMachine({
      reactor: new Reactor({ spin: "off" }),
      seed: numberOf(parameters, "seed"),
    });
    const { memory } = machine.iommu.addEndpoint(1);
    machine.iommu.createDomain(1);
    machine.iommu.attach(1, 1);
    const regions = new DmaRegions(machine, 1);
    const request = DMA_MAP.request.create();
    request.size = PAGE_SIZE;
    request.flags = Access.READ_WRITE;
    pages.mapEach((iova, gpa) => {
      request.address = iova;
      request.offset = gpa - RAM_BASE;
      const result = regions.map(request, file.duplicate(), nobody, Infinity);
      if (result !== 0) throw new Error(`Cannot map a page: errno ${-result}`);
    });
    return [new Reads("server", memory, order)];
  },
};
