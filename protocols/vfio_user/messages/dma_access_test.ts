import { assertEquals } from "@std/assert";
import { DMA_READ, DMA_WRITE } from "./dma_access.ts";

const bytes = new Uint8Array(64);
const view = new DataView(bytes.buffer);

Deno.test("DMA_READ's count has 64 bits, and 2^53 is EINVAL", () => {
  const access = DMA_READ.request.create();
  view.setBigUint64(0, 0x1000n, true);
  view.setBigUint64(8, 2n ** 53n - 1n, true);
  assertEquals(DMA_READ.request.decode(view, 0, 16, access), 0);
  assertEquals(access.count, Number.MAX_SAFE_INTEGER);
  view.setBigUint64(8, 2n ** 53n, true);
  assertEquals(DMA_READ.request.decode(view, 0, 16, access), -22);
  view.setBigUint64(8, 1n, true);
  view.setBigUint64(0, 2n ** 63n, true);
  assertEquals(DMA_READ.request.decode(view, 0, 16, access), -22);
});

Deno.test("DMA_WRITE's reply may give its count 4 bytes, as the specification's table does", () => {
  const reply = DMA_WRITE.reply.create();
  bytes.fill(0xff);
  view.setBigUint64(0, 0x2000n, true);
  view.setUint32(8, 12, true);
  assertEquals(DMA_WRITE.reply.decode(view, 0, 12, reply), 0);
  assertEquals([reply.address, reply.count], [0x2000, 12]);
  for (const length of [0, 8, 11, 13, 15]) {
    assertEquals(DMA_WRITE.reply.decode(view, 0, length, reply), -22, `${length} bytes`);
  }
  assertEquals(DMA_WRITE.reply.decode(view, 0, 16, reply), -22, "a count of 2^53 and more");
});

Deno.test("DMA_READ finds the data of QEMU 11.1's reply", () => {
  const hex = "000010000000000008000000000000001011121314151617";
  bytes.set(hex.match(/../g)?.map((byte) => Number.parseInt(byte, 16)) ?? []);
  const access = DMA_READ.reply.create();
  assertEquals(DMA_READ.reply.decode(view, 0, 24, access), 0);
  assertEquals(access, { address: 0x10_0000, count: 8, dataAt: 16 });
  assertEquals(bytes[access.dataAt], 0x10);
});
