import { assert, assertEquals, assertThrows } from "@std/assert";
import { Descriptor } from "./descriptor.ts";
import { Errno } from "./errno.ts";
import * as libc from "./libc.ts";
import {
  createSharedMemory,
  liveMappings,
  Mapping,
  readFile,
  shareable,
  writeFile,
} from "./mapping.ts";

function map(fd: number, offset: number, length: number, access: "read" | "read-write"): Mapping {
  const mapping = Mapping.map(fd, offset, length, access);
  assert(typeof mapping !== "number", `${mapping}`);
  return mapping;
}

function mapsOf(name: string): number {
  return Deno.readTextFileSync("/proc/self/maps").split("\n")
    .filter((line) => line.includes(`memfd:${name}`)).length;
}

Deno.test("Mapping.close() detaches every view before it unmaps", () => {
  using memory = createSharedMemory("detach", 0x4000);
  const mapping = map(memory.fd, 0, 0x4000, "read-write");
  const part = mapping.bytes.subarray(0x1000, 0x2000);
  const words = new Uint32Array(mapping.bytes.buffer);
  const view = new DataView(mapping.bytes.buffer, 8, 8);
  part[0] = 0x5a;
  assertEquals(mapsOf("detach"), 1);
  mapping.close();
  mapping.close();
  assertEquals(mapsOf("detach"), 0);
  assertEquals([mapping.bytes.length, part.length, words.length], [0, 0, 0]);
  assertEquals<number | undefined>(part[0], undefined);
  part[0] = 1;
  assertThrows(() => view.getUint8(0), TypeError);
  assertThrows(() => mapping.pointer, Error, "closed");
  using again = map(memory.fd, 0, 0x4000, "read-write");
  assertEquals(again.bytes[0x1000], 0x5a, "the write from before, and no other");
});

Deno.test("a compiled loop over a view stops reading when the mapping closes", () => {
  using memory = createSharedMemory("compiled", 0x1000);
  const sum = (bytes: Uint8Array): number => {
    let total = 0;
    for (let i = 0; i < 0x1000; i++) total += bytes[i] ?? 1;
    return total;
  };
  const mapping = map(memory.fd, 0, 0x1000, "read-write");
  const bytes = mapping.bytes;
  for (let i = 0; i < 2000; i++) assertEquals(sum(bytes), 0);
  mapping.close();
  for (let i = 0; i < 2000; i++) assertEquals(sum(bytes), 0x1000);
});

Deno.test("Mapping of 64 GiB maps, detaches and unmaps without copying", () => {
  const length = 2 ** 36;
  using memory = createSharedMemory("large", length);
  const mapping = map(memory.fd, 0, length, "read-write");
  mapping.bytes[length - 1] = 7;
  mapping.close();
  const byte = new Uint8Array(1);
  assertEquals(readFile(memory.fd, length - 1, byte), 0);
  assertEquals(byte[0], 7);
});

Deno.test("Mapping.map() answers with the kernel's error number", () => {
  using memory = createSharedMemory("errors", 0x1000);
  assertEquals(Mapping.map(memory.fd, 1, 0x1000, "read-write"), -Errno.EINVAL);
  assertEquals(Mapping.map(memory.fd, 0, 0, "read-write"), -Errno.EINVAL);
  assertEquals(Mapping.map(memory.fd, -4096, 4096, "read-write"), -Errno.EINVAL);
  assertEquals(Mapping.map(memory.fd, 0, 2 ** 52, "read-write"), -Errno.ENOMEM);
  assertEquals(Mapping.map(-1, 0, 0x1000, "read-write"), -Errno.EBADF);
  using readOnly = new Descriptor(libc.open(`/proc/self/fd/${memory.fd}`, libc.O_RDONLY));
  assertEquals(Mapping.map(readOnly.fd, 0, 0x1000, "read-write"), -Errno.EACCES);
});

Deno.test("a mapping for reading sees the file, and keeps stray writes from it", () => {
  using memory = createSharedMemory("stray", 0x2000);
  using writer = map(memory.fd, 0, 0x2000, "read-write");
  using readOnly = new Descriptor(libc.open(`/proc/self/fd/${memory.fd}`, libc.O_RDONLY));
  using reader = map(readOnly.fd, 0, 0x2000, "read");
  writer.bytes[0] = 1;
  assertEquals(reader.bytes[0], 1);
  reader.bytes[1] = 2;
  assertEquals(writer.bytes[1], 0);
});

