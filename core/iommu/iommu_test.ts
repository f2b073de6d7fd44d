import { assert, assertEquals, assertThrows } from "@std/assert";
import { Access, Fault, type Gpa, type Iova, isFault } from "../address.ts";
import { GuestRam } from "../memory/guest_ram.ts";
import type { Memory, Pin } from "../memory/memory.ts";
import { TraceKind, TraceRing } from "../observe/trace.ts";
import { VirtualClock } from "../observe/virtual_clock.ts";
import { Iommu } from "./iommu.ts";
import { IommuError, type IommuErrorCode } from "./iommu_error.ts";

const PAGE = 0x1000;
const { READ, READ_WRITE } = Access;
const iova = (address: number): Iova => address as Iova;
const gpa = (address: number): Gpa => address as Gpa;

interface Bench {
  readonly ram: GuestRam;
  readonly clock: VirtualClock;
  readonly trace: TraceRing;
  readonly iommu: Iommu;
}

/** 64 pages of RAM, each with its own number in its first byte; endpoints 8 and 16. */
function bench(): Bench {
  const ram = new GuestRam([{ name: "ram", start: gpa(0), length: 64 * PAGE }]);
  for (let page = 0; page < 64; page++) ram.writeU8(gpa(page * PAGE), page);
  const clock = new VirtualClock();
  const trace = new TraceRing(64, "on");
  const iommu = new Iommu(ram, { clock, trace });
  iommu.addEndpoint(8);
  iommu.addEndpoint(16);
  return { ram, clock, trace, iommu };
}

function pinned(memory: Memory<Iova>, address: number, length: number): Pin {
  const pin = memory.pin(iova(address), length, READ_WRITE);
  assert(typeof pin === "object", `pin() gave ${pin}`);
  return pin;
}

/** Makes `pin`, of that endpoint, throw when it is revoked. @returns what the endpoint reports */
function broken(iommu: Iommu, endpoint: number, pin: Pin): unknown[] {
  const failures: unknown[] = [];
  iommu.endpoint(endpoint).onDeviceError = (error) => failures.push(error);
  pin.onRevoke = () => {
    throw new Error(`endpoint ${endpoint}`);
  };
  return failures;
}

function refused(code: IommuErrorCode, body: () => unknown, includes?: string): void {
  assertEquals(assertThrows(body, IommuError, includes).code, code);
}

Deno.test("Iommu: an endpoint that is attached to nothing reaches nothing", () => {
  const { iommu } = bench();
  const { memory } = iommu.endpoint(8);
  assertEquals(memory.readU8(iova(0)), Fault.NO_DOMAIN);
  assertEquals(memory.writeU32(iova(0), 1), Fault.NO_DOMAIN);
  assertEquals(memory.check(iova(0), 1, READ), Fault.NO_DOMAIN);
  assertEquals(iommu.endpoint(8).domain, null);
});

Deno.test("Iommu.attach(): every mapping of the domain, made before or after, is visible at once", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  iommu.map(1, iova(0x10_0000), gpa(5 * PAGE), PAGE, READ);
  assertEquals(iommu.attach(8, 1).done, true);
  const { memory } = iommu.endpoint(8);
  assertEquals(memory.readU8(iova(0x10_0000)), 5);
  iommu.map(1, iova(0x20_0000), gpa(6 * PAGE), PAGE, READ);
  assertEquals(memory.readU8(iova(0x20_0000)), 6);
  assertEquals(iommu.endpoint(8).domain?.id, 1);
});

Deno.test("Iommu: two endpoints of one domain share it, and one of them detached loses it alone", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  iommu.map(1, iova(0), gpa(3 * PAGE), PAGE, READ);
  iommu.attach(8, 1);
  iommu.attach(16, 1);
  const [first, second] = [iommu.endpoint(8).memory, iommu.endpoint(16).memory];
  assertEquals([first.readU8(iova(0)), second.readU8(iova(0))], [3, 3]);
  iommu.detach(8);
  assertEquals([first.readU8(iova(0)), second.readU8(iova(0))], [Fault.NO_DOMAIN, 3]);
  assertEquals([...iommu.domain(1).members].map((member) => member.endpoint.id), [16]);
});

