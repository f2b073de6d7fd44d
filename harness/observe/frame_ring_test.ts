import { assertEquals } from "@std/assert";
import { BYTES_KEPT, FRAME_KEPT, FrameRing, FRAMES_KEPT } from "./frame_ring.ts";

function message(length: number, first: number): Uint8Array {
  const bytes = new Uint8Array(length).fill(0x5a);
  bytes[0] = first;
  return bytes;
}

Deno.test("FrameRing.read() gives each message once, with every field whole", () => {
  const ring = new FrameRing();
  ring.record(2 ** 53 - 1, 2 ** 31 - 1, ">", new Uint8Array([1, 2, 3]), 8);
  ring.record(5, 0, "<", new Uint8Array(), 0);
  const other = new FrameRing(ring.buffer);
  assertEquals(other.read(0), {
    frames: [
      {
        timeNs: 2 ** 53 - 1,
        connection: 2 ** 31 - 1,
        direction: ">",
        length: 3,
        bytes: new Uint8Array([1, 2, 3]),
        descriptors: 8,
      },
      {
        timeNs: 5,
        connection: 0,
        direction: "<",
        length: 0,
        bytes: new Uint8Array(),
        descriptors: 0,
      },
    ],
    recorded: 2,
  });
  assertEquals(other.read(2), { frames: [], recorded: 2 });
});

Deno.test("FrameRing.record() keeps the beginning of a long message, and its length", () => {
  const ring = new FrameRing();
  ring.record(1, 1, ">", message(1_048_576, 7), 0);
  const [frame] = ring.read(0).frames;
  assertEquals([frame!.length, frame!.bytes.length, frame!.bytes[0]], [1_048_576, FRAME_KEPT, 7]);
});

Deno.test("FrameRing.read() gives the newest messages when the ring has gone round, and counts all", () => {
  const ring = new FrameRing();
  const count = FRAMES_KEPT + 100;
  for (let at = 0; at < count; at++) ring.record(at, 3, ">", message(16, at & 0xff), 0);
  const { frames, recorded } = ring.read(0);
  assertEquals(recorded, count);
  // The place that the writer would go over next is left out.
  assertEquals(frames.length, FRAMES_KEPT - 1);
  assertEquals(frames[0]!.timeNs, count - FRAMES_KEPT + 1);
  for (const { timeNs, bytes } of frames) assertEquals(bytes[0], timeNs & 0xff);
});

Deno.test("FrameRing.read() leaves out messages whose bytes were gone over, and leaves no hole", () => {
  const ring = new FrameRing();
  // Lengths that do not divide the room, so that messages begin anew at its end.
  const lengths = [4096, 100, 3001, 4095, 1, 2048];
  const count = 3 * Math.ceil(BYTES_KEPT / 2223);
  for (let at = 0; at < count; at++) {
    ring.record(at, 0, "<", message(lengths[at % lengths.length]!, at & 0xff), 0);
  }
  const { frames, recorded } = ring.read(0);
  assertEquals(recorded, count);
  assertEquals(
    frames.map(({ timeNs }) => timeNs),
    frames.map((_, at) => count - frames.length + at),
  );
  let bytes = 0;
  for (const frame of frames) {
    bytes += frame.bytes.length;
    assertEquals(
      frame.bytes,
      message(lengths[frame.timeNs % lengths.length]!, frame.timeNs & 0xff),
    );
  }
  assertEquals(bytes > BYTES_KEPT - 2 * FRAME_KEPT && bytes <= BYTES_KEPT, true, `${bytes}`);
});

Deno.test("FrameRing.skip() counts messages that are not written, and leaves no hole", () => {
  const ring = new FrameRing();
  ring.record(0, 0, ">", message(8, 1), 0);
  ring.skip(1000);
  const first = ring.read(0);
  assertEquals(first, { frames: [], recorded: 1001 });
  ring.record(1, 0, ">", message(8, 2), 0);
  assertEquals(ring.read(0).frames.map(({ timeNs }) => timeNs), [1]);
  assertEquals(ring.read(first.recorded).frames.map(({ timeNs }) => timeNs), [1]);
  ring.skip(2 ** 31);
  ring.record(2, 0, ">", message(8, 3), 0);
  const { frames, recorded } = ring.read(first.recorded);
  assertEquals([frames.length, recorded], [1, 1003 + 2 ** 31]);
});

Deno.test("FrameRing.read() goes on where the counts have passed 2^32", () => {
  const ring = new FrameRing();
  const control = new Int32Array(ring.buffer, 0, 2);
  const before = 2 ** 32 - 3;
  control[0] = control[1] = before | 0;
  for (let at = 0; at < 6; at++) ring.record(at, 0, ">", message(32, at), 0);
  const { frames, recorded } = ring.read(before);
  assertEquals(recorded, before + 6);
  assertEquals(frames.map(({ bytes }) => bytes[0]), [0, 1, 2, 3, 4, 5]);
});

Deno.test("FrameRing.read() gives whole messages while another thread writes", async () => {
  const ring = new FrameRing();
  const writer = `import { FrameRing } from ${
    JSON.stringify(import.meta.resolve("./frame_ring.ts"))
  };
  self.onmessage = ({ data }) => {
    const ring = new FrameRing(data);
    const go = new Int32Array(data, 0, 1);
    for (let at = 0; at < 200_000; at++) {
      ring.record(at, at & 0xffff, ">", new Uint8Array(at % 4000).fill(at & 0xff), 0);
    }
    self.postMessage(go[0]);
  };`;
  const url = URL.createObjectURL(new Blob([writer], { type: "application/javascript" }));
  const worker = new Worker(url, { type: "module" });
  let written = -1;
  const over = new Promise<void>((resolve) =>
    worker.onmessage = ({ data }: MessageEvent<number>) => {
      written = data;
      resolve();
    }
  );
  worker.postMessage(ring.buffer);
  let from = 0, seen = 0;
  const look = (): void => {
    const { frames, recorded } = ring.read(from);
    from = recorded;
    for (const { timeNs, connection, length, bytes } of frames) {
      seen++;
      assertEquals([connection, length], [timeNs & 0xffff, timeNs % 4000]);
      assertEquals(bytes.length, length);
      for (const byte of [bytes[0], bytes.at(-1)]) {
        if (length > 0) assertEquals(byte, timeNs & 0xff);
      }
    }
  };
  while (written < 0) {
    look();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await over;
  look();
  worker.terminate();
  URL.revokeObjectURL(url);
  assertEquals(from, written);
  assertEquals(seen > 0, true);
});
