import { assert, assertEquals } from "@std/assert";
import { PAGE_SIZE, pageOf } from "../../../core/address.ts";
import { Random } from "../../../harness/random.ts";
import {
  IOVA_BASE,
  permutation,
  RAM_BASE,
  ScatteredPages,
  selfDescribingBytes,
} from "./workload.ts";

Deno.test("permutation() has every number once, and depends on the seed", () => {
  const order = permutation(1000, new Random(1));
  assertEquals([...order].sort((a, b) => a - b), Array.from({ length: 1000 }, (_, i) => i));
  assertEquals(permutation(1000, new Random(1)), order);
  assert(permutation(1000, new Random(2)).some((value, i) => value !== order[i]));
});

Deno.test("ScatteredPages.mapEach() maps each page once, to frames in no order", () => {
  const pages = new ScatteredPages(256, 256, 1);
  const targets = new Map<number, number>();
  pages.mapEach((iova, gpa) => targets.set(iova, gpa));
  assertEquals(targets.size, 256);
  assertEquals(new Set(targets.values()).size, 256);
  let neighbours = 0;
  for (let page = 1; page < 256; page++) {
    if (pages.gpaOf(page) - pages.gpaOf(page - 1) === PAGE_SIZE) neighbours++;
  }
  assert(neighbours < 10, `${neighbours} pages follow their neighbour`);
});

Deno.test("ScatteredPages.accesses() stays within as many pages as are hot, 8 bytes aligned", () => {
  const order = new ScatteredPages(4096, 64, 1).accesses(512, 2);
  const touched = new Set([...order].map(pageOf));
  assertEquals(touched.size, 512);
  for (const iova of order) {
    assert(iova >= IOVA_BASE && iova < IOVA_BASE + 4096 * PAGE_SIZE && iova % 8 === 0);
  }
});

Deno.test("selfDescribingBytes() holds in each word its own GPA", () => {
  const bytes = selfDescribingBytes(2);
  const view = new DataView(bytes.buffer);
  for (const at of [0, 8, 4096, 8184]) {
    assertEquals(view.getBigUint64(at, true), BigInt(RAM_BASE + at));
  }
});
