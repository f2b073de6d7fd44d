/**
 * A process of its own that counts what each way of accessing memory allocates.
 * Argument: JSON of {@linkcode AllocationRequest}; prints JSON, bytes per access by way.
 * @module
 */

import { Access, type Gpa, type Iova, PAGE_SIZE } from "../../../core/address.ts";
import { Iommu } from "../../../core/iommu/iommu.ts";
import { GuestRam } from "../../../core/memory/guest_ram.ts";
import { PAGE_REGISTERS, SOUGHT_PAGE } from "../../../core/memory/page_registers.ts";
import { EndpointCounters } from "../../../core/observe/counters.ts";
import { VirtualClock } from "../../../core/observe/virtual_clock.ts";
import { conditionCore } from "./conditioning.ts";
import type { AllocationReport, AllocationRequest } from "./child_messages.ts";
import { bytesPerAccess } from "./heap_meter.ts";
import { BigIntPageTable } from "./naive_tables.ts";
import { IOVA_BASE, RAM_BASE, ScatteredPages } from "./workload.ts";

const PAGES = 4096;

const { seed, accesses, warmUpCalls, conditioning, addresses } = JSON.parse(
  Deno.args[0]!,
) as AllocationRequest;
// Below 2^31 an address is a small integer to the engine; above, a double that
// takes 16 bytes of heap whenever it is handed to a function that was not inlined. From
// 2^43 on the same goes for its page number.
const iovaBase = addresses === "small" ? 0x1000_0000 : 2 ** 47;
const ramBase = addresses === "small" ? 0x2000_0000 : 2 ** 44;

conditionCore(seed, conditioning);
const pages = new ScatteredPages(PAGES, PAGES, seed);
const order = pages.accesses(PAGES, seed + 1).map((iova) => iova - IOVA_BASE + iovaBase);
const ram = new GuestRam([{ name: "ram", start: ramBase as Gpa, length: PAGES * PAGE_SIZE }]);
const iommu = new Iommu(ram, { clock: new VirtualClock(), seed });
const mapped = iommu.addEndpoint(1).memory;
const bypassed = iommu.addEndpoint(2).memory;
const detached = iommu.addEndpoint(3).memory;
iommu.createDomain(1);
iommu.createDomain(2, "bypass");
iommu.attach(1, 1);
iommu.attach(2, 2);
pages.mapEach((iova, gpa) => {
  const from = (iova - IOVA_BASE + iovaBase) as Iova;
  iommu.map(1, from, (gpa - RAM_BASE + ramBase) as Gpa, PAGE_SIZE, Access.READ_WRITE);
});
const { table } = iommu.domain(1).space;
const counters = new EndpointCounters().values;
const registers = new Float64Array(PAGE_REGISTERS);
const small = new Uint8Array(16);
const middling = new Uint8Array(100);
const page = new Uint8Array(PAGE_SIZE);
const many = new Uint8Array(16 * PAGE_SIZE);
const naive = new BigIntPageTable();
pages.mapEach((iova, gpa) => naive.map(BigInt(iova - IOVA_BASE + iovaBase), BigInt(gpa)));
const bigOrder = Array.from(order, BigInt);

let at = 0;
let sink = 0;
/** Where sixteen pages in a row are mapped, each to another place. */
const START = iovaBase as Iova;

/**
 * A loop of its own for each way: one loop that is given what to do would not be
 * compiled into one piece, and box each address to pass it on.
 */
