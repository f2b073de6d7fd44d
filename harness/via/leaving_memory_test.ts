import { assertEquals } from "@std/assert";
import { Access, Fault, type Gpa, type Iova } from "../../core/address.ts";
import { GuestRam } from "../../core/memory/guest_ram.ts";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";
import { type ServerCommand, Ticket } from "../../protocols/vfio_user/client/mod.ts";
import { eitherHandler, LeavingMemory } from "./leaving_memory.ts";

function leaving() {
  const ram = new GuestRam([{ name: "ram", start: 0 as Gpa, length: 0x4000 }]);
  const memory = new LeavingMemory(ram, new VirtualClock());
  return { ram, memory, device: memory.of(8) };
}

const mapping = (iova: number, gpa: number, access: number = Access.READ_WRITE) => ({
  iova: iova as Iova,
  gpa: gpa as Gpa,
  length: 0x1000,
  access,
});
const ONE = new Uint8Array([1]);

Deno.test("LeavingMemory lets a device reach what leaves until the unmap is answered", () => {
  const { ram, memory, device } = leaving();
  const ticket = new Ticket<number>();
  assertEquals(device.write(0x10_0000 as Iova, ONE), Fault.UNMAPPED);
  memory.leave(8, [mapping(0x10_0000, 0x2000)], ticket);
  assertEquals(device.write(0x10_0000 as Iova, ONE), 0);
  assertEquals(ram.readU8(0x2000 as Gpa), 1);
  assertEquals(device.write(0x10_1000 as Iova, ONE), Fault.UNMAPPED);
  ticket.settle(4096);
  assertEquals(device.write(0x10_0000 as Iova, ONE), Fault.UNMAPPED);
});

Deno.test("LeavingMemory also forgets when the unmap fails, and keeps permissions", () => {
  const { memory, device } = leaving();
  const ticket = new Ticket<number>();
  memory.leave(8, [mapping(0x1000, 0x2000, Access.READ)], ticket);
  assertEquals(device.write(0x1000 as Iova, ONE), Fault.PERMISSION);
  assertEquals(device.readU8(0x1000 as Iova), 0);
  ticket.fail(new Error("gone"));
  assertEquals(device.readU8(0x1000 as Iova), Fault.UNMAPPED);
});

Deno.test("LeavingMemory.leave() takes what leaves twice, by an unmap and a detach, once", () => {
  const { memory, device } = leaving();
  const unmap = new Ticket<number>(), detach = new Ticket<void>();
  memory.leave(8, [mapping(0x1000, 0x2000)], unmap);
  memory.leave(8, [mapping(0x1000, 0x2000), mapping(0x2000, 0x3000)], detach);
  assertEquals(device.readU8(0x2000 as Iova), 0);
  unmap.settle(4096);
  assertEquals(device.readU8(0x1000 as Iova), Fault.UNMAPPED);
  assertEquals(device.readU8(0x2000 as Iova), 0);
  detach.settle();
  assertEquals(device.readU8(0x2000 as Iova), Fault.UNMAPPED);
});

Deno.test("LeavingMemory does nothing for an unmap that is answered already", () => {
  const { memory, device } = leaving();
  const ticket = new Ticket<number>();
  ticket.settle(0);
  memory.leave(8, [mapping(0x1000, 0x2000)], ticket);
  assertEquals(device.readU8(0x1000 as Iova), Fault.UNMAPPED);
});

Deno.test("eitherHandler() asks the second for what the first refuses, and refuses as the first does", () => {
  const asked: string[] = [];
  const handler = (name: string, result: number) => () => {
    asked.push(name);
    return result;
  };
  const command = {} as ServerCommand;
  const run = (first: number, second: number) => {
    asked.length = 0;
    const both = eitherHandler(
      new Map([[11, handler("first", first)]]),
      new Map([[11, handler("second", second)]]),
    );
    return both.get(11)!(command);
  };
  assertEquals([run(16, 0), asked.join()], [16, "first"]);
  assertEquals([run(-14, 16), asked.join()], [16, "first,second"]);
  assertEquals(run(-13, -14), -13);
});