Deno.test("Iommu: two domains with the same IOVA reach their own pages", () => {
  const { iommu } = bench();
  for (const [endpoint, domain] of [[8, 1], [16, 2]] as const) {
    iommu.createDomain(domain);
    iommu.map(domain, iova(0), gpa(domain * PAGE), PAGE, READ);
    iommu.attach(endpoint, domain);
  }
  const memories = [8, 16].map((id) => iommu.endpoint(id).memory);
  for (let round = 0; round < 3; round++) {
    assertEquals(memories.map((memory) => memory.readU8(iova(0))), [1, 2]);
  }
});

Deno.test("Iommu.attach() to another domain leaves the one before (virtio 1.3, 5.13.6.3.2)", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  iommu.createDomain(2);
  iommu.map(1, iova(0), gpa(PAGE), PAGE, READ);
  iommu.map(2, iova(PAGE), gpa(2 * PAGE), PAGE, READ);
  iommu.attach(8, 1);
  const { memory } = iommu.endpoint(8);
  assertEquals(memory.readU8(iova(0)), 1);
  iommu.attach(8, 2);
  assertEquals(memory.readU8(iova(0)), Fault.UNMAPPED);
  assertEquals(memory.readU8(iova(PAGE)), 2);
  assertEquals([iommu.domain(1).members.size, iommu.domain(2).members.size], [0, 1]);
  // The mappings of the domain that was left stay until it is destroyed.
  assertEquals(iommu.domain(1).space.size, 1);
});

Deno.test("Iommu.attach() to the same domain again changes nothing, and waits for nothing", () => {
  const { iommu, trace } = bench();
  iommu.createDomain(1);
  iommu.map(1, iova(0), gpa(PAGE), PAGE, READ_WRITE);
  iommu.attach(8, 1);
  const pin = pinned(iommu.endpoint(8).memory, 0, 16);
  const { recorded } = trace;
  assertEquals(iommu.attach(8, 1).done, true);
  assertEquals([pin.revoked, trace.recorded, iommu.domain(1).members.size], [false, recorded, 1]);
  assertEquals(iommu.endpoint(8).memory.readU8(iova(0)), 1);
  pin.release();
});

Deno.test("Iommu.attach() that is refused changes nothing", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  iommu.map(1, iova(0), gpa(PAGE), PAGE, READ);
  iommu.attach(8, 1);
  refused("no-domain", () => iommu.attach(8, 9), "There is no domain 9: there are 1");
  refused("no-endpoint", () => iommu.attach(9, 1), "There is no endpoint 9: there are 8, 16");
  assertEquals(iommu.endpoint(8).memory.readU8(iova(0)), 1);
  assertEquals(iommu.domain(1).members.size, 1);
});

Deno.test("Iommu.attach() ends when the DMA in flight through the old domain has ended", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  iommu.createDomain(2);
  iommu.map(1, iova(0), gpa(PAGE), PAGE, READ_WRITE);
  iommu.attach(8, 1);
  const pin = pinned(iommu.endpoint(8).memory, 0, 16);
  const completion = iommu.attach(8, 2);
  assertEquals([completion.done, pin.revoked], [false, true]);
  pin.release();
  assertEquals(completion.done, true);
});

Deno.test("Iommu.detach(): the endpoint reaches no mapping any more, cached ones included", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  iommu.map(1, iova(0), gpa(PAGE), 4 * PAGE, READ);
  iommu.attach(8, 1);
  const { memory } = iommu.endpoint(8);
  for (let page = 0; page < 4; page++) memory.readU8(iova(page * PAGE));
  assertEquals(iommu.detach(8).done, true);
  for (let page = 0; page < 4; page++) {
    assertEquals(memory.readU8(iova(page * PAGE)), Fault.NO_DOMAIN);
  }
  iommu.attach(8, 1);
  assertEquals(memory.readU8(iova(0)), 1);
});

Deno.test("Iommu.detach() waits for the DMA of its endpoint, not for that of its neighbours", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  iommu.map(1, iova(0), gpa(0), PAGE, READ_WRITE);
  iommu.attach(8, 1);
  iommu.attach(16, 1);
  const own = pinned(iommu.endpoint(8).memory, 0, 16);
  const other = pinned(iommu.endpoint(16).memory, 0, 16);
  const detach = iommu.detach(8);
  const unmap = iommu.unmap(1, iova(0), PAGE);
  assertEquals([own.revoked, other.revoked], [true, true]);
  own.release();
  assertEquals([detach.done, unmap.done], [true, false]);
  other.release();
  assertEquals(unmap.done, true);
});

