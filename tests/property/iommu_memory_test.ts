/**
 * IommuMemory against a model that looks at one byte at a time: several domains,
 * endpoints, permissions, holes and regions; results, bytes, fault records, byte
 * counts and dirty pages must all agree.
 */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Access, Fault, type Gpa, type Iova } from "../../core/address.ts";
import { Iommu } from "../../core/iommu/iommu.ts";
import { IommuError } from "../../core/iommu/iommu_error.ts";
import { GuestRam } from "../../core/memory/guest_ram.ts";
import type { ScalarSize } from "../../core/memory/memory.ts";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";

const PAGE = 4096;
const ENDPOINTS = [8, 16, 24];
const DOMAINS = [1, 2];
/** Two adjacent regions, a read-only one, a hole, and one above 4 GiB. */
const REGIONS = [
  { name: "a", start: 0 as Gpa, length: 2 * PAGE },
  { name: "b", start: 2 * PAGE as Gpa, length: PAGE },
  { name: "rom", start: 3 * PAGE as Gpa, length: PAGE, readOnly: true },
  { name: "high", start: 2 ** 32 as Gpa, length: 2 * PAGE },
];
/** Where IOVAs are: a few pages at both ends of the space, and around 4 GiB. */
const BASES = [0, 2 ** 32 - 2 * PAGE, 2 ** 52 - 4 * PAGE];
const SPAN = 4 * PAGE;

type Step =
  | { kind: "map"; domain: number; iova: number; gpa: number; length: number; access: number }
  | { kind: "unmap"; domain: number; iova: number; length: number }
  | { kind: "attach"; endpoint: number; domain: number }
  | { kind: "detach"; endpoint: number }
  | { kind: "bypass"; state: "on" | "off" }
  | { kind: "read" | "write"; endpoint: number; iova: number; length: number; fill: number }
  | { kind: "readScalar"; endpoint: number; iova: number; size: ScalarSize }
  | { kind: "writeScalar"; endpoint: number; iova: number; size: ScalarSize; value: number }
  | { kind: "atomicLoad"; endpoint: number; iova: number; size: ScalarSize }
  | { kind: "atomicStore"; endpoint: number; iova: number; size: ScalarSize; value: number }
  | { kind: "slices" | "pin"; endpoint: number; iova: number; length: number; access: number }
  | { kind: "check"; endpoint: number; iova: number; length: number; access: number };

const endpoint = fc.constantFrom(...ENDPOINTS);
const domain = fc.constantFrom(...DOMAINS);
/** Where the mappings that are there from the start touch, so that accesses across them are common. */
const CUTS = [PAGE, PAGE + 6, PAGE + 0x804, 2 * PAGE];
const offset = fc.oneof(
  fc.tuple(fc.constantFrom(...CUTS), fc.nat(8)).map(([cut, before]) => cut - before),
  fc.constantFrom(0, PAGE, 2 * PAGE, 3 * PAGE),
  fc.constantFrom(0, 8, PAGE - 8, PAGE - 4, PAGE - 3, PAGE - 1, 2 * PAGE - 2, SPAN - 1),
  fc.nat(SPAN - 1),
);
const iova = fc.tuple(fc.constantFrom(...BASES), offset).map(([base, at]) => base + at);
const gpa = fc.oneof(
  fc.constantFrom(0, PAGE, 2 * PAGE, 3 * PAGE, 2 ** 32, 2 ** 32 + PAGE),
  fc.nat(5 * PAGE),
  fc.nat(2 * PAGE).map((at) => 2 ** 32 - 64 + at),
);
const mapLength = fc.oneof(
  fc.constantFrom(PAGE, PAGE, 2 * PAGE, 4 * PAGE),
  fc.integer({ min: 1, max: 2 * PAGE }),
  fc.integer({ min: 1, max: 16 }),
);
const length = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc.integer({ min: 0, max: 2 * PAGE }),
  fc.constant(3 * PAGE),
);
const access = fc.constantFrom(Access.READ, Access.WRITE, Access.READ_WRITE);
const size = fc.constantFrom<ScalarSize>(1, 2, 4, 8);
const value = fc.oneof(
  fc.constantFrom(0, 1, 0xffff_ffff, 2 ** 32, Number.MAX_SAFE_INTEGER),
  fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("map" as const),
      domain,
      iova,
      gpa,
      length: mapLength,
      access: fc.constantFrom(0, 1, 2, 3, 3, 3, 3, 3),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("unmap" as const), domain, iova, length: mapLength }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("attach" as const), endpoint, domain }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("detach" as const), endpoint }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("bypass" as const),
      state: fc.constantFrom("on" as const, "off" as const),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom("read" as const, "write" as const),
      endpoint,
      iova,
      length,
      fill: fc.nat(255),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("readScalar" as const), endpoint, iova, size }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("writeScalar" as const),
      endpoint,
      iova,
      size,
      value,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("atomicLoad" as const), endpoint, iova, size }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("atomicStore" as const),
      endpoint,
      iova,
      size,
      value,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom("slices" as const, "pin" as const),
      endpoint,
      iova,
      length,
      access,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("check" as const), endpoint, iova, length, access }),
  },
);

