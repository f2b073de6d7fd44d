/**
 * Ten million translated accesses leave the heap flat: nothing on the access path
 * allocates. Measured in a process of its own, so that nobody else's objects are
 * counted, by what is allocated and not by what survives a collection.
 */

import { assert, assertEquals } from "@std/assert";
import { Access, type Gpa, type Iova, PAGE_SIZE } from "../../core/address.ts";
import { Iommu } from "../../core/iommu/iommu.ts";
import type { IommuMemory } from "../../core/iommu/iommu_memory.ts";
import { GuestRam } from "../../core/memory/guest_ram.ts";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";

const PAGES = 65536;
/** Of IOVA per page: each page is translated by itself. */
const RAM_PAGES = 4096;
/** Even numbers of pages, and offsets in a region, are beyond 2^31, where V8 allocates for a number that it hands from call to call. */
const IOVA_BASE = 2 ** 47;
const GPA_BASE = 2 ** 44;
const REGION = 2 ** 32;
/** Few enough that one object each does not yet fill the young generation: no collection hides it. */
const BLOCK = 20_000;
/** Blocks in a row that must be flat before measuring: until the compiler is done, its early code allocates. */
const STEADY = 50;
/** Blocks after which measuring begins in any case. */
const WARM_UP = 500;
const MEASURED = 2_000_000;
/** What a block may make the heap grow by, at the median: the result of the measurement itself. */
const BLOCK_BYTES = 512;
/** What all blocks together may. */
const TOTAL_BYTES = 64 * 1024 * MEASURED / 1e6;

const EIGHT = new Uint8Array(8);
/** At another place in its word than what it is copied to. */
const HUNDRED = new Uint8Array(108).subarray(7, 107);

/** What is measured, by name: one access of each kind at pages in no order. */
const LOOPS: Record<string, (memory: IommuMemory, buffer: Uint8Array, count: number) => number> = {
  readU32(memory, _buffer, count) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += memory.readU32(iovaOf(i));
    return sum;
  },
  writeU32(memory, _buffer, count) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += memory.writeU32(iovaOf(i), i);
    return sum;
  },
  readU64(memory, _buffer, count) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += memory.readU64(iovaOf(i));
    return sum;
  },
  atomics(memory, _buffer, count) {
    let sum = 0;
    for (let i = 0; i < count; i += 2) {
      sum += memory.atomicStore(iovaOf(i), 4, i);
      sum += memory.atomicLoad(iovaOf(i), 8);
    }
    return sum;
  },
  read(memory, _buffer, count) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += memory.read(iovaOf(i), EIGHT);
    return sum;
  },
  readHundred(memory, _buffer, count) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += memory.read(iovaOf(i), HUNDRED);
    return sum;
  },
  writeHundred(memory, _buffer, count) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += memory.write(iovaOf(i), HUNDRED);
    return sum;
  },
  readPage(memory, buffer, count) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += memory.read(iovaOf(i) - 64 as Iova, buffer);
    return sum;
  },
  writeAcross(memory, buffer, count) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += memory.write(iovaOf(i), buffer);
    return sum;
  },
  fault(memory, _buffer, count) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += memory.readU32(2 ** 45 + i * PAGE_SIZE as Iova);
    return sum;
  },
};

/** What the measurement must notice: one small object an access. */
const CONTROL = "readU32, and one object each";
const kept: { value: number }[] = [{ value: 0 }];
LOOPS[CONTROL] = (memory, _buffer, count) => {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    kept[0] = { value: memory.readU32(iovaOf(i)) };
    sum += kept[0].value;
  }
  return sum;
};

function iovaOf(i: number): Iova {
  // The last page stays out: what begins there may end beyond.
  return IOVA_BASE + (i * 40_503 % (PAGES - 1)) * PAGE_SIZE + 64 as Iova;
}

