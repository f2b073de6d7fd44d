import { assertEquals } from "@std/assert";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { extractVmlinux, hasDirectEntry } from "./vmlinux.ts";

/** An ELF file of nothing but one program header of notes. */
function elfWithNote(noteType: number): Uint8Array {
  const elf = new Uint8Array(64 + 56 + 20);
  const view = new DataView(elf.buffer);
  view.setUint32(0, 0x464c_457f, true);
  elf[4] = 2;
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 4, true);
  view.setBigUint64(64 + 8, 120n, true);
  view.setBigUint64(64 + 32, 20n, true);
  view.setUint32(120, 4, true);
  view.setUint32(124, 4, true);
  view.setUint32(128, noteType, true);
  view.setUint32(132, 0x006e_6558, true);
  return elf;
}

function bzImage(payload: Uint8Array): Uint8Array {
  const image = new Uint8Array(2 * 512 + 16 + payload.length + 4);
  const view = new DataView(image.buffer);
  image[0x1f1] = 1;
  view.setUint32(0x202, 0x5372_6448, true);
  view.setUint32(0x248, 16, true);
  view.setUint32(0x24c, payload.length + 4, true);
  image.set(payload, 2 * 512 + 16);
  return image;
}

Deno.test("extractVmlinux() unpacks zstd and gzip", () => {
  const elf = elfWithNote(18);
  assertEquals(extractVmlinux(bzImage(new Uint8Array(zstdCompressSync(elf))))?.length, elf.length);
  assertEquals(extractVmlinux(bzImage(new Uint8Array(gzipSync(elf))))?.length, elf.length);
});

Deno.test("extractVmlinux() gives null for what it cannot unpack", () => {
  const elf = elfWithNote(18);
  const packed = new Uint8Array(zstdCompressSync(elf));
  assertEquals(extractVmlinux(new Uint8Array(10)), null);
  assertEquals(extractVmlinux(bzImage(new Uint8Array(64).fill(0x5d))), null);
  assertEquals(extractVmlinux(bzImage(packed.subarray(0, packed.length - 20))), null);
  const cut = bzImage(packed);
  assertEquals(extractVmlinux(cut.subarray(0, cut.length - 8)), null);
});

Deno.test("hasDirectEntry() looks for the note of PVH", () => {
  assertEquals(hasDirectEntry(elfWithNote(18)), true);
  assertEquals(hasDirectEntry(elfWithNote(17)), false);
  assertEquals(extractVmlinux(bzImage(new Uint8Array(gzipSync(elfWithNote(17))))), null);
});