interface ModelMapping {
  readonly iova: number;
  readonly gpa: number;
  readonly length: number;
  readonly access: number;
}

interface Place {
  readonly gpa: number;
  readonly mapping: ModelMapping | null;
}

/** What comes of a change: it is made, or refused with a code. */
type Outcome = "ok" | IommuError["code"];

/** How far an access gets, byte by byte. */
interface Walk {
  readonly places: readonly Place[];
  readonly fault: number;
}

class Model {
  readonly bytes = new Map<number, number>();
  readonly domains = new Map<number, ModelMapping[]>(DOMAINS.map((id) => [id, []]));
  readonly attached = new Map<number, number>();
  bypass = false;
  readonly dirtyGpas = new Set<number>();
  readonly dirtyIovas = new Map<number, Set<number>>(DOMAINS.map((id) => [id, new Set<number>()]));
  readonly readBytes = new Map<number, number>(ENDPOINTS.map((id) => [id, 0]));
  readonly writtenBytes = new Map<number, number>(ENDPOINTS.map((id) => [id, 0]));
  faults: { endpoint: number; iova: number; access: number; reason: number }[] = [];

  map(domain: number, mapping: ModelMapping): Outcome {
    const { iova, gpa, length } = mapping;
    if (iova + length > 2 ** 52 || gpa + length > 2 ** 52) return "range";
    const there = this.domains.get(domain)!;
    if (there.some((m) => m.iova < iova + length && iova < m.iova + m.length)) return "exists";
    there.push(mapping);
    return "ok";
  }

  unmap(domain: number, iova: number, length: number): Outcome {
    const end = iova + length;
    if (end > 2 ** 52) return "range";
    const there = this.domains.get(domain)!;
    const met = there.filter((m) => m.iova < end && iova < m.iova + m.length);
    if (met.some((m) => m.iova < iova || m.iova + m.length > end)) return "range";
    this.domains.set(domain, there.filter((m) => !met.includes(m)));
    return "ok";
  }

  place(endpoint: number, iova: number, access: number): Place | number {
    const domain = this.attached.get(endpoint);
    if (domain === undefined && !this.bypass) return Fault.NO_DOMAIN;
    let gpa = iova;
    let mapping: ModelMapping | null = null;
    if (domain !== undefined) {
      mapping = this.domains.get(domain)!.find((m) => m.iova <= iova && iova < m.iova + m.length) ??
        null;
      if (mapping === null) return Fault.UNMAPPED;
      if ((mapping.access & access) !== access) return Fault.PERMISSION;
      gpa = mapping.gpa + (iova - mapping.iova);
    }
    const region = REGIONS.find((r) => r.start <= gpa && gpa < r.start + r.length);
    if (region === undefined) return Fault.NO_MEMORY;
    if (region.readOnly && (access & Access.WRITE) !== 0) return Fault.PERMISSION;
    return { gpa, mapping };
  }

  walk(endpoint: number, iova: number, length: number, access: number): Walk {
    const places: Place[] = [];
    for (let i = 0; i < length; i++) {
      const place = this.place(endpoint, iova + i, access);
      if (typeof place === "number") return { places, fault: place };
      places.push(place);
    }
    return { places, fault: 0 };
  }

  refuse(endpoint: number, iova: number, access: number, reason: number): void {
    this.faults.push({ endpoint, iova, access, reason });
  }

  didRead(endpoint: number, length: number): void {
    this.readBytes.set(endpoint, this.readBytes.get(endpoint)! + length);
  }

