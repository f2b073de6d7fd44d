import { assert, assertEquals } from "@std/assert";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";
import { CALM_MS, CalmBuffer } from "./calm_buffer.ts";
import { FIRST_BUFFER, UnixStream } from "./unix_stream.ts";

function transfer(from: UnixStream, to: UnixStream, length: number): void {
  from.send(1, new Uint8Array(length - 1));
  while (to.length < length) {
    from.flush();
    to.reserve(length);
    to.receive();
  }
  to.consume(length);
}

Deno.test("CalmBuffer gives a buffer back within two looks after the last long message, and stops looking", () => {
  const clock = new VirtualClock();
  const [a, b] = UnixStream.pair();
  using _ = a, __ = b;
  const calm = new CalmBuffer(clock, b);
  transfer(a, b, 100);
  calm.watch();
  assertEquals(clock.pending, 0);
  for (let i = 0; i < 5; i++) {
    transfer(a, b, 0x8_0000);
    calm.watch();
    assertEquals(clock.pending, 1);
    clock.advance(CALM_MS);
    assert(b.capacity >= 0x8_0000, "it goes on");
  }
  transfer(a, b, FIRST_BUFFER);
  clock.advance(CALM_MS);
  assertEquals([b.capacity, clock.pending], [FIRST_BUFFER, 0]);
});

Deno.test("CalmBuffer.cancel() looks no more", () => {
  const clock = new VirtualClock();
  const [a, b] = UnixStream.pair();
  using _ = a, __ = b;
  const calm = new CalmBuffer(clock, b);
  transfer(a, b, 0x8_0000);
  calm.watch();
  calm.cancel();
  calm.cancel();
  assertEquals(clock.pending, 0);
});
