import { assertEquals } from "@std/assert";
import { HeatLog } from "./heat_log.ts";

const HEAT = { start: 0, width: 4096, buckets: [1] };

Deno.test("HeatLog.between() gives the samples of an endpoint, both ends included", () => {
  const log = new HeatLog();
  for (let i = 0; i < 5; i++) log.add("00:01.0", i, HEAT);
  log.add("00:02.0", 2, HEAT);
  assertEquals(log.between("00:01.0", 1, 3).map(({ timeMs }) => timeMs), [1, 2, 3]);
  assertEquals(log.between("00:03.0", 0, 9), []);
});

Deno.test("HeatLog keeps 16 endpoints, and makes room for one that is looked at", () => {
  const log = new HeatLog();
  for (let i = 0; i < 20; i++) log.add(`${i}`, 0, HEAT);
  assertEquals(log.between("15", 0, 0).length, 1);
  assertEquals(log.between("16", 0, 0).length, 0);
  log.watch("16");
  log.add("16", 0, HEAT);
  assertEquals(log.between("16", 0, 0).length, 1);
  assertEquals(log.between("0", 0, 0).length, 0);
});

Deno.test("HeatLog lets go of its oldest samples", () => {
  const log = new HeatLog();
  for (let i = 0; i < 10_000; i++) log.add("a", i, HEAT);
  const kept = log.between("a", 0, 10_000);
  assertEquals(kept.at(-1)?.timeMs, 9999);
  assertEquals(kept.length >= 3600 && kept.length < 4500, true);
});
