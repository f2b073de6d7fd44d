import { assertEquals } from "@std/assert";
import fc from "fast-check";
import type { MappingTuple } from "../harness/observe/observation.ts";
import { LeftMappings } from "./left_mappings.ts";

const MAPPINGS = fc.array(
  fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 50 })),
)
  .map((parts) => {
    let at = 0;
    return parts.map(([gap, length]): MappingTuple => {
      const iova = at + gap - 1;
      at = iova + length;
      return [iova, iova * 3, length, 3, -1, at % 7];
    });
  });

Deno.test("LeftMappings.around() finds what a search through all finds", () => {
  fc.assert(fc.property(MAPPINGS, (mappings) => {
    const left = new LeftMappings();
    left.add(mappings);
    // Every edge, and what lies on both sides of it.
    const edges = mappings.flatMap(([start, , length]) => [start, start + length]);
    for (const iova of edges.flatMap((edge) => [edge - 1, edge, edge + 1])) {
      if (iova < 0) continue;
      const over = mappings.find(([start, , length]) => iova >= start && iova < start + length);
      assertEquals(left.around(iova), {
        over: over ?? null,
        below: mappings.filter(([start, , length]) => start + length <= iova).at(-1) ?? null,
        above: mappings.find(([start]) => start > iova) ?? null,
      });
    }
  }));
});

Deno.test("LeftMappings.page() gives those from an address on", () => {
  fc.assert(fc.property(
    MAPPINGS,
    fc.integer({ min: 0, max: 2000 }),
    fc.integer({ min: 1, max: 20 }),
    (mappings, from, limit) => {
      const left = new LeftMappings();
      left.add(mappings);
      assertEquals(left.size, mappings.length);
      assertEquals(
        left.page(from, limit),
        mappings.filter(([iova]) => iova >= from).slice(0, limit),
      );
    },
  ));
});

Deno.test("LeftMappings.add() leaves out what does not ascend", () => {
  const left = new LeftMappings();
  left.add([[0x2000, 0, 4096, 3, -1, 0], [0x1000, 0, 4096, 3, -1, 0], [0x2000, 0, 4096, 3, -1, 0]]);
  left.add([[0x3000, 0, 4096, 3, -1, 0]]);
  assertEquals(left.page(0, 10).map(([iova]) => iova), [0x2000, 0x3000]);
});
