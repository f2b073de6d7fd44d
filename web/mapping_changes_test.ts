import { assertEquals } from "@std/assert";
import { TIMELINE } from "../harness/observe/observation.ts";
import { MappingChanges } from "./mapping_changes.ts";

function event(kind: number, domain: number): readonly number[] {
  return [0, 0, kind, -1, domain, -1, 0x1000, 4096, 0, 3];
}

Deno.test("MappingChanges counts maps and unmaps of each domain, and nothing else", () => {
  const changes = new MappingChanges();
  for (const kind of Object.values(TIMELINE)) changes.count(event(kind, 1));
  changes.count(event(TIMELINE.map, 1));
  changes.count(event(TIMELINE.unmap, 2));
  assertEquals(changes.of(1), { maps: 2, unmaps: 1 });
  assertEquals(changes.of(2), { maps: 0, unmaps: 1 });
  assertEquals(changes.of(3), { maps: 0, unmaps: 0 });
});

Deno.test("MappingChanges has a bound, whatever domains a run names", () => {
  const changes = new MappingChanges();
  for (let domain = 0; domain < 10_000; domain++) changes.count(event(TIMELINE.map, domain));
  assertEquals(changes.of(0).maps, 1);
  assertEquals(changes.of(9999).maps, 0);
});
