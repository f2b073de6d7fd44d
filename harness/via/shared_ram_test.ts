import { assertEquals } from "@std/assert";
import type { Gpa } from "../../core/address.ts";
import { GuestRam } from "../../core/memory/guest_ram.ts";
import { liveDescriptors, liveMappings, readFile, writeFile } from "../../protocols/linux/mod.ts";
import { SharedRam } from "./shared_ram.ts";

const SPECS = [
  { name: "low", start: 0 as Gpa, length: 0x2000 },
  { name: "rom", start: 0x1_0000 as Gpa, length: 0x1000, readOnly: true },
];

Deno.test("SharedRam has the same bytes in the file and in guest RAM, either way", () => {
  using shared = new SharedRam(SPECS);
  const ram = new GuestRam(shared.specs);
  const { fd } = shared.regions[0]!.descriptor;
  ram.write(0x1ffe as Gpa, new Uint8Array([1, 2]));
  const bytes = new Uint8Array(3);
  assertEquals(readFile(fd, 0x1ffd, bytes), 0);
  assertEquals([...bytes], [0, 1, 2]);
  assertEquals(writeFile(fd, 0x10, new Uint8Array([7])), 0);
  assertEquals(ram.readU8(0x10 as Gpa), 7);
});

Deno.test("SharedRam hands regions over with their places and rights", () => {
  using shared = new SharedRam(SPECS);
  assertEquals(
    shared.regions.map(({ start, length, offset, readOnly }) => [start, length, offset, readOnly]),
    [[0, 0x2000, 0, false], [0x1_0000, 0x1000, 0, true]],
  );
});

Deno.test("SharedRam leaves no descriptor and no mapping behind, and its bytes out of reach", () => {
  const before = [liveDescriptors(), liveMappings()];
  const shared = new SharedRam(SPECS);
  assertEquals([liveDescriptors(), liveMappings()], [before[0]! + 2, before[1]! + 2]);
  const { bytes } = shared.specs[0]!;
  shared[Symbol.dispose]();
  shared[Symbol.dispose]();
  assertEquals([liveDescriptors(), liveMappings()], before);
  assertEquals(bytes!.length, 0);
});
