import { assertEquals } from "@std/assert";
import { hexDump } from "./hex_dump.ts";

Deno.test("hexDump() prints 16 bytes a line with their characters", () => {
  assertEquals(
    hexDump("48656c6c6f2c20776f726c6421000aff7e"),
    "0000  48 65 6c 6c 6f 2c 20 77  6f 72 6c 64 21 00 0a ff  Hello, world!...\n" +
      "0010  7e                                                ~",
  );
  assertEquals(hexDump(""), "");
});