interface Measured {
  readonly name: string;
  /** Bytes by which each block made the used heap grow; negative where a collection came. */
  readonly growth: readonly number[];
  /** Used heap after a collection, before the first block and after the last. */
  readonly before: number;
  readonly after: number;
  readonly faults: number;
}

function measure(name: string): Measured {
  const ram = new GuestRam([{
    name: "ram",
    start: GPA_BASE as Gpa,
    length: REGION,
  }]);
  const iommu = new Iommu(ram, { clock: new VirtualClock(), seed: 1 });
  iommu.createDomain(1);
  for (let page = 0; page < PAGES; page++) {
    const gpa = GPA_BASE + REGION - (page * 7919 % RAM_PAGES + 1) * PAGE_SIZE;
    iommu.map(1, IOVA_BASE + page * PAGE_SIZE as Iova, gpa as Gpa, PAGE_SIZE, Access.READ_WRITE);
  }
  const endpoint = iommu.addEndpoint(8);
  iommu.attach(8, 1);
  const loop = LOOPS[name]!;
  const buffer = new Uint8Array(PAGE_SIZE);
  let steady = 0;
  for (let block = 0; block < WARM_UP && steady < STEADY; block++) {
    const used = Deno.memoryUsage().heapUsed;
    loop(endpoint.memory, buffer, BLOCK);
    const growth = Deno.memoryUsage().heapUsed - used;
    // Compilation goes in steps, each after many calls: the first blocks prove nothing.
    steady = block >= STEADY && growth >= 0 && growth <= BLOCK_BYTES ? steady + 1 : 0;
  }
  const { gc } = globalThis as unknown as { gc: () => void };
  const samples = new Float64Array(MEASURED / BLOCK + 1);
  gc();
  samples[0] = Deno.memoryUsage().heapUsed;
  for (let block = 1; block < samples.length; block++) {
    loop(endpoint.memory, buffer, BLOCK);
    samples[block] = Deno.memoryUsage().heapUsed;
  }
  gc();
  const after = Deno.memoryUsage().heapUsed;
  return {
    name,
    growth: Array.from(samples.subarray(1), (used, i) => used - samples[i]!),
    before: samples[0]!,
    after,
    faults: endpoint.faults.recorded,
  };
}

async function measureApart(name: string): Promise<Measured> {
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--v8-flags=--expose-gc,--no-concurrent-recompilation",
      import.meta.url,
      name,
    ],
    stdout: "piped",
    stderr: "piped",
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** Why the heap was not flat; empty when it was. */
function complaints({ growth, before, after }: Measured): string[] {
  const sorted = [...growth].sort((a, b) => a - b);
  const median = sorted[sorted.length >> 1]!;
  const total = growth.reduce((sum, bytes) => sum + Math.max(0, bytes), 0);
  const collections = growth.filter((bytes) => bytes < 0).length;
  const result: string[] = [];
  if (median > BLOCK_BYTES) result.push(`${median} bytes by ${BLOCK} accesses at the median`);
  if (total > TOTAL_BYTES) result.push(`${total} bytes by ${MEASURED} accesses`);
  if (collections > 1) result.push(`${collections} collections`);
  if (after - before > 64 * 1024) result.push(`${after - before} bytes stayed`);
  return result;
}

const [asked] = Deno.args;
if (import.meta.main && asked !== undefined && asked in LOOPS) {
  await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(measure(asked))));
}

for (const name of Object.keys(LOOPS).filter((name) => name !== CONTROL)) {
  Deno.test(`IommuMemory: two million accesses leave the heap flat: ${name}`, async () => {
    const measured = await measureApart(name);
    assertEquals(complaints(measured), [], JSON.stringify(measured.growth));
    assertEquals(measured.faults > 0, name === "fault");
  });
}

Deno.test("IommuMemory: the measurement of a flat heap sees one small object an access", async () => {
  const found = complaints(await measureApart(CONTROL));
  assert(found.length >= 2, found.join(", "));
});
