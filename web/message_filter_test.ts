import { assertEquals, assertLess, assertThrows } from "@std/assert";
import fc from "fast-check";
import type { MessageRow } from "./api.ts";
import { FilterError, parseFilter } from "./message_filter.ts";

const MAP: MessageRow = {
  number: 4,
  timeMs: 1.5,
  direction: ">",
  type: "command",
  id: 7,
  connection: "edu at 00:01.0",
  command: "DMA_MAP",
  length: 48,
  tookMs: null,
  errno: null,
  descriptors: 1,
  fields: [{ name: "addr", value: "0x100000" }, { name: "size", value: "0x1000" }, {
    name: "region",
    value: "0",
  }],
  bytes: "",
};
const REPLY: MessageRow = {
  ...MAP,
  number: 5,
  direction: "<",
  type: "reply",
  tookMs: 0.2,
  errno: 22,
};

function holds(filter: string): [boolean, boolean] {
  const test = parseFilter(filter);
  return [test(MAP), test(REPLY)];
}

Deno.test("parseFilter() takes words that must all hold", async (t) => {
  const cases: readonly (readonly [string, boolean, boolean])[] = [
    ["", true, true],
    ["command:DMA_MAP", true, true],
    ["command:dma_map type:reply", false, true],
    ["command:DMA_*", true, true],
    ["command:*_MAP", true, true],
    ["command:*UNMAP", false, false],
    ["command:D*A*P", true, true],
    ["command:!DMA_MAP", false, false],
    ["errno:22", false, true],
    ["errno:EINVAL", false, true],
    ["errno:!0", false, true],
    ["errno:0", false, false],
    ["region:0", true, true],
    ["region:!0", false, false],
    ["queue:!0", false, false],
    ["addr:0x100000", true, true],
    ["addr:1048576", true, true],
    ["addr:0x10_0000", true, true],
    ["addr:>=0x100000 addr:<0x200000", true, true],
    ["length:>48", false, false],
    ["length:<=48", true, true],
    ["ms:>0.1", false, true],
    ["direction:>", true, false],
    ["direction:<", false, true],
    ["no:5", false, true],
    ["fds:1", true, true],
    ["connection:edu*", true, true],
    ["map", true, true],
    ["unmap", false, false],
    ["0x1000", true, true],
  ];
  for (const [filter, map, reply] of cases) {
    await t.step(filter, () => assertEquals(holds(filter), [map, reply]));
  }
});

Deno.test("parseFilter() takes a region by its index and by its name", async (t) => {
  const of = (region: string): MessageRow => ({
    ...MAP,
    command: "REGION_READ",
    fields: [{ name: "region", value: region }],
  });
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["region:0", "bar0", true],
    ["region:bar0", "bar0", true],
    ["region:BAR0", "bar0", true],
    ["region:0", "bar1", false],
    ["region:!0", "bar0", false],
    ["region:!0", "config", true],
    ["region:!bar0", "bar0", false],
    ["region:5", "bar5", true],
    ["region:6", "rom", true],
    ["region:7", "config", true],
    ["region:0x7", "config", true],
    ["region:config", "config", true],
    ["region:<6", "bar5", true],
    ["region:<6", "config", false],
    ["region:bar*", "bar3", true],
    // A region of a device's own has no name.
    ["region:12", "12", true],
    ["region:0", "12", false],
  ];
  for (const [filter, region, holds] of cases) {
    await t.step(`${filter} of ${region}`, () => {
      assertEquals(parseFilter(filter)(of(region)), holds);
    });
  }
});

Deno.test("parseFilter() says which character is wrong", async (t) => {
  const cases: readonly (readonly [string, number])[] = [
    ["command:", 8],
    ["a:1 errno:!", 11],
    ["length:>many", 8],
    ["length:>_", 8],
    [":5", 0],
    ["ok 7x:1", 3],
    ["x".repeat(501), 500],
    ["a ".repeat(33), 64],
  ];
  for (const [filter, position] of cases) {
    await t.step(filter.slice(0, 20), () => {
      const error = assertThrows(() => parseFilter(filter), FilterError);
      assertEquals(error.position, position);
    });
  }
});

Deno.test("parseFilter() is done soon, however many stars a filter has", () => {
  const started = performance.now();
  const test = parseFilter(`command:${"a*".repeat(200)}b`);
  test({ ...MAP, command: "a".repeat(100_000) });
  assertLess(performance.now() - started, 500);
});

Deno.test("parseFilter() makes a test of any text, or says what is wrong", () => {
  fc.assert(fc.property(fc.string({ maxLength: 60 }), (text) => {
    try {
      parseFilter(text)(MAP);
    } catch (error) {
      if (!(error instanceof FilterError)) throw error;
    }
  }));
});
