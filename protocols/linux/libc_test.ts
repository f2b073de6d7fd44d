import { assert, assertEquals, assertThrows } from "@std/assert";
import { Descriptor } from "./descriptor.ts";
import { Errno, LinuxError } from "./errno.ts";
import * as libc from "./libc.ts";

Deno.test("hot calls answer with the error number of this very call, cold and compiled", () => {
  const bytes = libc.stable(16);
  const pointer = libc.pointerOf(bytes);
  const into = new Uint8Array(bytes);
  using file = new Descriptor(libc.memfdCreate("errno", libc.MFD_CLOEXEC));
  for (let i = 0; i < 20_000; i++) {
    // Three failures with three numbers, so that a stale one is seen.
    if (libc.read(-1, pointer, 16) !== -Errno.EBADF) throw new Error(`read, round ${i}`);
    if (libc.pread(file.fd, into, -1) !== -Errno.EINVAL) throw new Error(`pread, round ${i}`);
    if (libc.sendmsg(file.fd, pointer, 0) !== -Errno.ENOTSOCK) throw new Error(`send, round ${i}`);
    if (libc.recvmsg(-1, pointer, 0) !== -Errno.EBADF) throw new Error(`recvmsg, round ${i}`);
    if (libc.write(file.fd, null, 1) !== -Errno.EFAULT) throw new Error(`write, round ${i}`);
    if (libc.fcntl(file.fd, 12345, 0) !== -Errno.EINVAL) throw new Error(`fcntl, round ${i}`);
  }
});

Deno.test("pread() and pwrite() reach offsets beyond 32 bits, cold and compiled", () => {
  using file = new Descriptor(libc.memfdCreate("large", libc.MFD_CLOEXEC));
  const offset = 5 * 2 ** 32 + 7;
  libc.ftruncate(file.fd, offset + 100);
  const byte = new Uint8Array(1);
  for (let i = 0; i < 20_000; i++) {
    byte[0] = i;
    assertEquals(libc.pwrite(file.fd, byte, offset), 1);
    byte[0] = ~i;
    assertEquals(libc.pread(file.fd, byte, offset), 1);
    if (byte[0] !== (i & 0xff)) throw new Error(`round ${i}`);
  }
});

Deno.test("fstat() reads struct stat as the runtime does", () => {
  const path = Deno.makeTempFileSync();
  try {
    Deno.writeFileSync(path, new Uint8Array(12_345));
    Deno.chmodSync(path, 0o640);
    using file = new Descriptor(libc.open(path, libc.O_RDONLY | libc.O_CLOEXEC));
    const ours = libc.fstat(file.fd);
    const theirs = Deno.statSync(path);
    const halves = (value: number) => `${Math.floor(value / 2 ** 32)}.${value % 2 ** 32}`;
    assertEquals([ours.identity, ours.size, ours.mode], [
      `${halves(theirs.dev)}:${halves(theirs.ino ?? -1)}`,
      12_345,
      theirs.mode ?? -1,
    ]);
    assertEquals(libc.fileSize(file.fd), 12_345);
    assertEquals(libc.fileSize(-1), -Errno.EBADF);
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("fileSystemType() tells a memfd by the magic number of tmpfs", () => {
  using file = new Descriptor(libc.memfdCreate("type", libc.MFD_CLOEXEC));
  assertEquals(libc.fileSystemType(file.fd), libc.TMPFS_MAGIC);
});

Deno.test("set-up calls throw a LinuxError that names the call", () => {
  const error = assertThrows(
    () => libc.open("/nonexistent/file", libc.O_RDONLY),
    LinuxError,
    "/nonexistent/file",
  );
  assertEquals([error.call, error.code], ["open", "ENOENT"]);
  assertThrows(() => libc.close(1 << 29), LinuxError, "EBADF");
  assertThrows(() => libc.fstat(1 << 29), LinuxError, "EBADF");
  assertThrows(() => libc.cString("a\0b"), TypeError, "NUL");
});

Deno.test("ppoll() returns 0 at the time limit, and the count of ready descriptors", () => {
  using event = new Descriptor(libc.eventfd(0, libc.EFD_CLOEXEC | libc.EFD_NONBLOCK));
  const words = new Int32Array(libc.stable(8));
  words[0] = event.fd;
  words[1] = libc.POLLIN;
  const limit = new Uint32Array(libc.stable(16));
  limit[2] = 1_000_000;
  const start = performance.now();
  assertEquals(libc.ppoll(libc.pointerOf(words), 1, libc.pointerOf(limit)), 0);
  assert(performance.now() - start >= 0.9);
  const one = new BigUint64Array(libc.stable(8)).fill(1n);
  assertEquals(libc.write(event.fd, libc.pointerOf(one), 8), 8);
  assertEquals(libc.ppoll(libc.pointerOf(words), 1, null), 1);
  assertEquals((words[1] as number) >>> 16, libc.POLLIN);
});

Deno.test("usableCpus() obeys the affinity of the thread", async () => {
  assert(libc.usableCpus() >= 1 && libc.usableCpus() <= navigator.hardwareConcurrency);
  const status = await Deno.readTextFile("/proc/thread-self/status");
  const mask = /^Cpus_allowed:\s*([0-9a-f,]+)/m.exec(status)?.[1] ?? "";
  let bits = 0;
  for (const digit of mask.replaceAll(",", "")) {
    for (let value = parseInt(digit, 16); value !== 0; value >>= 1) bits += value & 1;
  }
  assertEquals(libc.usableCpus(), bits);
});