  didWrite(endpoint: number, iova: number, places: readonly Place[]): void {
    this.writtenBytes.set(endpoint, this.writtenBytes.get(endpoint)! + places.length);
    const domain = this.attached.get(endpoint);
    places.forEach(({ gpa }, i) => {
      this.dirtyGpas.add(gpa - gpa % PAGE);
      const at = iova + i;
      if (domain !== undefined) this.dirtyIovas.get(domain)!.add(at - at % PAGE);
    });
  }

  byteAt(gpa: number): number {
    return this.bytes.get(gpa) ?? 0;
  }
}

function outcomeOf(change: () => unknown): Outcome {
  try {
    change();
    return "ok";
  } catch (error) {
    assert(error instanceof IommuError);
    return error.code;
  }
}

function bytesOf(value: number, size: number): number[] {
  return Array.from({ length: size }, (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 0xffn));
}

function numberOf(bytes: readonly number[]): number {
  const value = bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return value >= 2n ** 53n ? Fault.TOO_WIDE : Number(value);
}

class Bench {
  readonly model = new Model();
  readonly ram = new GuestRam(REGIONS);
  readonly iommu = new Iommu(this.ram, { clock: new VirtualClock(), seed: 5 });
  accesses = 0;
  faulted = 0;

  constructor() {
    for (const id of ENDPOINTS) this.iommu.addEndpoint(id);
    for (const id of DOMAINS) this.iommu.createDomain(id);
    for (const region of this.ram.regions) {
      for (let i = 0; i < region.length; i++) {
        const byte = (i * 31 + (i >> 8) * 7 + region.start / PAGE) & 0xff;
        region.bytes[i] = byte;
        this.model.bytes.set(region.start + i, byte);
      }
    }
    this.ram.startDirtyLog();
    // A domain has one range of dirty pages: the one that most accesses are to.
    for (const id of DOMAINS) this.iommu.startDirtyTracking(id, 0 as Iova, SPAN);
    this.attach(8, 1);
    this.attach(16, 2);
    for (const base of BASES) {
      let at = 0;
      for (const [i, cut] of CUTS.entries()) {
        const [iova, gpa, length] = [base + at, i * 0xa04, cut - at];
        this.run({ kind: "map", domain: 1, iova, gpa, length, access: Access.READ_WRITE });
        at = cut;
      }
    }
  }

  attach(endpoint: number, domain: number): void {
    this.iommu.attach(endpoint, domain);
    this.model.attached.set(endpoint, domain);
  }

  run(todo: Step): void {
    const { model, iommu } = this;
    switch (todo.kind) {
      case "map": {
        const { domain, iova, gpa, length, access } = todo;
        const expected = model.map(domain, { iova, gpa, length, access });
        const map = () => iommu.map(domain, iova as Iova, gpa as Gpa, length, access);
        assertEquals(outcomeOf(map), expected);
        return;
      }
      case "unmap": {
        const { domain, iova, length } = todo;
        const expected = model.unmap(domain, iova, length);
        assertEquals(outcomeOf(() => iommu.unmap(domain, iova as Iova, length)), expected);
        return;
      }
      case "attach":
        return this.attach(todo.endpoint, todo.domain);
      case "detach":
        iommu.detach(todo.endpoint);
        model.attached.delete(todo.endpoint);
        return;
      case "bypass":
        iommu.setBypass(todo.state);
        model.bypass = todo.state === "on";
        return;
      default:
        this.accesses++;
        this.access(todo);
    }
  }