const ways: Readonly<Record<string, (count: number) => void>> = {
  translate: (count) => {
    for (let i = 0; i < count; i++) {
      registers[SOUGHT_PAGE] = Math.floor(order[at]! / PAGE_SIZE);
      sink ^= table.translatePage(registers, Access.READ, counters);
      if (++at === order.length) at = 0;
    }
  },
  "read-u8": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.readU8(order[at]! as Iova);
      if (++at === order.length) at = 0;
    }
  },
  "read-u16": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.readU16(order[at]! as Iova);
      if (++at === order.length) at = 0;
    }
  },
  "read-u32": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.readU32(order[at]! as Iova);
      if (++at === order.length) at = 0;
    }
  },
  "read-u64": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.readU64(order[at]! as Iova);
      if (++at === order.length) at = 0;
    }
  },
  "write-u8": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.writeU8(order[at]! as Iova, 0x12);
      if (++at === order.length) at = 0;
    }
  },
  "write-u16": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.writeU16(order[at]! as Iova, 0x1234);
      if (++at === order.length) at = 0;
    }
  },
  "write-u32": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.writeU32(order[at]! as Iova, 0x1234_5678);
      if (++at === order.length) at = 0;
    }
  },
  "write-u64": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.writeU64(order[at]! as Iova, 0x1234_5678_9abc);
      if (++at === order.length) at = 0;
    }
  },
  "atomic-load-4": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.atomicLoad(order[at]! as Iova, 4);
      if (++at === order.length) at = 0;
    }
  },
  "atomic-load-8": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.atomicLoad(order[at]! as Iova, 8);
      if (++at === order.length) at = 0;
    }
  },
  "atomic-store-4": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.atomicStore(order[at]! as Iova, 4, 0x1234_5678);
      if (++at === order.length) at = 0;
    }
  },
  "atomic-store-8": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.atomicStore(order[at]! as Iova, 8, 0x1234_5678_9abc);
      if (++at === order.length) at = 0;
    }
  },
  "across-pages": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.readU32((order[at]! - order[at]! % PAGE_SIZE - 2) as Iova);
      if (++at === order.length) at = 0;
    }
  },
  bypass: (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= bypassed.readU64((order[at]! - iovaBase + ramBase) as Iova);
      if (++at === order.length) at = 0;
    }
  },
  fault: (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= detached.readU64(order[at]! as Iova);
      if (++at === order.length) at = 0;
    }
  },
  "read-16": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.read(order[at]! as Iova, small);
      if (++at === order.length) at = 0;
    }
  },
  "read-100": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.read(order[at]! as Iova, middling);
      if (++at === order.length) at = 0;
    }
  },
  "write-100": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.write(order[at]! as Iova, middling);
      if (++at === order.length) at = 0;
    }
  },
  "read-4096": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.read((order[at]! - order[at]! % PAGE_SIZE) as Iova, page);
      if (++at === order.length) at = 0;
    }
  },
  "write-4096": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.write((order[at]! - order[at]! % PAGE_SIZE) as Iova, page);
      if (++at === order.length) at = 0;
    }
  },
  "read-4096-across": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.read(order[at]! as Iova, page);
      if (++at === order.length) at = 0;
    }
  },
  "write-4096-across": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= mapped.write(order[at]! as Iova, page);
      if (++at === order.length) at = 0;
    }
  },
  // A sixteenth of the accesses, of sixteen pages each.
  "read-64k": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= (i & 15) === 0 ? mapped.read(START, many) : 0;
      if (++at === order.length) at = 0;
    }
  },
  "write-64k": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= (i & 15) === 0 ? mapped.write(START, many) : 0;
      if (++at === order.length) at = 0;
    }
  },
  // What must show: were this 0, the meter would be broken.
  "map-bigint": (count) => {
    for (let i = 0; i < count; i++) {
      sink ^= Number(naive.translate(bigOrder[at]!)! & 0xfffn);
      if (++at === order.length) at = 0;
    }
  },
};

const report: AllocationReport = { ways: [] };
for (const [name, access] of Object.entries(ways)) {
  // Until nothing is compiled any more, which allocates.
  for (let call = 0; call < warmUpCalls; call++) access(10_000);
  report.ways.push({ name, bytesPerAccess: bytesPerAccess(access, accesses) });
}
// Printed, so that nothing was computed for nobody.
report.sink = sink;
await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(report)));