Deno.test("Iommu.unmap() also waits for the DMA of an endpoint that was detached meanwhile", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  iommu.map(1, iova(0), gpa(0), PAGE, READ_WRITE);
  iommu.attach(8, 1);
  const pin = pinned(iommu.endpoint(8).memory, 0, 16);
  const detach = iommu.detach(8);
  const unmap = iommu.unmap(1, iova(0), PAGE);
  assertEquals([detach.done, unmap.done], [false, false]);
  pin.release();
  assertEquals([detach.done, unmap.done], [true, true]);
});

Deno.test("Iommu.detach() of an endpoint that is in no domain does nothing", () => {
  const { iommu, trace } = bench();
  assertEquals(iommu.detach(8).done, true);
  assertEquals(trace.recorded, 0);
  refused("no-endpoint", () => iommu.detach(9));
});

Deno.test("Iommu: an onRevoke that throws leaves the endpoint attached to the new domain alone", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  iommu.createDomain(2);
  iommu.map(1, iova(0), gpa(0), PAGE, READ_WRITE);
  iommu.map(2, iova(0), gpa(0), PAGE, READ_WRITE);
  iommu.attach(8, 1);
  const pin = pinned(iommu.endpoint(8).memory, 0, 16);
  const failures = broken(iommu, 8, pin);
  const attach = iommu.attach(8, 2);
  assertEquals([attach.done, failures.length], [false, 1]);
  const { memory, domain } = iommu.endpoint(8);
  assertEquals(domain?.id, 2);
  assertEquals([iommu.domain(1).members.size, iommu.domain(2).members.size], [0, 1]);
  assertEquals(memory.readU8(iova(0)), 0);
  pin.release();
  assertEquals(attach.done, true);
});

Deno.test("Iommu.unmap(): an onRevoke that throws is its device's, and the unmap is whole: counted, traced, waited for", () => {
  const { iommu, trace } = bench();
  iommu.createDomain(1);
  iommu.map(1, iova(0), gpa(0), PAGE, READ_WRITE);
  iommu.attach(8, 1);
  iommu.attach(16, 1);
  const first = pinned(iommu.endpoint(8).memory, 0, 16);
  const second = pinned(iommu.endpoint(16).memory, 0, 16);
  const failures = broken(iommu, 8, first);
  const others = broken(iommu, 16, second);
  const unmap = iommu.unmap(1, iova(0), PAGE);
  assertEquals([unmap.bytes, unmap.done], [PAGE, false]);
  assertEquals([failures, others].map((each) => each.map(String)), [["Error: endpoint 8"], [
    "Error: endpoint 16",
  ]]);
  assertEquals([first.revoked, second.revoked], [true, true]);
  for (const id of [8, 16]) {
    assertEquals(iommu.endpoint(id).counters.snapshot().invalidations, 1);
    assertEquals(iommu.endpoint(id).memory.readU8(iova(0)), Fault.UNMAPPED);
  }
  const kinds = [...trace.events()].map(({ kind }) => kind);
  assertEquals(kinds.filter((kind) => kind === TraceKind.INVALIDATE).length, 2);
  assertEquals(kinds.filter((kind) => kind === TraceKind.UNMAP).length, 1);
  first.release();
  assertEquals(unmap.done, false);
  second.release();
  assertEquals(unmap.done, true);
});

Deno.test("Iommu: a second detach, and the removal, wait for what the first waits for", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  iommu.map(1, iova(0), gpa(0), PAGE, READ_WRITE);
  iommu.attach(8, 1);
  const pin = pinned(iommu.endpoint(8).memory, 0, 16);
  const waiting = [iommu.detach(8), iommu.detach(8), iommu.removeEndpoint(8)];
  assertEquals(waiting.map(({ done }) => done), [false, false, false]);
  pin.release();
  assertEquals(waiting.map(({ done }) => done), [true, true, true]);
});

