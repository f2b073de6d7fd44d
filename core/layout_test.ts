import { assertEquals } from "@std/assert";
import { layout, u16, u32, u64, u8 } from "./layout.ts";

Deno.test("layout() packs the fields in the order given", () => {
  // The fault record of virtio 1.3, 5.13.6.9.
  const fault = layout({
    reason: u8,
    reserved: 3,
    flags: u32,
    endpoint: u32,
    reserved1: u32,
    address: u64,
  });
  assertEquals(fault.at, {
    reason: 0,
    reserved: 1,
    flags: 4,
    endpoint: 8,
    reserved1: 12,
    address: 16,
  });
  assertEquals(fault.size, 24);
});

Deno.test("layout() aligns nothing by itself", () => {
  const packed = layout({ a: u8, b: u64, c: u16, d: u32 });
  assertEquals(packed.at, { a: 0, b: 1, c: 9, d: 11 });
  assertEquals(packed.size, 15);
});

Deno.test("layout() takes arrays by their byte count, and a structure without fields", () => {
  assertEquals(layout({ head: u32, properties: 512, tail: u32 }).at.tail, 516);
  assertEquals(layout({}).size, 0);
});
