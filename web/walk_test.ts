import { assertEquals } from "@std/assert";
import type { DomainState, EndpointState, TranslationCache } from "./api.ts";
import { walk, type WalkInput } from "./walk.ts";

const counters = {
  translations: 0,
  iotlbHits: 0,
  iotlbMisses: 0,
  faults: 0,
  pageRequests: 0,
  invalidations: 0,
  dmaReadBytes: 0,
  dmaWriteBytes: 0,
};
const endpoint: EndpointState = {
  id: 8,
  bdf: "00:01.0",
  device: "edu",
  domain: 1,
  bypass: false,
  counters,
  latency: null,
  faultsByReason: {},
  heat: null,
};
const domain: DomainState = {
  id: 1,
  kind: "mapped",
  mappings: 1,
  mappedBytes: 4096,
  maps: 1,
  unmaps: 0,
  members: [],
  membersLeftOut: 0,
};
const over = [0x1000, 0x8000, 4096, 1, 0, 0] as const;

function cacheOf(around: WalkInput["around"]): TranslationCache | null | undefined {
  const { walk: steps } = walk({
    endpoint,
    iova: 0x1010,
    access: 1,
    domain,
    around,
    regions: [],
    ended: false,
  });
  const step = steps.find(({ step }) => step === "mapping");
  return step?.step === "mapping" ? step.cache : undefined;
}

Deno.test("walk() says who would answer now, where that is known and something is mapped", () => {
  const mapped = { over, below: null, above: null };
  for (const answerer of ["hot-range", "page-cache", "tree"] as const) {
    assertEquals(cacheOf({ ...mapped, answerer }), answerer);
  }
  assertEquals(cacheOf(mapped), null);
  assertEquals(cacheOf({ ...mapped, over: null, answerer: "page-cache" }), null);
  assertEquals(cacheOf(null), null);
});
