import { assertEquals } from "@std/assert";
import type { MappingRow } from "../../api.ts";
import { MappingTable } from "./mapping_table.ts";

function row(index: number): MappingRow {
  const iova = index * 0x2000;
  return {
    iova,
    last: iova + 0xfff,
    gpa: 2 ** 40 + iova,
    length: 0x1000,
    access: ["r", "w", "rw", "none"][index % 4]!,
    mappedNs: index % 2 === 0 ? index : null,
    hits: index % 3 === 0 ? null : index,
  };
}

Deno.test("MappingTable.append() keeps every row as it was, beyond its first capacity", () => {
  const table = new MappingTable();
  const rows = Array.from({ length: 5000 }, (_, i) => row(i));
  for (let i = 0; i < rows.length; i += 1000) table.append({ mappings: rows.slice(i, i + 1000) });
  assertEquals(table.length, 5000);
  assertEquals([0, 1, 2, 3, 4999].map((i) => table.row(i)), [0, 1, 2, 3, 4999].map(row));
  assertEquals([table.row(-1), table.row(5000)], [null, null]);
});

Deno.test("MappingTable.find() gives the row that covers an address, or the next", () => {
  const table = new MappingTable();
  table.append({ mappings: [row(1), row(2), row(3)] });
  const found = [0, 0x2000, 0x2fff, 0x3000, 0x4000, 0x7000].map((iova) => table.find(iova));
  assertEquals(found, [0, 0, 0, 1, 1, 3]);
});