Deno.test("Iommu: detach, attach and removal wait for what is in flight through a domain that is no more", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  iommu.map(1, iova(0), gpa(0), PAGE, READ_WRITE);
  iommu.attach(8, 1);
  const pin = pinned(iommu.endpoint(8).memory, 0, 16);
  const waiting = [iommu.detach(8), iommu.destroyDomain(1)];
  // Of the same name, and another one.
  iommu.createDomain(1);
  waiting.push(iommu.detach(8), iommu.attach(8, 1), iommu.removeEndpoint(8));
  assertEquals(waiting.map(({ done }) => done), Array(5).fill(false));
  pin.release();
  assertEquals(waiting.map(({ done }) => done), Array(5).fill(true));
});

Deno.test("Iommu.destroyDomain() ends with the DMA of those who were in it", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  iommu.map(1, iova(0), gpa(0), PAGE, READ_WRITE);
  iommu.attach(8, 1);
  const pin = pinned(iommu.endpoint(8).memory, 0, 16);
  iommu.detach(8);
  const gone = iommu.destroyDomain(1);
  assertEquals([gone.bytes, gone.done], [PAGE, false]);
  pin.release();
  assertEquals(gone.done, true);
});

Deno.test("Iommu.setBypass(): endpoints that are not attached pass untranslated, at once", () => {
  const { iommu } = bench();
  const { memory } = iommu.endpoint(8);
  assertEquals([iommu.bypass, memory.readU8(iova(7 * PAGE))], ["off", Fault.NO_DOMAIN]);
  iommu.setBypass("on");
  assertEquals([iommu.bypass, memory.readU8(iova(7 * PAGE))], ["on", 7]);
  assertEquals(memory.readU8(iova(64 * PAGE)), Fault.NO_MEMORY);
  iommu.addEndpoint(24);
  assertEquals(iommu.endpoint(24).memory.readU8(iova(9 * PAGE)), 9);
  iommu.setBypass("off");
  assertEquals(memory.readU8(iova(7 * PAGE)), Fault.NO_DOMAIN);
  assertEquals(iommu.endpoint(24).memory.readU8(iova(9 * PAGE)), Fault.NO_DOMAIN);
});

Deno.test("Iommu.setBypass() does not touch endpoints that are attached, until they are detached", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  iommu.attach(8, 1);
  const { memory } = iommu.endpoint(8);
  iommu.setBypass("on");
  assertEquals(memory.readU8(iova(PAGE)), Fault.UNMAPPED);
  iommu.detach(8);
  assertEquals(memory.readU8(iova(PAGE)), 1);
  iommu.attach(8, 1);
  assertEquals(memory.readU8(iova(PAGE)), Fault.UNMAPPED);
  iommu.setBypass("off");
  iommu.detach(8);
  assertEquals(memory.readU8(iova(PAGE)), Fault.NO_DOMAIN);
});

Deno.test("Iommu.setBypass(): off waits for the DMA that passed before; so does attach()", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  iommu.setBypass("on");
  const first = pinned(iommu.endpoint(8).memory, 0, 16);
  const second = pinned(iommu.endpoint(16).memory, 0, 16);
  const attach = iommu.attach(8, 1);
  assertEquals([attach.done, first.revoked, second.revoked], [false, true, false]);
  const off = iommu.setBypass("off");
  assertEquals([off.done, second.revoked], [false, true]);
  second.release();
  assertEquals([off.done, attach.done], [true, false]);
  first.release();
  assertEquals(attach.done, true);
});

Deno.test("Iommu.setBypass(): off holds for every endpoint, also when one's onRevoke throws", () => {
  const { iommu } = bench();
  iommu.setBypass("on");
  const first = pinned(iommu.endpoint(8).memory, 0, 16);
  const second = pinned(iommu.endpoint(16).memory, 0, 16);
  const failures = broken(iommu, 8, first);
  const off = iommu.setBypass("off");
  assertEquals([off.done, failures.length], [false, 1]);
  for (const id of [8, 16]) {
    assertEquals(iommu.endpoint(id).memory.readU8(iova(0)), Fault.NO_DOMAIN);
  }
  assertEquals([first.revoked, second.revoked], [true, true]);
});

