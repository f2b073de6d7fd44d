import { assertEquals } from "@std/assert";
import { Access, Fault, type Gpa, type Iova } from "../../../core/address.ts";
import { GuestRam } from "../../../core/memory/guest_ram.ts";
import type { DmaMemory } from "./dma_service.ts";
import { LeavingMemory } from "./leaving_memory.ts";
import { Ticket } from "./ticket.ts";

/** RAM in which each page holds its number, and nothing that is mapped now. */
function leaving(now?: DmaMemory) {
  const ram = new GuestRam([{ name: "ram", start: 0 as Gpa, length: 0x8000 }]);
  for (let page = 0; page < 8; page++) {
    ram.write(page * 0x1000 as Gpa, new Uint8Array(0x1000).fill(page));
  }
  const nothing: DmaMemory = { read: () => Fault.UNMAPPED, write: () => Fault.UNMAPPED };
  const memory = new LeavingMemory(now ?? nothing, ram);
  const one = new Uint8Array(1);
  return {
    ram,
    memory,
    /** The byte at `iova`, or the fault. */
    read: (iova: number) => memory.read(iova as Iova, one) || one[0],
    write: (iova: number, value: number) => memory.write(iova as Iova, new Uint8Array([value])),
  };
}

const range = (iova: number, gpa: number, length = 0x1000, access: number = Access.READ_WRITE) => ({
  iova,
  gpa,
  length,
  access,
});

Deno.test("LeavingMemory lets a server reach what leaves until the unmap is answered", () => {
  const { ram, memory, read, write } = leaving();
  const ticket = new Ticket<number>();
  assertEquals(write(0x10_0000, 1), Fault.UNMAPPED);
  memory.leave([range(0x10_0000, 0x2000)], ticket);
  assertEquals(write(0x10_0000, 0x55), 0);
  assertEquals(ram.readU8(0x2000 as Gpa), 0x55);
  assertEquals(read(0x10_1000), Fault.UNMAPPED);
  ticket.settle(4096);
  assertEquals([read(0x10_0000), memory.count], [Fault.UNMAPPED, 0]);
});

Deno.test("LeavingMemory also forgets when the unmap fails, and keeps permissions and bytes", () => {
  const { memory, read, write } = leaving();
  const ticket = new Ticket<number>();
  memory.leave([range(0x1002, 0x2000, 2, Access.READ)], ticket);
  assertEquals(write(0x1002, 1), Fault.PERMISSION);
  assertEquals([read(0x1001), read(0x1002), read(0x1003), read(0x1004)], [
    Fault.UNMAPPED,
    2,
    2,
    Fault.UNMAPPED,
  ]);
  ticket.fail(new Error("gone"));
  assertEquals(read(0x1002), Fault.UNMAPPED);
});

Deno.test("LeavingMemory does nothing for an unmap that is answered already", () => {
  const { memory, read } = leaving();
  const ticket = new Ticket<number>();
  ticket.settle(0);
  memory.leave([range(0x1000, 0x2000)], ticket);
  assertEquals(read(0x1000), Fault.UNMAPPED);
});

Deno.test("LeavingMemory comes before what is mapped at the same address meanwhile, and no other", () => {
  const now: DmaMemory = { read: (_, into) => (into.fill(99), 0), write: () => 0 };
  const { memory, read } = leaving(now);
  const ticket = new Ticket<number>();
  memory.leave([range(0x1000, 0x2000)], ticket);
  assertEquals([read(0x1000), read(0x2000)], [2, 99]);
  ticket.settle(4096);
  assertEquals(read(0x1000), 99);
});

Deno.test("LeavingMemory lets mappings of one address leave one after the other, as the server does", () => {
  const { memory, read } = leaving();
  const [one, two, three] = [new Ticket<void>(), new Ticket<void>(), new Ticket<void>()];
  memory.leave([range(0x1000, 0x2000)], one);
  // Wider than what leaves already.
  memory.leave([range(0x0, 0x3000, 0x3000)], two);
  memory.leave([range(0x2000, 0x7000)], three);
  const seen = () => [read(0x1000), read(0x2000), memory.count];
  assertEquals(seen(), [2, Fault.UNMAPPED, 3]);
  one.settle();
  assertEquals(seen(), [4, 5, 2]);
  two.settle();
  assertEquals(seen(), [Fault.UNMAPPED, 7, 1]);
  three.settle();
  assertEquals(seen(), [Fault.UNMAPPED, Fault.UNMAPPED, 0]);
});
