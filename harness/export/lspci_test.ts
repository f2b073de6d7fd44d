import { assertEquals } from "@std/assert";
import { type DumpedFunction, lspciDump } from "./lspci.ts";

function config(length: number, revision: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([0x34, 0x12, 0xe8, 0x11, 0, 0, 0x10, 0, revision, 0, 0xff, 0]);
  bytes[length - 1] = 0xab;
  return bytes;
}

Deno.test("lspciDump() prints a heading in numbers and sixteen bytes a row", () => {
  const functions: DumpedFunction[] = [
    { endpoint: 0x18, config: config(256, 0x10) },
    { endpoint: 0x1f2, config: config(256, 0) },
  ];
  const lines = lspciDump(functions).split("\n");
  assertEquals(lines[0], "00:03.0 00ff: 1234:11e8 (rev 10)");
  assertEquals(lines[1], "00: 34 12 e8 11 00 00 10 00 10 00 ff 00 00 00 00 00");
  assertEquals(lines[16], "f0: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 ab");
  assertEquals(lines[17], "", "an empty line between functions");
  assertEquals(lines[18], "01:1e.2 00ff: 1234:11e8");
  assertEquals(lines.length, 18 + 17 + 1);
});

Deno.test("lspciDump() prints all 4096 bytes of a PCI Express function", () => {
  const lines = lspciDump([{ endpoint: 0, config: config(4096, 0) }]).trimEnd().split("\n");
  assertEquals(lines.length, 257);
  assertEquals(lines[17]?.slice(0, 4), "100:");
  assertEquals(lines[256], "ff0: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 ab");
});

Deno.test("lspciDump() reads a view at its own offset, and prints nothing for no functions", () => {
  const bytes = new Uint8Array(300);
  bytes.set(config(256, 1), 44);
  assertEquals(
    lspciDump([{ endpoint: 8, config: bytes.subarray(44, 300) }]).split("\n")[0],
    "00:01.0 00ff: 1234:11e8 (rev 01)",
  );
  assertEquals(lspciDump([]), "");
});
