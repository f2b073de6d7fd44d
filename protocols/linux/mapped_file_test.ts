import { assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { Descriptor } from "./descriptor.ts";
import { Errno } from "./errno.ts";
import * as libc from "./libc.ts";
import { MappedFile, MappedFiles, MAX_WHOLE_FILE } from "./mapped_file.ts";
import { createSharedMemory, liveMappings } from "./mapping.ts";

function acquire(files: MappedFiles, fd: number, offset: number, length: number): MappedFile {
  const part = files.acquire(fd, offset, length, "read-write");
  assertInstanceOf(part, MappedFile);
  return part;
}

Deno.test("MappedFiles.acquire() maps a file once for all its parts and descriptors", () => {
  const before = liveMappings();
  const files = new MappedFiles();
  using memory = createSharedMemory("parts", 0x10_0000);
  using other = memory.duplicate();
  const parts: MappedFile[] = [];
  for (let i = 0; i < 256; i++) {
    parts.push(acquire(files, (i % 2 === 0 ? memory : other).fd, i * 0x1000, 0x1000));
  }
  assertEquals([files.size, liveMappings()], [1, before + 1]);
  assertStrictEquals(parts[0]?.bytes.buffer, parts[255]?.bytes.buffer);
  assertEquals(parts[7]?.bytes.byteOffset, 0x7000);
  assertEquals(parts[0]?.identity, parts[1]?.identity);
  for (const part of parts.slice(1)) part.release();
  for (const part of parts.slice(1)) part.release();
  assertEquals(parts[0]?.bytes.length, 0x1000, "a second release takes nothing from others");
  parts[0]?.release();
  assertEquals([files.size, liveMappings(), parts[0]?.bytes.length], [0, before, 0]);
});

Deno.test("MappedFiles.acquire() maps a file that has grown anew, and keeps the former for its users", () => {
  const files = new MappedFiles();
  using file = new Descriptor(libc.memfdCreate("grows", libc.MFD_CLOEXEC));
  libc.ftruncate(file.fd, 0x1000);
  using small = acquire(files, file.fd, 0, 0x1000);
  assertEquals(files.acquire(file.fd, 0, 0x2000, "read-write"), -Errno.EINVAL);
  libc.ftruncate(file.fd, 0x3000);
  using large = acquire(files, file.fd, 0, 0x3000);
  small.bytes[5] = 5;
  assertEquals(large.bytes[5], 5);
  small.release();
  using shared = acquire(files, file.fd, 0x1000, 0x1000);
  assertStrictEquals(shared.bytes.buffer, large.bytes.buffer);
});

Deno.test("MappedFiles.acquire() maps only the part of a file too large to be mapped whole", () => {
  const before = liveMappings();
  const files = new MappedFiles();
  using memory = createSharedMemory("huge", MAX_WHOLE_FILE * 2);
  using part = acquire(files, memory.fd, MAX_WHOLE_FILE, 0x2000);
  assertEquals([part.bytes.length, part.bytes.buffer.byteLength, files.size], [0x2000, 0x2000, 0]);
  part.release();
  assertEquals(liveMappings(), before);
});

Deno.test("MappedFiles.acquire() refuses ranges that are not within the file", () => {
  const files = new MappedFiles();
  using memory = createSharedMemory("ranges", 0x2000);
  for (
    const [offset, length] of [[0, 0], [0, 0x2001], [0x2000, 1], [-1, 1], [2 ** 53, 1], [0.5, 1]]
  ) {
    assertEquals(
      files.acquire(memory.fd, offset as number, length as number, "read-write"),
      -Errno.EINVAL,
      `${offset} ${length}`,
    );
  }
  assertEquals(files.size, 0);
});
