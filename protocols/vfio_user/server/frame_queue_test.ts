import { assertEquals } from "@std/assert";
import { Descriptor, liveDescriptors } from "../../linux/descriptor.ts";
import { eventfd } from "../../linux/libc.ts";
import { FrameQueue } from "./frame_queue.ts";

const frame = (length: number) => ({ bytes: new Uint8Array(length), descriptors: null });

Deno.test("FrameQueue.hasRoom() bounds the bytes that wait, and counts those that have gone", () => {
  const queue = new FrameQueue();
  for (let at = 0; at < 4; at++) {
    assertEquals(queue.hasRoom(0x10_0000), true);
    queue.push(frame(0x10_0000));
  }
  assertEquals([queue.hasRoom(1), queue.hasRoom(0)], [false, true]);
  queue.shift();
  assertEquals([queue.hasRoom(0x10_0000), queue.hasRoom(0x10_0001)], [true, false]);
});

Deno.test("FrameQueue.hasRoom() bounds the messages that wait, however short", () => {
  const queue = new FrameQueue();
  let count = 0;
  for (; queue.hasRoom(16); count++) queue.push(frame(16));
  assertEquals(count, 4096);
});

Deno.test("FrameQueue bounds the descriptors that wait; clear() closes them, shift() hands them out", () => {
  const before = liveDescriptors();
  const queue = new FrameQueue();
  let count = 0;
  for (; queue.hasRoom(16); count += 8) {
    const descriptors = Array.from({ length: 8 }, () => new Descriptor(eventfd(0, 0)));
    queue.push({ bytes: new Uint8Array(16), descriptors });
  }
  assertEquals([count, liveDescriptors()], [256, before + 256]);
  const first = queue.shift();
  assertEquals([queue.hasRoom(16), queue.length], [true, 31]);
  queue.clear();
  assertEquals([queue.length, liveDescriptors()], [0, before + 8]);
  for (const descriptor of first?.descriptors ?? []) descriptor.close();
  assertEquals(liveDescriptors(), before);
});