Deno.test("Iommu: a bypass domain is identity, holds no mappings, and is drained on leaving", () => {
  const { iommu } = bench();
  iommu.createDomain(1, "bypass");
  iommu.attach(8, 1);
  const { memory } = iommu.endpoint(8);
  assertEquals(memory.readU8(iova(11 * PAGE)), 11);
  refused("bypass", () => iommu.map(1, iova(0), gpa(0), PAGE, READ), "Domain 1 is in bypass");
  refused("bypass", () => iommu.unmap(1, iova(0), PAGE));
  refused("bypass", () => iommu.startDirtyTracking(1, iova(0), PAGE));
  refused("bypass", () => iommu.takeDirtyPages(1));
  const pin = pinned(memory, 0, 16);
  const completion = iommu.detach(8);
  assertEquals([completion.done, pin.revoked], [false, true]);
  assertEquals(memory.readU8(iova(11 * PAGE)), Fault.NO_DOMAIN);
  pin.release();
  assertEquals(completion.done, true);
});

Deno.test("Iommu.setBypass(): off leaves endpoints in a bypass domain alone", () => {
  const { iommu } = bench();
  iommu.createDomain(1, "bypass");
  iommu.attach(8, 1);
  iommu.setBypass("on");
  const pin = pinned(iommu.endpoint(8).memory, 0, 16);
  assertEquals(iommu.setBypass("off").done, true);
  assertEquals([pin.revoked, iommu.endpoint(8).memory.readU8(iova(PAGE))], [false, 1]);
  pin.release();
});

Deno.test("Iommu: from a bypass domain to a mapped one and back, each waits for the way before", () => {
  const { iommu } = bench();
  iommu.createDomain(1, "bypass");
  iommu.createDomain(2);
  iommu.map(2, iova(0), gpa(PAGE), PAGE, READ_WRITE);
  iommu.attach(8, 1);
  const { memory } = iommu.endpoint(8);
  const untranslated = pinned(memory, 0, 16);
  const there = iommu.attach(8, 2);
  assertEquals([there.done, memory.readU8(iova(0))], [false, 1]);
  untranslated.release();
  assertEquals(there.done, true);
  const translated = pinned(memory, 0, 16);
  const back = iommu.attach(8, 1);
  assertEquals([back.done, memory.readU8(iova(0))], [false, 0]);
  translated.release();
  assertEquals(back.done, true);
});

Deno.test("Iommu.addEndpoint() and createDomain() refuse an ID that is taken", () => {
  const { iommu } = bench();
  refused("exists", () => iommu.addEndpoint(8), "Cannot add endpoint 8");
  iommu.createDomain(0);
  refused("exists", () => iommu.createDomain(0, "bypass"), "Cannot create domain 0");
  assertEquals(iommu.domain(0).kind, "mapped");
});

Deno.test("Iommu takes IDs over the whole of 32 bits", () => {
  const { iommu } = bench();
  iommu.addEndpoint(0xffff_ffff);
  iommu.createDomain(0xffff_ffff);
  iommu.map(0xffff_ffff, iova(0), gpa(PAGE), PAGE, READ);
  iommu.attach(0xffff_ffff, 0xffff_ffff);
  assertEquals(iommu.endpoint(0xffff_ffff).memory.readU8(iova(0)), 1);
});

Deno.test("Iommu.destroyDomain() refuses while an endpoint is in it; the ID is free after", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  iommu.map(1, iova(0), gpa(0), PAGE, READ);
  iommu.attach(8, 1);
  refused("busy", () => iommu.destroyDomain(1), "detach them first");
  assertEquals(iommu.domain(1).space.size, 1);
  iommu.detach(8);
  iommu.destroyDomain(1);
  assertEquals(iommu.hasDomain(1), false);
  refused("no-domain", () => iommu.destroyDomain(1), "none has been created");
  // As either kind, and without the old mappings.
  assertEquals(iommu.createDomain(1, "bypass").kind, "bypass");
  iommu.destroyDomain(1);
  assertEquals(iommu.createDomain(1).space.size, 0);
});

