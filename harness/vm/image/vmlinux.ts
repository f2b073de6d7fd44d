/**
 * Takes the kernel proper out of a bzImage (Linux Documentation/arch/x86/boot.rst):
 * QEMU enters it directly (PVH), which spares the emulated machine the unpacking.
 * @module
 */

import { gunzipSync, zstdDecompressSync } from "node:zlib";

const SECTOR = 512;
/** Offsets of the setup header's fields. */
const Setup = {
  SECTORS: 0x1f1,
  MAGIC: 0x202,
  PAYLOAD_OFFSET: 0x248,
  PAYLOAD_LENGTH: 0x24c,
} as const;
/** `HdrS`. */
const SETUP_MAGIC = 0x5372_6448;
const ELF_MAGIC = 0x464c_457f;
const ZSTD_MAGIC = 0xfd2f_b528;
const GZIP_MAGIC = 0x8b1f;
/** A program header of notes, and the note by which a kernel says that it can be entered directly. */
const PT_NOTE = 4;
/** `Xen` and a NUL. */
const XEN = 0x006e_6558;
const XEN_ELFNOTE_PHYS32_ENTRY = 18;

/** The ELF file in a bzImage; null when it is packed in a way we do not know, or has no direct entry. */
export function extractVmlinux(bzImage: Uint8Array): Uint8Array | null {
  const view = new DataView(bzImage.buffer, bzImage.byteOffset, bzImage.byteLength);
  if (bzImage.length < 0x250 || view.getUint32(Setup.MAGIC, true) !== SETUP_MAGIC) return null;
  const start = ((view.getUint8(Setup.SECTORS) || 4) + 1) * SECTOR +
    view.getUint32(Setup.PAYLOAD_OFFSET, true);
  const length = view.getUint32(Setup.PAYLOAD_LENGTH, true);
  if (length < 8 || start + length > bzImage.length) return null;
  // The last four bytes are the length when unpacked, appended by the kernel's build.
  const payload = bzImage.subarray(start, start + length - 4);
  let elf: Uint8Array;
  try {
    if (view.getUint32(start, true) === ZSTD_MAGIC) elf = zstdDecompressSync(payload);
    else if (view.getUint16(start, true) === GZIP_MAGIC) elf = gunzipSync(payload);
    else return null;
  } catch {
    return null;
  }
  return hasDirectEntry(elf) ? elf : null;
}

/** Whether a 64-bit ELF file carries the note of PVH. */
export function hasDirectEntry(elf: Uint8Array): boolean {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  if (elf.length < 64 || view.getUint32(0, true) !== ELF_MAGIC || elf[4] !== 2) return false;
  const headers = Number(view.getBigUint64(32, true));
  const headerSize = view.getUint16(54, true);
  const count = view.getUint16(56, true);
  for (let i = 0; i < count; i++) {
    const header = headers + i * headerSize;
    if (header + 56 > elf.length) return false;
    if (view.getUint32(header, true) !== PT_NOTE) continue;
    let at = Number(view.getBigUint64(header + 8, true));
    const end = Math.min(at + Number(view.getBigUint64(header + 32, true)), elf.length);
    while (at + 12 <= end) {
      const name = view.getUint32(at, true);
      const content = view.getUint32(at + 4, true);
      const isXen = name === 4 && at + 16 <= end && view.getUint32(at + 12, true) === XEN;
      if (isXen && view.getUint32(at + 8, true) === XEN_ELFNOTE_PHYS32_ENTRY) return true;
      at += 12 + Math.ceil(name / 4) * 4 + Math.ceil(content / 4) * 4;
    }
  }
  return false;
}
