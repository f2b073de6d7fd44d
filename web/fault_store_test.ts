import { assertEquals } from "@std/assert";
import { fault } from "./_test_dashboard.ts";
import { FAULTS_KEPT, FaultStore } from "./fault_store.ts";

const EVERYTHING = { before: null, limit: 1000, endpoint: null, reason: null };

Deno.test("FaultStore keeps the newest faults, and counts those that went and those never seen", () => {
  const store = new FaultStore();
  const count = 2 * FAULTS_KEPT + 7;
  for (let at = 0; at < count; at++) store.add([fault(at, 0x3000)]);
  store.lost = 11;
  assertEquals(store.size + store.dropped, count + 11);
  const { faults, total } = store.page(EVERYTHING, () => "edu");
  assertEquals([total, faults[0]!.sequence], [store.size, count - 1]);
  assertEquals(store.groups().map(({ count }) => count), [count]);
});

Deno.test("FaultStore.groups() has a bound: endpoints are numbers that a scenario chooses", () => {
  const store = new FaultStore();
  for (let at = 0; at < 10_000; at++) {
    const row = [...fault(at, 0x3000)];
    row[2] = at;
    store.add([row]);
  }
  assertEquals(store.groups().length, 4096);
});

Deno.test("FaultStore.page() says nothing of a mapping where none was near", () => {
  const store = new FaultStore();
  const row = [...fault(0, 0x3000)];
  row[8] = 0;
  store.add([row]);
  assertEquals(store.page(EVERYTHING, () => "edu").faults[0]!.nearest, null);
});
