import {
  assert,
  assertEquals,
  assertNotEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import * as fc from "fast-check";
import { closeAll, Descriptor, liveDescriptors } from "./descriptor.ts";
import { Errno } from "./errno.ts";
import { F_GETFD, fcntl, FD_CLOEXEC, fstat, memfdCreate, MFD_CLOEXEC, POLLIN } from "./libc.ts";
import { createSharedMemory, Mapping } from "./mapping.ts";
import { FIRST_BUFFER, MAX_DESCRIPTORS, UnixStream } from "./unix_stream.ts";

/** Sends `bytes`, of any length. */
function put(stream: UnixStream, bytes: readonly number[], fds: readonly number[] = []): number {
  stream.headBytes.set(bytes);
  return stream.send(bytes.length, null, fds);
}

function received(stream: UnixStream): number[] {
  return [...stream.bytes.subarray(stream.start, stream.start + stream.length)];
}

/** `count` files with inodes of their own. */
function files(count: number): Descriptor[] {
  return Array.from({ length: count }, () => new Descriptor(memfdCreate("passed", MFD_CLOEXEC)));
}

function inodes(descriptors: readonly Descriptor[] | null): string[] {
  assert(descriptors !== null);
  return descriptors.map((descriptor) => fstat(descriptor.fd).identity);
}

/** Runs `body` on a fresh pair and checks that no descriptor outlives it. */
function withPair(
  body: (a: UnixStream, b: UnixStream) => void,
  options: { receiveLimit?: number; sendLimit?: number; descriptorLimit?: number } = {},
): void {
  const before = liveDescriptors();
  {
    const [a, b] = UnixStream.pair(options);
    using first = a;
    using second = b;
    body(first, second);
  }
  assertEquals(liveDescriptors(), before);
}

Deno.test("UnixStream.receive() answers EAGAIN when nothing is there, and 0 at the end", () => {
  withPair((a, b) => {
    assertEquals(b.receive(), -Errno.EAGAIN);
    assertEquals(put(a, [1, 2, 3]), 0);
    a.close();
    assertEquals(b.receive(), 3);
    assertEquals(received(b), [1, 2, 3]);
    assertEquals(b.receive(), 0);
    assertEquals(put(b, [1]), -Errno.EPIPE);
  });
});

Deno.test("UnixStream.receive() answers ECONNRESET when the peer left without reading", () => {
  withPair((a, b) => {
    assertEquals(put(b, [1]), 0);
    a.close();
    assertEquals(b.receive(), -Errno.ECONNRESET);
  });
});

Deno.test("UnixStream.send() passes 0 to 253 descriptors in order, closed on exec", () => {
  for (const count of [1, 2, 3, 15, 16, 17, 64, MAX_DESCRIPTORS]) {
    withPair((a, b) => {
      const sent = files(count);
      const expected = inodes(sent);
      assertEquals(put(a, [count], sent.map(({ fd }) => fd)), 0);
      closeAll(sent);
      assertEquals(b.receive(), 1);
      const got = b.takeDescriptors(1);
      assertEquals(inodes(got), expected, `${count} descriptors`);
      for (const { fd } of got ?? []) assertEquals(fcntl(fd, F_GETFD, 0), FD_CLOEXEC);
      b.consume(1);
      closeAll(got ?? []);
    });
  }
  withPair((a) => {
    const [file] = files(1) as [Descriptor];
    const many = new Array(MAX_DESCRIPTORS + 1).fill(file.fd);
    assertEquals(put(a, [1], many), -Errno.EINVAL);
    file.close();
  });
});

Deno.test("UnixStream.takeDescriptors() gives each message its own, however they were received", () => {
  withPair((a, b) => {
    const [x, y] = files(2) as [Descriptor, Descriptor];
    put(a, [1, 1, 1, 1]);
    put(a, [2, 2, 2, 2], [x.fd]);
    put(a, [3, 3, 3, 3]);
    put(a, [4, 4, 4, 4], [y.fd]);
    // The kernel ends a receive with the message that carries descriptors.
    assertEquals(b.receive(), 8);
    assertEquals(b.receive(), 8);
    assertEquals(received(b), [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4]);
    const taken: string[][] = [];
    for (let i = 0; i < 4; i++) {
      const got = b.takeDescriptors(4) ?? [];
      taken.push(inodes(got));
      closeAll(got);
      b.consume(4);
    }
    assertEquals(taken, [[], inodes([x]), [], inodes([y])]);
    closeAll([x, y]);
  });
});

Deno.test("UnixStream.takeDescriptors() gathers those of a message that came byte by byte", () => {
  withPair((a, b) => {
    const sent = files(3);
    for (const { fd } of sent) {
      put(a, [7], [fd]);
      assertEquals(b.receive(), 1);
    }
    put(a, [7]);
    b.receive();
    const got = b.takeDescriptors(4) ?? [];
    assertEquals(inodes(got), inodes(sent));
    closeAll([...got, ...sent]);
  });
});

Deno.test("UnixStream.consume() closes descriptors that nobody took", () => {
  withPair((a, b) => {
    const [file] = files(1) as [Descriptor];
    put(a, [1, 2], [file.fd]);
    file.close();
    b.receive();
    const before = liveDescriptors();
    b.consume(1);
    assertEquals(liveDescriptors(), before, "the message goes on");
    b.consume(1);
    assertEquals(liveDescriptors(), before - 1);
    assertThrows(() => b.consume(1), RangeError);
  });
});

Deno.test("UnixStream.takeDescriptors() answers null when control data was truncated, and leaks none", () => {
  withPair((a, b) => {
    const sent = files(9);
    put(a, [1], sent.map(({ fd }) => fd));
    put(a, [2], sent.slice(0, 4).map(({ fd }) => fd));
    closeAll(sent);
    const before = liveDescriptors();
    assertEquals(b.receive(), 1);
    assertEquals(liveDescriptors(), before);
    assertStrictEquals(b.takeDescriptors(1), null);
    b.consume(1);
    assertEquals(b.receive(), 1);
    const got = b.takeDescriptors(1);
    assertEquals(got?.length, 4, "the next message is whole");
    closeAll(got ?? []);
  }, { descriptorLimit: 4 });
});

Deno.test("UnixStream holds no more descriptors than its limit for a message that never ends", () => {
  withPair((a, b) => {
    const [file] = files(1) as [Descriptor];
    const before = liveDescriptors();
    for (let i = 0; i < 100; i++) {
      put(a, [0], [file.fd, file.fd, file.fd]);
      assertEquals(b.receive(), 1);
      assert(liveDescriptors() <= before + 8);
    }
    assertStrictEquals(b.takeDescriptors(100), null);
    assertEquals(liveDescriptors(), before);
    file.close();
  }, { descriptorLimit: 8 });
});

Deno.test("a memfd that is passed and mapped at both ends shares its bytes", () => {
  withPair((a, b) => {
    const memory = createSharedMemory("both-ends", 0x2000);
    const here = Mapping.map(memory.fd, 0, 0x2000, "read-write");
    put(a, [0], [memory.fd]);
    memory.close();
    b.receive();
    const [passed] = b.takeDescriptors(1) as [Descriptor];
    const there = Mapping.map(passed.fd, 0x1000, 0x1000, "read-write");
    passed.close();
    assert(typeof here !== "number" && typeof there !== "number");
    here.bytes[0x1004] = 0xa5;
    there.bytes[5] = 0x5a;
    assertEquals([there.bytes[4], here.bytes[0x1005]], [0xa5, 0x5a]);
    here.close();
    there.close();
  });
});

Deno.test("UnixStream.send() keeps what does not fit, and flush() sends it in order", () => {
  withPair((a, b) => {
    const [file] = files(1) as [Descriptor];
    const body = new Uint8Array(700_000).map((_, i) => i * 7);
    let count = 0;
    for (; a.pendingBytes === 0; count++) {
      a.head.setUint32(0, count, true);
      assertEquals(a.send(4, body), 0);
    }
    a.head.setUint32(0, count++, true);
    assertEquals(a.send(4, body), 0);
    a.head.setUint32(0, 0x1122_3344, true);
    assertEquals(a.send(4, body.subarray(0, 100), [file.fd]), 0);
    const inode = inodes([file]);
    file.close();
    for (let message = 0, round = 0; message <= count; round++) {
      assertNotEquals(round, 10_000);
      assert(a.flush() >= 0);
      const result = b.receive();
      assert(result > 0 || result === -Errno.EAGAIN);
      const length = message < count ? 700_004 : 104;
      if (b.length < length) continue;
      const passed = b.takeDescriptors(length);
      assertEquals(inodes(passed), message < count ? [] : inode);
      closeAll(passed ?? []);
      assertEquals(b.view.getUint32(b.start, true), message < count ? message : 0x1122_3344);
      const got = b.bytes.subarray(b.start + 4, b.start + length);
      assert(got.every((byte, i) => body[i] === byte), `the body of message ${message}`);
      b.consume(length);
      message++;
    }
    assertEquals([a.pendingBytes, b.length], [0, 0]);
  });
});

Deno.test("descriptors of a long message that waits go with the first part of it, and once", () => {
  withPair((a, b) => {
    const [file] = files(1) as [Descriptor];
    let before = 0;
    for (; a.pendingBytes === 0; before += 100_004) a.send(4, new Uint8Array(100_000));
    const length = 700_004;
    assertEquals(a.send(4, new Uint8Array(length - 4), [file.fd, file.fd]), 0);
    const inode = inodes([file, file]);
    file.close();
    const flushed: number[] = [];
    const passed: Descriptor[] = [];
    for (let total = 0, round = 0; total < before + length; round++) {
      assertNotEquals(round, 10_000);
      const left = a.flush();
      assert(left >= 0);
      if (left < length) flushed.push(left);
      b.receive();
      const arrived = b.length;
      passed.push(...b.takeDescriptors(arrived) ?? []);
      b.consume(arrived);
      total += arrived;
    }
    assert(flushed.length > 1, "it went in one");
    assertEquals(inodes(passed), inode);
    closeAll(passed);
  });
});

Deno.test("UnixStream.send() never overtakes what waits, and goes straight again when nothing does", () => {
  withPair((a, b) => {
    let total = 0;
    while (a.pendingBytes === 0) {
      a.send(1, new Uint8Array(100_000));
      total += 100_001;
    }
    // There is room in the socket now, and yet the next message must wait.
    for (let result = 1; result > 0;) {
      result = b.receive();
      total -= b.length;
      b.consume(b.length);
    }
    assertEquals(put(a, [1, 2, 3]), 0);
    assertEquals(b.receive(), -Errno.EAGAIN);
    assertEquals(a.flush(), 0);
    assertEquals(put(a, [4, 5, 6]), 0);
    assertEquals(a.pendingBytes, 0);
    while (b.receive() > 0) { /* all of it is there */ }
    b.consume(total);
    assertEquals(received(b), [1, 2, 3, 4, 5, 6]);
  });
});

Deno.test("UnixStream.receive() goes on in a larger buffer at the place where the former stopped", () => {
  withPair((a, b) => {
    const part = (length: number, value: number): void => {
      a.head.setUint8(0, value);
      a.send(1, new Uint8Array(length - 1).fill(value));
      assertEquals(b.receive(), length);
    };
    part(30_000, 1);
    part(35_536, 2);
    b.consume(35_536);
    assert(b.reserve(100_000));
    part(1000, 3);
    const expected = [...new Array(30_000).fill(2), ...new Array(1000).fill(3)];
    assertEquals(received(b), expected);
  });
});

Deno.test("UnixStream.send() answers ENOBUFS to a peer that never reads, in bytes and in messages", () => {
  withPair((a) => {
    const body = new Uint8Array(100_000);
    let result = 0;
    let rounds = 0;
    while (result === 0 && rounds++ < 1000) result = a.send(4, body);
    assertEquals(result, -Errno.ENOBUFS);
    assert(a.pendingBytes <= 1_000_000);
  }, { sendLimit: 1_000_000 });
  withPair((a) => {
    let result = 0;
    let rounds = 0;
    while (result === 0 && rounds++ < 100_000) result = put(a, [0]);
    assertEquals(result, -Errno.ENOBUFS);
  });
});

Deno.test("descriptors that wait with a message are closed with the stream", () => {
  withPair((a) => {
    const [file] = files(1) as [Descriptor];
    while (a.pendingBytes === 0) a.send(4, new Uint8Array(100_000));
    const before = liveDescriptors();
    assertEquals(put(a, [1], [file.fd, file.fd]), 0);
    assertEquals(liveDescriptors(), before + 2);
    file.close();
  });
});

Deno.test("UnixStream.reserve() makes room for one long message, and no longer than the limit", () => {
  withPair((a, b) => {
    const body = new Uint8Array(0x10_0000).map((_, i) => i * 13);
    put(a, [9, 9, 9]);
    b.receive();
    b.consume(2);
    assert(!b.reserve(0x10_1001));
    assert(b.reserve(0x10_1000));
    a.send(1, body);
    for (let round = 0; b.length < 0x10_0002; round++) {
      assertNotEquals(round, 10_000);
      assert(a.flush() >= 0);
      const result = b.receive();
      assert(result > 0 || result === -Errno.EAGAIN);
    }
    assertEquals(b.bytes[b.start], 9);
    assert(body.every((byte, i) => b.bytes[b.start + 2 + i] === byte));
    b.consume(b.length);
  });
});

Deno.test("UnixStream.receive() answers ENOBUFS when its buffer is full up to the limit", () => {
  withPair((a, b) => {
    a.send(1, new Uint8Array(100_000));
    for (;;) {
      const result = b.receive();
      if (result <= 0) {
        assertEquals(result, -Errno.ENOBUFS);
        break;
      }
    }
    assertEquals(b.length, 80_000);
    b.consume(1);
    assertEquals(b.receive(), 1);
  }, { receiveLimit: 80_000 });
});

Deno.test("UnixStream.wait() tells what is ready, or 0 at the time limit", () => {
  withPair((a, b) => {
    assertEquals(b.wait(POLLIN, 1), 0);
    put(a, [1]);
    assertEquals(b.wait(POLLIN, -1), POLLIN);
    assertEquals(a.peer.pid, Deno.pid);
  });
});

Deno.test("UnixStream refuses use after close", () => {
  const [a, b] = UnixStream.pair();
  a.close();
  a.close();
  b.close();
  assert(a.closed);
  assertThrows(() => a.receive(), Error, "closed");
  assertThrows(() => put(a, [1]), Error, "closed");
});

Deno.test("UnixStream carries any messages in any pieces with their descriptors", () => {
  const message = fc.record({
    length: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 120_000 })),
    fds: fc.integer({ min: 0, max: 5 }),
  });
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 12 }),
      fc.infiniteStream(fc.boolean()),
      (list, coin) => {
        withPair((a, b) => {
          const expected: { length: number; inodes: string[]; first: number }[] = [];
          const got: typeof expected = [];
          let sent = 0;
          const step = (): void => {
            if (sent < list.length && coin.next().value) {
              const { length, fds } = list[sent] as { length: number; fds: number };
              const passed = files(fds);
              a.headBytes[0] = sent;
              const body = length > 1 ? new Uint8Array(length - 1).fill(sent) : null;
              assertEquals(a.send(1, body, passed.map(({ fd }) => fd)), 0);
              expected.push({ length, inodes: inodes(passed), first: sent });
              sent++;
              closeAll(passed);
            } else {
              assert(a.flush() >= 0);
              const result = b.receive();
              assert(result > 0 || result === -Errno.EAGAIN);
            }
            const next = list[got.length];
            if (next !== undefined && b.length >= next.length) {
              const passed = b.takeDescriptors(next.length);
              const { start, bytes } = b;
              assert(
                bytes.subarray(start, start + next.length).every((byte) => byte === got.length),
              );
              got.push({
                length: next.length,
                inodes: inodes(passed),
                first: bytes[start] as number,
              });
              closeAll(passed ?? []);
              b.consume(next.length);
            }
          };
          for (let i = 0; got.length < list.length && i < 5000; i++) step();
          assertEquals(got, expected);
          assertEquals(got.length, list.length);
        });
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("UnixStream.shrink() keeps what has arrived, and its descriptors, and goes on after it", () => {
  const [a, b] = UnixStream.pair();
  using _ = a, __ = b;
  using file = new Descriptor(memfdCreate("shrink", MFD_CLOEXEC));
  const long = new Uint8Array(0x4_0000).fill(7);
  a.send(1, long);
  while (b.length <= long.length) {
    a.flush();
    b.reserve(long.length + 1);
    b.receive();
  }
  b.consume(long.length + 1);
  assert(b.capacity > FIRST_BUFFER);
  a.head.setUint32(0, 0x1234_5678);
  a.send(8, null, [file.fd]);
  b.receive();
  assertEquals(b.shrink(), false);
  assertEquals(b.shrink(), true);
  assertEquals([b.capacity, b.bytes.length, b.view.byteLength], [
    FIRST_BUFFER,
    FIRST_BUFFER,
    FIRST_BUFFER,
  ]);
  assertEquals([b.length, b.view.getUint32(b.start)], [8, 0x1234_5678]);
  const taken = b.takeDescriptors(8) ?? [];
  assertEquals(taken.length, 1);
  for (const descriptor of taken) descriptor.close();
  b.consume(8);
  a.head.setUint32(0, 0x8765_4321);
  a.send(4);
  assertEquals(b.receive(), 4);
  assertEquals(b.view.getUint32(b.start), 0x8765_4321);
});

Deno.test("UnixStream.shrink() leaves a buffer alone that is in use, or as small as it was", () => {
  const [a, b] = UnixStream.pair();
  using _ = a, __ = b;
  assertEquals(b.shrink(), true);
  const { bytes } = b;
  assertEquals(b.bytes === bytes, true);
  a.send(1, new Uint8Array(FIRST_BUFFER));
  while (b.length <= FIRST_BUFFER) {
    a.flush();
    b.reserve(FIRST_BUFFER + 1);
    b.receive();
  }
  // What waits to be consumed is more than fits.
  for (let i = 0; i < 3; i++) assertEquals(b.shrink(), false);
  b.consume(FIRST_BUFFER + 1);
  assertEquals(b.shrink(), true);
});