Deno.test("Iommu: every call names the domain or endpoint that it does not know", () => {
  const { iommu } = bench();
  for (
    const call of [
      () => iommu.domain(5),
      () => iommu.map(5, iova(0), gpa(0), PAGE, READ),
      () => iommu.unmap(5, iova(0), PAGE),
      () => iommu.startDirtyTracking(5, iova(0), PAGE),
      () => iommu.takeDirtyPages(5),
      () => iommu.attach(8, 5),
    ]
  ) refused("no-domain", call, "There is no domain 5: none has been created");
  for (let id = 100; id < 110; id++) iommu.createDomain(id);
  refused("no-domain", () => iommu.domain(5), "100, 101, 102, 103, 104, 105, 106, 107 and 2 more");
  for (const call of [() => iommu.endpoint(5), () => iommu.removeEndpoint(5)]) {
    refused("no-endpoint", call, "There is no endpoint 5: there are 8, 16");
  }
});

Deno.test("Iommu.removeEndpoint(): accesses fault from now on, also with bypass on", () => {
  const { iommu } = bench();
  iommu.setBypass("on");
  iommu.createDomain(1);
  iommu.map(1, iova(0), gpa(PAGE), PAGE, READ_WRITE);
  const { memory } = iommu.endpoint(8);
  const untranslated = pinned(memory, 0, 16);
  iommu.attach(8, 1);
  const translated = pinned(memory, 0, 16);
  const completion = iommu.removeEndpoint(8);
  assertEquals(memory.readU8(iova(0)), Fault.NO_DOMAIN);
  assertEquals([untranslated.revoked, translated.revoked, completion.done], [true, true, false]);
  translated.release();
  assertEquals(completion.done, false);
  untranslated.release();
  assertEquals(completion.done, true);
  refused("no-endpoint", () => iommu.endpoint(8));
  assertEquals(iommu.domain(1).members.size, 0);
  iommu.setBypass("off");
  iommu.setBypass("on");
  assertEquals(memory.readU8(iova(0)), Fault.NO_DOMAIN);
  assertEquals(iommu.addEndpoint(8).memory.readU8(iova(2 * PAGE)), 2);
  assertEquals(memory.readU8(iova(2 * PAGE)), Fault.NO_DOMAIN);
});

Deno.test("Iommu.drainFaults() gives the faults of all endpoints in the order in which they happened", () => {
  const { iommu, clock } = bench();
  const expected: [number, number, number][] = [];
  for (const [at, id] of [8, 16, 16, 8, 16].entries()) {
    clock.advance(1);
    assert(isFault(iommu.endpoint(id).memory.readU8(iova(at * PAGE))));
    expected.push([id, at * PAGE, clock.nowNs]);
  }
  const records = iommu.drainFaults();
  assertEquals(records.map((r) => [r.endpoint, r.iova, r.timeNs]), expected);
  assertEquals(records.map((r) => r.sequence), [0, 1, 2, 3, 4]);
  for (const record of records) {
    assertEquals([record.reason, record.access, record.pasid], [Fault.NO_DOMAIN, READ, -1]);
  }
  assertEquals(iommu.drainFaults(), []);
});

Deno.test("Iommu: a flood of faults of one endpoint drops no other's", () => {
  const { iommu } = bench();
  iommu.endpoint(16).memory.readU8(iova(0));
  for (let i = 0; i < 5000; i++) iommu.endpoint(8).memory.readU8(iova(0));
  const records = iommu.drainFaults();
  assertEquals(records[0]!.endpoint, 16);
  assertEquals(records.length, 1 + 1024);
  assertEquals(iommu.endpoint(8).faults.dropped, 5000 - 1024);
});

Deno.test("Iommu counts an unmap as an invalidation of each endpoint in the domain, a detach of its own", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  iommu.attach(8, 1);
  iommu.attach(16, 1);
  iommu.unmap(1, iova(0), PAGE);
  iommu.detach(8);
  const invalidations = [8, 16].map((id) => iommu.endpoint(id).counters.snapshot().invalidations);
  assertEquals(invalidations, [2, 1]);
});

Deno.test("Iommu.startDirtyTracking() covers whole pages, takeDirtyPages() gives each once", () => {
  const { iommu } = bench();
  iommu.createDomain(1);
  assertEquals(iommu.takeDirtyPages(1), []);
  iommu.map(1, iova(0), gpa(0), 8 * PAGE, READ_WRITE);
  iommu.attach(8, 1);
  iommu.startDirtyTracking(1, iova(0x1800), 0x1000);
  const { memory } = iommu.endpoint(8);
  for (let page = 0; page < 8; page++) memory.writeU8(iova(page * PAGE), 1);
  assertEquals(iommu.takeDirtyPages(1), [iova(0x1000), iova(0x2000)]);
  assertEquals(iommu.takeDirtyPages(1), []);
});

