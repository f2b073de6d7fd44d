import { assertEquals } from "@std/assert";
import { EVENT_FIELDS, FAULT_FIELDS } from "./observation.ts";
import { parseObserved } from "./observation_schema.ts";

const SAMPLE = {
  kind: "sample",
  endpoints: [[8, 1, 2, 3, 4, 5, 6, 7, 8]],
  domains: [[1, 2, 4096]],
  domainsLeftOut: 0,
  events: [[0, 5, 0, -1, 1, -1, 0x1000, 4096, 0x8000, 3]],
  recorded: 1,
};
const FAULT = [0, 5, 8, -1, 0x1000, 1, -1, 1, 1, 0x1000, 0, 4096, 0, -1, 0];
const REPORT = {
  kind: "report",
  timeNs: 5,
  endpoints: [{
    id: 8,
    device: "edu",
    domain: 1,
    bypass: false,
    latency: { samples: 1, p50Ns: 3.5, p99Ns: 4 },
    latencyBuckets: [[4, 1]],
    latencySumNs: 3.25,
    heat: { start: 0, width: 4096, buckets: [1] },
  }],
  domains: [{ id: 1, kind: "mapped", members: [[8, -1]], membersLeftOut: 0 }],
  regions: [{ name: "ram", start: 0, length: 4096, readOnly: false, dirtyBytes: null }],
  faults: [FAULT],
  faultsLost: 0,
  totals: [1, 2, 3, 4, 5, 6, 7, 8],
};
const DETAIL = {
  endpoint: 8,
  config: "00".repeat(256),
  bars: [],
  msix: null,
  inspect: { busy: false, deep: [[[1]]] },
};

Deno.test("parseObserved() takes what a run tells", () => {
  assertEquals(SAMPLE.events[0]!.length, EVENT_FIELDS);
  assertEquals(FAULT.length, FAULT_FIELDS);
  const lines = [
    { kind: "hello", key: "k" },
    SAMPLE,
    REPORT,
    { kind: "answer", query: 0, answer: null },
    { kind: "answer", query: 1, answer: { kind: "mappings", mappings: [[0, 0, 1, 3, -1, -1]] } },
    { kind: "left-mappings", domain: 1, mappings: [[0, 0, 1, 3, 7, 3]] },
    { kind: "left-detail", detail: DETAIL },
    { kind: "left-detail", detail: { ...DETAIL, inspect: { text: "x".repeat(200_000) } } },
    { kind: "left" },
  ];
  for (const line of lines) assertEquals<unknown>(parseObserved(JSON.stringify(line)), line);
});

Deno.test("parseObserved() refuses what no run would tell", async (t) => {
  const hostile: readonly (readonly [string, unknown])[] = [
    ["no object", 7],
    ["another kind", { kind: "rm" }],
    ["a key too many", { kind: "left", more: 1 }],
    ["a counter below 0", { ...SAMPLE, endpoints: [[8, -1, 2, 3, 4, 5, 6, 7, 8]] }],
    ["a counter too few", { ...SAMPLE, endpoints: [[8, 1, 2, 3, 4, 5, 6, 7]] }],
    ["text for a number", { ...SAMPLE, domains: [[1, "2", 4096]] }],
    ["a kind of event that is none", { ...SAMPLE, events: [[0, 5, 7, 8, 1, -1, 0, 0, 0, 0]] }],
    ["an address beyond 2^52", { ...SAMPLE, events: [[0, 5, 0, 8, 1, -1, 2 ** 52, 0, 0, 0]] }],
    ["9000 events", { ...SAMPLE, events: new Array(9000).fill(SAMPLE.events[0]) }],
    ["an empty mapping", { kind: "left-mappings", domain: 1, mappings: [[0, 0, 0, 3, -1, 0]] }],
    ["a domain of 2^32", { kind: "left-mappings", domain: 2 ** 32, mappings: [] }],
    ["a long name", {
      ...REPORT,
      endpoints: [{ ...REPORT.endpoints[0], device: "x".repeat(201) }],
    }],
    ["a device that says too much of itself", {
      kind: "left-detail",
      detail: { ...DETAIL, inspect: { text: "x".repeat(256 * 1024) } },
    }],
    ["a fault beside no mapping", {
      ...REPORT,
      faults: [[...FAULT.slice(0, 8), 9, 0, 0, 1, 0, 0, 0]],
    }],
  ];
  for (const [what, line] of hostile) {
    await t.step(what, () => assertEquals(parseObserved(JSON.stringify(line)), null));
  }
  await t.step("no JSON", () => assertEquals(parseObserved("{"), null));
});
