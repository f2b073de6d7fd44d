import { assertEquals, assertRejects } from "@std/assert";
import { mapEvent, report, sample } from "./_test_dashboard.ts";
import { RunSource } from "./run_source.ts";
import { BusyError } from "./source.ts";

const silent = () => Promise.resolve(null);

Deno.test("RunSource keeps the timeline's numbers ascending, whatever its process says", () => {
  const source = new RunSource(silent);
  source.take(sample([], [mapEvent(3), mapEvent(3), mapEvent(1)], 0));
  source.take(sample([], [mapEvent(2), mapEvent(5)], 1));
  assertEquals(source.timeline(0, Infinity).map(([number]) => number), [3, 5]);
  assertEquals(source.timelineEnd, 6);
});

Deno.test("RunSource keeps what was left of so many domains, and of those that have mappings alone", async () => {
  const source = new RunSource(silent);
  for (let domain = 0; domain < 70_000; domain++) {
    source.take({ kind: "left-mappings", domain, mappings: [] });
  }
  for (let domain = 0; domain < 66_000; domain++) {
    source.take({ kind: "left-mappings", domain, mappings: [[0x1000, 0, 4096, 3, -1, -1]] });
  }
  source.take({ kind: "left" });
  source.end();
  const kept = async (domain: number) => (await source.mappings(domain, 0, 10)).length;
  assertEquals(await kept(65_535), 1);
  assertEquals(await kept(65_536), 0);
});

Deno.test("RunSource.mappings() takes no domain for gone that its reports leave out", async () => {
  const source = new RunSource(silent);
  source.take(sample());
  source.take(report());
  assertEquals(await source.mappings(7, 0, 10), []);
  source.take({
    ...sample() as Extract<ReturnType<typeof sample>, { kind: "sample" }>,
    domainsLeftOut: 1,
  });
  await assertRejects(() => source.mappings(7, 0, 10), BusyError);
});
