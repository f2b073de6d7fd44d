import { assert, assertEquals } from "@std/assert";
import { Descriptor, liveDescriptors } from "./descriptor.ts";
import { Errno } from "./errno.ts";
import { EventFd } from "./eventfd.ts";
import { EFD_CLOEXEC, eventfd, F_GETFL, F_SETFL, fcntl, O_NONBLOCK } from "./libc.ts";
import { memfdCreate, MFD_CLOEXEC, O_CLOEXEC, O_RDONLY, open } from "./libc.ts";
import { pointerOf, stable, write } from "./libc.ts";

Deno.test("EventFd.drain() takes what was signalled since, then 0", () => {
  using event = EventFd.create();
  assertEquals(event.drain(), 0);
  for (let i = 0; i < 3; i++) assertEquals(event.signal(), 0);
  assertEquals(event.drain(), 3);
  assertEquals(event.drain(), 0);
});

Deno.test("EventFd.adopt() refuses and closes what is no eventfd", () => {
  const before = liveDescriptors();
  const file = new Descriptor(memfdCreate("anon_inode:[eventfd]", MFD_CLOEXEC));
  assertEquals(EventFd.adopt(file), -Errno.EINVAL);
  assert(file.closed);
  assertEquals(liveDescriptors(), before);
});

/** Files of which no link says what they are: it is no text, or longer than a page. */
function unnameable(directory: string): Descriptor[] {
  const library = Deno.dlopen("libc.so.6", {
    memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  });
  const noText = new Descriptor(
    library.symbols.memfd_create(new Uint8Array([0xff, 0xfe, 0]), MFD_CLOEXEC),
  );
  library.close();
  let deep = new Descriptor(open(directory, O_RDONLY | O_CLOEXEC));
  for (let i = 0; i < 20; i++) {
    const name = `/proc/self/fd/${deep.fd}/${"d".repeat(250)}`;
    Deno.mkdirSync(name);
    const next = new Descriptor(open(name, O_RDONLY | O_CLOEXEC));
    deep.close();
    deep = next;
  }
  return [noText, deep];
}

Deno.test("EventFd.adopt() refuses what it cannot tell the name of", () => {
  const before = liveDescriptors();
  const directory = Deno.makeTempDirSync();
  try {
    for (const file of unnameable(directory)) {
      assertEquals(EventFd.adopt(file), -Errno.EINVAL);
      assert(file.closed);
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
  assertEquals(liveDescriptors(), before);
});

Deno.test("EventFd never waits, although a peer made the eventfd blocking and fills it", () => {
  const raw = eventfd(0, EFD_CLOEXEC);
  const adopted = EventFd.adopt(new Descriptor(raw));
  assert(typeof adopted !== "number");
  using event = adopted;
  assertEquals(fcntl(raw, F_GETFL, 0) & O_NONBLOCK, O_NONBLOCK);
  fcntl(raw, F_SETFL, 0);
  assertEquals(event.drain(), 0, "an empty one");
  const most = new BigUint64Array(stable(8)).fill(2n ** 64n - 2n);
  assertEquals(write(raw, pointerOf(most), 8), 8);
  assertEquals(event.signal(), -Errno.EAGAIN, "a full one");
  assertEquals(event.drain(), 2 ** 64);
  assertEquals(event.signal(), 0);
  assertEquals(event.drain(), 1);
});
