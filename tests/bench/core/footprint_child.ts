/**
 * A process of its own that holds one table of mappings, and says what that
 * costs. Argument: JSON of {@linkcode FootprintRequest}; prints JSON of {@linkcode FootprintReport}.
 * @module
 */

import { Access, PAGE_SIZE } from "../../../core/address.ts";
import { AddressSpace } from "../../../core/iommu/address_space.ts";
import type { FootprintReport, FootprintRequest } from "./child_messages.ts";
import { BigIntPageTable, NumberPageTable } from "./naive_tables.ts";
import { MANY_FRAMES, ScatteredPages } from "./workload.ts";

/** Built before the first look, like whatever is not the table. */
const request = JSON.parse(Deno.args[0]!) as FootprintRequest;
const pages = new ScatteredPages(request.pages, MANY_FRAMES, request.seed);

/** Memory after a full collection; two, for what the first one's finalizers free. */
function settled(): { rss: number; heap: number } {
  const collect = (globalThis as { gc?: () => void }).gc;
  if (collect === undefined) throw new Error("Start this process with --v8-flags=--expose-gc");
  collect();
  collect();
  const { rss, heapUsed, external } = Deno.memoryUsage();
  return { rss, heap: heapUsed + external };
}

/** The table, and the bytes that it says it holds. */
function build(kind: FootprintRequest["table"]): { keep: object; own: number; worst: number } {
  if (kind === "map-bigint") {
    const table = new BigIntPageTable();
    pages.mapEach((iova, gpa) => table.map(BigInt(iova), BigInt(gpa)));
    return { keep: table, own: NaN, worst: NaN };
  }
  if (kind === "map-number") {
    const table = new NumberPageTable();
    pages.mapEach((iova, gpa) => table.map(iova, gpa));
    return { keep: table, own: NaN, worst: NaN };
  }
  const space = new AddressSpace("domain 1", request.seed);
  let worst = 0;
  const map = (page: number): void => {
    space.map(pages.iovaOf(page), pages.gpaOf(page), PAGE_SIZE, Access.READ_WRITE);
    // A table that has just grown costs most; small ones cost more each, and little in all.
    if (space.size >= request.pages / 2) {
      worst = Math.max(worst, space.table.byteLength / space.size);
    }
  };
  if (kind === "ascending") {
    for (let page = 0; page < request.pages; page++) map(page);
  } else {
    pages.mapEach((iova) => map((iova - pages.iovaOf(0)) / PAGE_SIZE));
  }
  return { keep: space, own: space.table.byteLength, worst };
}

// Compiled, and grown once, before the look.
new AddressSpace("warm-up", 1).map(pages.iovaOf(0), pages.gpaOf(0), PAGE_SIZE, Access.READ);
const before = settled();
const built = build(request.table);
const after = settled();
const report: FootprintReport = {
  own: Number.isNaN(built.own) ? null : built.own / request.pages,
  worst: Number.isNaN(built.worst) ? null : built.worst,
  heap: (after.heap - before.heap) / request.pages,
  rss: (after.rss - before.rss) / request.pages,
};
// Said after the last look, so that the table cannot have been collected by then.
if (built.keep === null) throw new Error("The table is gone");
await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(report)));
