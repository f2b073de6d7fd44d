import { assertEquals } from "@std/assert";
import { heatGrid, hottest } from "./heat_grid.ts";

Deno.test("heatGrid() puts samples of different widths onto one grid", () => {
  const grid = heatGrid(
    [
      { timeMs: 0, heat: { start: 0x10000, width: 4096, buckets: [0, 4, 0] } },
      { timeMs: 99, heat: { start: 0x10000, width: 8192, buckets: [2] } },
    ],
    0,
    100,
    2,
    4,
  )!;
  assertEquals([grid.start, grid.width, grid.peak], [0x10000, 4096, 4]);
  assertEquals([...grid.cells], [0, 4, 0, 0, 1, 1, 0, 0]);
  assertEquals(hottest(grid, 1)[0]!.start, 0x11000);
});

Deno.test("heatGrid() widens its rows until all that was accessed is on it", () => {
  const grid = heatGrid(
    [{ timeMs: 0, heat: { start: 0, width: 2 ** 40, buckets: [1, 0, 0, 1] } }],
    0,
    1,
    1,
    64,
  )!;
  assertEquals(grid.start + grid.width * grid.rows >= 2 ** 42, true);
  assertEquals(Math.round(grid.cells.reduce((a, b) => a + b) * 1e6), 2e6);
});

Deno.test("heatGrid() of nothing is null", () => {
  assertEquals(heatGrid([], 0, 1, 1, 1), null);
  assertEquals(
    heatGrid([{ timeMs: 0, heat: { start: 0, width: 4096, buckets: [0, 0] } }], 0, 1, 1, 1),
    null,
  );
});
