import { assert, assertEquals, assertThrows } from "@std/assert";
import { closeAll, Descriptor, liveDescriptors } from "./descriptor.ts";
import { Errno } from "./errno.ts";
import { F_DUPFD_CLOEXEC, F_GETFD, fcntl, FD_CLOEXEC, memfdCreate, MFD_CLOEXEC } from "./libc.ts";

function fresh(): Descriptor {
  return new Descriptor(memfdCreate("descriptor", MFD_CLOEXEC));
}

Deno.test("Descriptor.close() closes once, and never a successor of the same number", () => {
  const before = liveDescriptors();
  using file = fresh();
  // A number that nothing else in the process comes to.
  const first = new Descriptor(fcntl(file.fd, F_DUPFD_CLOEXEC, 900));
  const fd = first.fd;
  first.close();
  assertEquals(fcntl(fd, F_GETFD, 0), -Errno.EBADF);
  using second = new Descriptor(fcntl(file.fd, F_DUPFD_CLOEXEC, fd));
  assertEquals(second.fd, fd);
  first.close();
  first[Symbol.dispose]();
  assertEquals(fcntl(fd, F_GETFD, 0), FD_CLOEXEC);
  assertEquals(liveDescriptors(), before + 2);
});

Deno.test("Descriptor refuses use after close and after take", () => {
  const before = liveDescriptors();
  const descriptor = fresh();
  const fd = descriptor.take();
  assert(descriptor.closed);
  assertThrows(() => descriptor.fd, Error, "closed or was given away");
  assertThrows(() => descriptor.take(), Error);
  assertThrows(() => descriptor.duplicate(), Error);
  descriptor.close();
  assertEquals(fcntl(fd, F_GETFD, 0), FD_CLOEXEC, "the new owner's is open");
  new Descriptor(fd).close();
  assertEquals(liveDescriptors(), before);
});

Deno.test("Descriptor.duplicate() is closed on exec and closed apart", () => {
  const first = fresh();
  const second = first.duplicate();
  first.close();
  assertEquals(fcntl(second.fd, F_GETFD, 0), FD_CLOEXEC);
  closeAll([second]);
  assert(second.closed);
});

Deno.test("Descriptor refuses what can be no descriptor", () => {
  for (const fd of [-1, 1.5, NaN]) assertThrows(() => new Descriptor(fd), TypeError, `${fd}`);
});
