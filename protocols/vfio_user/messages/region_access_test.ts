import { assertEquals } from "@std/assert";
import {
  decodeWriteMultiEntry,
  encodeWriteMultiEntry,
  REGION_READ,
  REGION_WRITE,
  REGION_WRITE_MULTI,
  writeMultiSize,
} from "./region_access.ts";

const bytes = new Uint8Array(256);
const view = new DataView(bytes.buffer);

Deno.test("REGION_READ is EINVAL for an offset of 2^53, which no region reaches", () => {
  const access = REGION_READ.request.create();
  view.setBigUint64(0, 2n ** 53n, true);
  assertEquals(REGION_READ.request.decode(view, 0, 16, access), -22);
  view.setBigUint64(0, 2n ** 53n - 1n, true);
  assertEquals(REGION_READ.request.decode(view, 0, 16, access), 0);
  assertEquals(access.offset, Number.MAX_SAFE_INTEGER);
});

Deno.test("spec/08 rule 13: a WRITE payload shorter than count is EINVAL, a longer one is not", () => {
  const access = REGION_WRITE.request.create();
  assertEquals(
    REGION_WRITE.request.encode(view, 0, { offset: 4, region: 7, count: 2, dataAt: 0 }),
    18,
  );
  assertEquals(REGION_WRITE.request.decode(view, 0, 17, access), -22);
  assertEquals(REGION_WRITE.request.decode(view, 0, 18, access), 0);
  assertEquals(REGION_WRITE.request.decode(view, 0, 30, access), 0);
  assertEquals(access, { offset: 4, region: 7, count: 2, dataAt: 16 });
});

Deno.test("spec/08 rule 13: count 0 is no error", () => {
  const access = REGION_WRITE.request.create();
  REGION_WRITE.request.encode(view, 0, { offset: 4, region: 0, count: 0, dataAt: 0 });
  assertEquals(REGION_WRITE.request.decode(view, 0, 16, access), 0);
});

Deno.test("spec/09 rule 15: REGION_WRITE_MULTI carries entries of 24 bytes", () => {
  const at = 3;
  const multi = REGION_WRITE_MULTI.request.create();
  const length = REGION_WRITE_MULTI.request.encode(view, at, { wr_cnt: 3, dataAt: 0 });
  assertEquals([length, writeMultiSize(3)], [80, 80]);
  for (let index = 0; index < 3; index++) {
    const to = encodeWriteMultiEntry(view, at, index, {
      offset: 0x100 + index,
      region: index,
      count: index * 4 + (index === 0 ? 1 : 0),
      dataAt: 0,
    });
    bytes[to] = 0xa0 + index;
  }
  assertEquals(REGION_WRITE_MULTI.request.decode(view, at, 80, multi), 0);
  const access = REGION_READ.request.create();
  for (let index = 0; index < 3; index++) {
    assertEquals(decodeWriteMultiEntry(view, multi, index, access), 0);
    assertEquals([access.offset, access.region], [0x100 + index, index]);
    assertEquals([...bytes.subarray(access.dataAt, access.dataAt + 8)], [
      0xa0 + index,
      ...new Array(7).fill(0),
    ]);
  }
});

Deno.test("spec/08 rule 14: each write is checked on its own", () => {
  const access = REGION_READ.request.create();
  const multi = REGION_WRITE_MULTI.request.create();
  REGION_WRITE_MULTI.request.encode(view, 0, { wr_cnt: 3, dataAt: 0 });
  encodeWriteMultiEntry(view, 0, 0, { offset: 0, region: 0, count: 8, dataAt: 0 });
  encodeWriteMultiEntry(view, 0, 1, { offset: 0, region: 0, count: 9, dataAt: 0 });
  encodeWriteMultiEntry(view, 0, 2, { offset: 0, region: 0, count: 0, dataAt: 0 });
  assertEquals(REGION_WRITE_MULTI.request.decode(view, 0, 80, multi), 0);
  assertEquals(
    [0, 1, 2].map((index) => decodeWriteMultiEntry(view, multi, index, access)),
    [0, -22, -22],
  );
  view.setBigUint64(8, 2n ** 63n, true);
  assertEquals(decodeWriteMultiEntry(view, multi, 0, access), -22);
});

Deno.test("REGION_WRITE_MULTI is EINVAL for a count that its body does not hold", () => {
  const multi = REGION_WRITE_MULTI.request.create();
  for (const count of [4n, 2n ** 32n, 2n ** 53n, 2n ** 64n - 1n, 2n ** 64n / 24n]) {
    view.setBigUint64(0, count, true);
    assertEquals(REGION_WRITE_MULTI.request.decode(view, 0, 80, multi), -22, String(count));
  }
});