  access(todo: Exclude<Step, { kind: "map" | "unmap" | "attach" | "detach" | "bypass" }>): void {
    const { model } = this;
    const { endpoint } = todo;
    const { memory } = this.iommu.endpoint(endpoint);
    const iova = todo.iova as Iova;
    switch (todo.kind) {
      case "read": {
        const walk = model.walk(endpoint, iova, todo.length, Access.READ);
        const into = new Uint8Array(todo.length).fill(todo.fill);
        const expected = into.slice();
        walk.places.forEach(({ gpa }, i) => expected[i] = model.byteAt(gpa));
        this.end(walk, iova, endpoint, Access.READ, memory.read(iova, into));
        assertEquals(memory.transferred, walk.places.length);
        assertEquals(into, expected);
        return;
      }
      case "write": {
        const walk = model.walk(endpoint, iova, todo.length, Access.WRITE);
        const from = Uint8Array.from({ length: todo.length }, (_, i) => (i * 3 + todo.fill) & 255);
        this.end(walk, iova, endpoint, Access.WRITE, memory.write(iova, from));
        assertEquals(memory.transferred, walk.places.length);
        // In ascending order: where two bytes go to one place, the later one stays.
        walk.places.forEach(({ gpa }, i) => model.bytes.set(gpa, from[i]!));
        return;
      }
      case "readScalar": {
        const walk = model.walk(endpoint, iova, todo.size, Access.READ);
        const value = numberOf(walk.places.map(({ gpa }) => model.byteAt(gpa)));
        const actual = todo.size === 1
          ? memory.readU8(iova)
          : todo.size === 2
          ? memory.readU16(iova)
          : todo.size === 4
          ? memory.readU32(iova)
          : memory.readU64(iova);
        if (walk.fault === 0 && value < 0) this.unfit(endpoint, actual, value);
        else this.end(walk, iova, endpoint, Access.READ, actual, value);
        return;
      }
      case "writeScalar": {
        const walk = model.walk(endpoint, iova, todo.size, Access.WRITE);
        const actual = todo.size === 1
          ? memory.writeU8(iova, todo.value)
          : todo.size === 2
          ? memory.writeU16(iova, todo.value)
          : todo.size === 4
          ? memory.writeU32(iova, todo.value)
          : memory.writeU64(iova, todo.value);
        this.end(walk, iova, endpoint, Access.WRITE, actual);
        const bytes = bytesOf(todo.value, todo.size);
        walk.places.forEach(({ gpa }, i) => model.bytes.set(gpa, bytes[i]!));
        return;
      }
      case "atomicLoad":
      case "atomicStore": {
        const { size } = todo;
        const access = todo.kind === "atomicLoad" ? Access.READ : Access.WRITE;
        const actual = todo.kind === "atomicLoad"
          ? memory.atomicLoad(iova, size)
          : memory.atomicStore(iova, size, size === 8 ? todo.value : todo.value % 2 ** (8 * size));
        if (iova % size !== 0) return this.unfit(endpoint, actual, Fault.STRADDLES);
        const first = model.place(endpoint, iova, access);
        // Whether memory is there matters only once the bytes are found to be in one
        // mapping: what the mapping says comes first.
        const mapping = this.mappingOf(endpoint, iova, access);
        if (mapping !== undefined && mapping !== null) {
          if (iova + size > mapping.iova + mapping.length) {
            return this.unfit(endpoint, actual, Fault.STRADDLES);
          }
          if ((mapping.gpa + (iova - mapping.iova)) % size !== 0) {
            return this.unfit(endpoint, actual, Fault.STRADDLES);
          }
        }
        if (typeof first === "number") {
          return this.end({ places: [], fault: first }, iova, endpoint, access, actual);
        }
        const walk = model.walk(endpoint, iova, size, access);
        if (todo.kind === "atomicStore") {
          this.end(walk, iova, endpoint, access, actual);
          const bytes = bytesOf(todo.value, size);
          walk.places.forEach(({ gpa }, i) => model.bytes.set(gpa, bytes[i]!));
          return;
        }
        const value = numberOf(walk.places.map(({ gpa }) => model.byteAt(gpa)));
        if (value < 0) this.unfit(endpoint, actual, value);
        else this.end(walk, iova, endpoint, access, actual, value);
        return;
      }
      case "slices":
      case "pin": {
        const { length, access } = todo;
        const walk = model.walk(endpoint, iova, length, access);
        const result = todo.kind === "slices"
          ? memory.slices(iova, length, access)
          : memory.pin(iova, length, access);
        if (typeof result === "number") {
          assertEquals<number>(result, walk.fault);
          this.faulted++;
          model.refuse(endpoint, iova + walk.places.length, access, result);
          // Pages of the part before the fault may count as dirty: nobody was promised they do not.
          this.forgetDirty();
          return;
        }
        assertEquals(walk.fault, 0);
        const views = "slices" in result ? result.slices : result;
        const bytes = views.flatMap((view) => [...view]);
        assertEquals(bytes, walk.places.map(({ gpa }) => model.byteAt(gpa)));
        if ((access & Access.WRITE) !== 0) {
          model.didWrite(endpoint, iova, walk.places);
          let at = 0;
          for (const view of views) {
            for (let i = 0; i < view.length; i++) view[i] = at++ & 255;
          }
          walk.places.forEach(({ gpa }, i) => model.bytes.set(gpa, i & 255));
        }
        if ((access & Access.READ) !== 0) model.didRead(endpoint, length);
        if ("release" in result) result.release();
        return;
      }
      case "check": {
        const walk = model.walk(endpoint, iova, todo.length, todo.access);
        assertEquals(memory.check(iova, todo.length, todo.access) as number, walk.fault);
      }
    }
  }