Deno.test("Iommu records its changes in the trace, and nothing while it is off", () => {
  const { iommu, trace, clock } = bench();
  clock.advance(2);
  iommu.createDomain(1);
  iommu.attach(8, 1);
  iommu.map(1, iova(0x4000), gpa(PAGE), 2 * PAGE, READ);
  iommu.unmap(1, iova(0), 0x1_0000);
  iommu.detach(8);
  const events = [...trace.events()];
  assertEquals(
    events.map((e) => [e.kind, e.endpoint, e.iova, e.length, e.result]),
    [
      [TraceKind.ATTACH, 8, 0, 0, 1],
      [TraceKind.MAP, 1, 0x4000, 2 * PAGE, PAGE],
      [TraceKind.INVALIDATE, 8, 0, 0x1_0000, 0],
      [TraceKind.UNMAP, 1, 0, 0x1_0000, 2 * PAGE],
      [TraceKind.INVALIDATE, 8, 0, 2 ** 52, 0],
      [TraceKind.DETACH, 8, 0, 0, 1],
    ],
  );
  for (const event of events) assertEquals([event.timeNs, event.pasid], [2e6, -1]);
  trace.on = false;
  iommu.attach(8, 1);
  iommu.map(1, iova(0x4000), gpa(PAGE), PAGE, READ);
  assertEquals(trace.recorded, events.length);
});

Deno.test("Iommu traces and tells each invalidation that it counts, one an endpoint of a change", () => {
  const { iommu, trace, clock } = bench();
  const told: number[][] = [];
  iommu.onInvalidation = (...event) => told.push(event);
  iommu.createDomain(1);
  iommu.createDomain(2);
  iommu.attach(8, 1);
  iommu.attach(16, 1);
  iommu.map(1, iova(0), gpa(PAGE), PAGE, READ);
  clock.advance(1);
  iommu.unmap(1, iova(0), PAGE);
  iommu.attach(8, 2);
  iommu.detach(16);
  iommu.detach(16);
  iommu.removeEndpoint(8);
  const everything = 2 ** 52;
  assertEquals(told, [
    [1e6, 8, -1, 0, PAGE],
    [1e6, 16, -1, 0, PAGE],
    [1e6, 8, -1, 0, everything],
    [1e6, 16, -1, 0, everything],
    [1e6, 8, -1, 0, everything],
  ]);
  const traced = [...trace.events()].filter(({ kind }) => kind === TraceKind.INVALIDATE);
  assertEquals(
    traced.map(({ timeNs, endpoint, pasid, iova, length }) => [
      timeNs,
      endpoint,
      pasid,
      iova,
      length,
    ]),
    told,
  );
  assertEquals(iommu.endpoint(16).counters.snapshot().invalidations, 2);
});

Deno.test("Iommu.onInvalidation is told while the trace is off, and traceInvalidations leaves them out of it", () => {
  const { iommu, trace } = bench();
  let told = 0;
  iommu.onInvalidation = () => told++;
  iommu.createDomain(1);
  iommu.attach(8, 1);
  const { recorded } = trace;
  trace.on = false;
  iommu.unmap(1, iova(0), PAGE);
  trace.on = true;
  iommu.traceInvalidations = "off";
  iommu.unmap(1, iova(0), PAGE);
  assertEquals([told, trace.recorded - recorded], [2, 1]);
  assertEquals([...trace.events(recorded)].map(({ kind }) => kind), [TraceKind.UNMAP]);
});

Deno.test("Iommu without a trace of its own records none", () => {
  const { ram, clock } = bench();
  const iommu = new Iommu(ram, { clock });
  iommu.createDomain(1);
  assertEquals([iommu.trace.on, iommu.trace.recorded], [false, 0]);
});

Deno.test("Iommu lists endpoints and domains in the order in which they came", () => {
  const { iommu } = bench();
  iommu.createDomain(9);
  iommu.createDomain(2);
  iommu.addEndpoint(1);
  assertEquals([...iommu.endpoints].map((endpoint) => endpoint.id), [8, 16, 1]);
  assertEquals([...iommu.domains].map((domain) => domain.id), [9, 2]);
});
