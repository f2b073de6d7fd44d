import { assertEquals } from "@std/assert";
import { firstMemoryBar } from "./pci_resource.ts";

const line = (start: string, last: string, flags: string): string =>
  `0x${[start, last, flags].map((word) => word.padStart(16, "0")).join(" 0x")}\n`;
const NONE = line("0", "0", "0");

Deno.test("firstMemoryBar() passes over ports, over what is not there, and over the ROM", () => {
  const ports = line("c000", "c03f", "40101");
  const memory = line("100febfe000", "100febfefff", "140204");
  const rom = line("febe0000", "febeffff", "46200");
  assertEquals(firstMemoryBar(memory), 0x100_febf_e000);
  assertEquals(firstMemoryBar(ports + NONE + memory + NONE), 0x100_febf_e000);
  assertEquals(firstMemoryBar(ports + NONE.repeat(5) + rom), null);
  // Linux found no room for it.
  assertEquals(firstMemoryBar(line("0", "fff", "40200")), null);
  assertEquals(firstMemoryBar(""), null);
});