Deno.test("createSharedMemory() makes zeroed memory that can neither shrink nor grow", () => {
  using memory = createSharedMemory("sealed", 0x3000);
  assertEquals(libc.fstat(memory.fd).size, 0x3000);
  assertThrows(() => libc.ftruncate(memory.fd, 0x1000), Error, "EPERM");
  assertThrows(() => libc.ftruncate(memory.fd, 0x4000), Error, "EPERM");
  assertEquals(shareable(memory.fd, "read-write"), "sealed");
});

Deno.test("shareable() seals a memfd that allows it", () => {
  using file = new Descriptor(
    libc.memfdCreate("unsealed", libc.MFD_CLOEXEC | libc.MFD_ALLOW_SEALING),
  );
  libc.ftruncate(file.fd, 0x2000);
  assertEquals(shareable(file.fd, "read-write"), "sealed");
  assertThrows(() => libc.ftruncate(file.fd, 0x1000), Error, "EPERM");
});

Deno.test("shareable() has a memfd that cannot be sealed copied", () => {
  using file = new Descriptor(libc.memfdCreate("unsealable", libc.MFD_CLOEXEC));
  assertEquals(shareable(file.fd, "read-write"), "copied");
});

Deno.test("shareable() refuses what is no plain file on a file system that answers by itself", () => {
  const [a, b] = libc.socketpair(libc.AF_UNIX, libc.SOCK_STREAM | libc.SOCK_CLOEXEC, 0);
  using first = new Descriptor(a);
  using second = new Descriptor(b);
  using device = new Descriptor(libc.open("/dev/zero", libc.O_RDWR));
  using folder = new Descriptor(libc.open("/tmp", libc.O_RDONLY));
  using proc = new Descriptor(libc.open("/proc/self/maps", libc.O_RDONLY));
  for (const { fd } of [first, second, device, folder, proc]) {
    assertEquals(shareable(fd, "read"), "refused");
  }
});

Deno.test("readFile() and writeFile() share bytes with every mapping of the file", () => {
  using memory = createSharedMemory("coherent", 0x2000);
  using mapping = map(memory.fd, 0, 0x2000, "read-write");
  assertEquals(writeFile(memory.fd, 0xffe, new Uint8Array([1, 2, 3, 4])), 0);
  assertEquals([...mapping.bytes.subarray(0xffe, 0x1002)], [1, 2, 3, 4]);
  mapping.bytes[0x1000] = 9;
  const into = new Uint8Array(4);
  assertEquals(readFile(memory.fd, 0xffe, into), 0);
  assertEquals([...into], [1, 2, 9, 4]);
  assertEquals(readFile(memory.fd, 0x2000, new Uint8Array(0)), 0);
});

Deno.test("readFile() and writeFile() answer EFAULT for a file that a peer made shorter", () => {
  using file = new Descriptor(libc.memfdCreate("shrinks", libc.MFD_CLOEXEC));
  libc.ftruncate(file.fd, 0x4000);
  assertEquals(writeFile(file.fd, 0x3000, new Uint8Array(16)), 0);
  libc.ftruncate(file.fd, 0x1000);
  assertEquals(readFile(file.fd, 0x3000, new Uint8Array(16)), -Errno.EFAULT);
  assertEquals(writeFile(file.fd, 0x3000, new Uint8Array(16)), -Errno.EFAULT);
  assertEquals(libc.fstat(file.fd).size, 0x1000, "the file has not grown");
  const across = new Uint8Array(16).fill(7);
  assertEquals(readFile(file.fd, 0xff8, across), -Errno.EFAULT);
  assertEquals([...across], [...new Uint8Array(8), ...new Uint8Array(8).fill(7)]);
});

Deno.test("no mapping is left behind", () => {
  assertEquals(liveMappings(), 0);
  assert(!Deno.readTextFileSync("/proc/self/maps").includes("memfd:coherent"));
});