  /** Of a byte that may be accessed so; null in bypass, undefined when it may not. */
  mappingOf(endpoint: number, iova: number, access: number): ModelMapping | null | undefined {
    const domain = this.model.attached.get(endpoint);
    if (domain === undefined) return this.model.bypass ? null : undefined;
    return this.model.domains.get(domain)!.find((m) =>
      m.iova <= iova && iova < m.iova + m.length && (m.access & access) === access
    );
  }

  /** An access that went as far as `walk`: the result, and what it leaves behind. */
  end(
    walk: Walk,
    iova: number,
    endpoint: number,
    access: number,
    actual: number,
    value = 0,
  ): void {
    assertEquals(actual, walk.fault === 0 ? value : walk.fault);
    if (access === Access.READ) this.model.didRead(endpoint, walk.places.length);
    else this.model.didWrite(endpoint, iova, walk.places);
    if (walk.fault === 0) return;
    this.faulted++;
    this.model.refuse(endpoint, iova + walk.places.length, access, walk.fault);
  }

  /** The device's own mistake: no fault of translation, nothing stored. Bytes may count as read. */
  unfit(endpoint: number, actual: number, expected: number): void {
    assertEquals(actual, expected);
    const { dmaReadBytes } = this.iommu.endpoint(endpoint).counters.snapshot();
    this.model.readBytes.set(endpoint, dmaReadBytes);
  }

  forgetDirty(): void {
    this.ram.takeDirtyPages();
    this.model.dirtyGpas.clear();
    for (const id of DOMAINS) {
      this.iommu.takeDirtyPages(id);
      this.model.dirtyIovas.get(id)!.clear();
    }
  }

  check(): void {
    const { model, iommu, ram } = this;
    const faults = iommu.drainFaults().map(({ endpoint, iova, access, reason }) => ({
      endpoint,
      iova: iova as number,
      access,
      reason: reason as number,
    }));
    assertEquals(faults, model.faults);
    model.faults = [];
    for (const id of ENDPOINTS) {
      const { dmaReadBytes, dmaWriteBytes } = iommu.endpoint(id).counters.snapshot();
      assertEquals(
        [id, dmaReadBytes, dmaWriteBytes],
        [id, model.readBytes.get(id)!, model.writtenBytes.get(id)!],
      );
    }
    assertEquals(ram.takeDirtyPages() as number[], ascending(model.dirtyGpas));
    model.dirtyGpas.clear();
    for (const id of DOMAINS) {
      const expected = ascending(model.dirtyIovas.get(id)!).filter((page) => page < SPAN);
      assertEquals(iommu.takeDirtyPages(id) as number[], expected);
      model.dirtyIovas.get(id)!.clear();
    }
  }

  checkMemory(): void {
    for (const region of this.ram.regions) {
      for (let i = 0; i < region.length; i++) {
        const expected = this.model.byteAt(region.start + i);
        if (region.bytes[i] !== expected) {
          assertEquals([region.name, i, region.bytes[i]], [region.name, i, expected]);
        }
      }
    }
  }
}

function ascending(numbers: Iterable<number>): number[] {
  return [...numbers].sort((a, b) => a - b);
}

Deno.test("IommuMemory agrees with a model that looks at one byte at a time", () => {
  let accesses = 0;
  let faulted = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 80, size: "max" }), (steps) => {
      const bench = new Bench();
      for (const todo of steps) {
        bench.run(todo);
        bench.check();
      }
      bench.checkMemory();
      accesses += bench.accesses;
      faulted += bench.faulted;
    }),
    { numRuns: 120 },
  );
  assert(faulted > accesses / 20 && faulted < accesses, `${faulted} of ${accesses} faulted`);
});
