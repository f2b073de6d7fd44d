import { assertEquals, assertThrows } from "@std/assert";
import { deviceOf, formatRequesterId, functionOf, parseRequesterId, requesterId } from "./bdf.ts";

Deno.test("requesterId() puts bus, device and function in their bits", () => {
  assertEquals(requesterId(0, 3), 0x18);
  assertEquals(requesterId(0xff, 31, 7), 0xffff);
  assertEquals([deviceOf(0x1f2), functionOf(0x1f2)], [0x1e, 2]);
  for (const [bus, device, fn] of [[256, 0, 0], [0, 32, 0], [0, 0, 8], [-1, 0, 0], [0, 0.5, 0]]) {
    assertThrows(() => requesterId(bus ?? 0, device ?? 0, fn), RangeError, "256, 32 and 8");
  }
});

Deno.test("formatRequesterId() and parseRequesterId() are inverse for every ID", () => {
  assertEquals(formatRequesterId(0x1f2), "01:1e.2");
  for (let id = 0; id < 0x1_0000; id++) assertEquals(parseRequesterId(formatRequesterId(id)), id);
});

Deno.test("parseRequesterId() refuses what is no requester ID", () => {
  for (const text of ["", "00:03", "0:3.0", "00:20.0", "00:03.8", " 00:03.0", "0000:00:03.0"]) {
    assertThrows(() => parseRequesterId(text), SyntaxError, "looks like 00:03.0");
  }
});
