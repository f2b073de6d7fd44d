import { assertEquals, assertMatch } from "@std/assert";
import { fault, report, sample, testDashboard } from "./_test_dashboard.ts";
import { METRIC_LABELS } from "./metrics.ts";

interface Line {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

function linesOf(text: string): Line[] {
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
    const [, name, labels = "", value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line)!;
    return {
      name: name!,
      labels: Object.fromEntries(
        [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key!, value!]),
      ),
      value: Number(value),
    };
  });
}

async function scrape(dashboard: ReturnType<typeof testDashboard>) {
  const response = await dashboard.app.request("/metrics");
  assertMatch(response.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  return await response.text();
}

Deno.test("/metrics has the names and labels of its table, and no others", async () => {
  const dashboard = testDashboard();
  const process = await dashboard.begin();
  process.tell(sample([10, 6, 4, 3, 0, 0, 64, 32]));
  process.tell(report([fault(0, 0x3000)]));
  const message = { connection: "a", timeNs: 0, direction: ">", descriptors: 0 } as const;
  process.listener.messages!(process.planned, [{
    ...message,
    bytes: new Uint8Array(16).toBase64(),
  }]);
  const text = await scrape(dashboard);
  const types = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name]) => name);
  assertEquals(types.toSorted(), Object.keys(METRIC_LABELS).toSorted());
  for (const { name, labels } of linesOf(text)) {
    const base = name.replace(/_(bucket|sum|count)$/, "");
    const wanted = METRIC_LABELS[name] ?? METRIC_LABELS[base]!;
    assertEquals(Object.keys(labels).filter((label) => label !== "le"), [...wanted], name);
  }
  assertEquals(/0x[0-9a-f]{4,}/.test(text), false, "no address is a label");
});

Deno.test("/metrics has the numbers of the API", async () => {
  const dashboard = testDashboard();
  const process = await dashboard.begin();
  process.tell(sample([10, 6, 4, 3, 0, 0, 64, 32]));
  process.tell(report([fault(0, 0x3000), fault(1, 0x3000, -2)], [10, 6, 4, 3, 0, 0, 64, 32]));
  const lines = linesOf(await scrape(dashboard));
  const value = (name: string, labels: Record<string, string> = {}) =>
    lines.find((line) =>
      line.name === `viaduct_${name}` &&
      Object.entries(labels).every(([key, value]) => line.labels[key] === value)
    )?.value;
  const endpoint = "00:01.0";
  assertEquals(value("iommu_translations_total", { endpoint }), 10);
  assertEquals(value("iommu_iotlb_hits_total", { endpoint }), 6);
  assertEquals(value("iommu_iotlb_misses_total", { endpoint }), 4);
  assertEquals(value("iommu_faults_total", { endpoint, reason: "unmapped" }), 1);
  assertEquals(value("iommu_faults_total", { endpoint, reason: "permission" }), 1);
  assertEquals(value("iommu_faults_total", { endpoint, reason: "unseen" }), 1);
  assertEquals(value("dma_bytes_total", { endpoint, direction: "read" }), 64);
  assertEquals(value("dma_bytes_total", { endpoint, direction: "write" }), 32);
  assertEquals(value("iommu_mapped_bytes", { domain: "1" }), 8192);
  assertEquals(value("iommu_mappings", { domain: "1" }), 2);
  assertEquals(value("iommu_translation_seconds_count"), 3);
  assertEquals(value("iommu_translation_seconds_sum"), 44e-9);
  assertEquals(value("iommu_translation_seconds_bucket", { le: "8e-9" }), 0);
  assertEquals(value("iommu_translation_seconds_bucket", { le: "1.6e-8" }), 2);
  assertEquals(value("iommu_translation_seconds_bucket", { le: "3.2e-8" }), 3);
  assertEquals(value("iommu_translation_seconds_bucket", { le: "+Inf" }), 3);
});

Deno.test("/metrics is there before any run", async () => {
  const text = await scrape(testDashboard());
  assertMatch(text, /^# TYPE viaduct_iommu_translations_total counter$/m);
});

Deno.test("two dashboards in one process do not share metrics", async () => {
  const one = testDashboard();
  const process = await one.begin();
  process.tell(sample([10, 6, 4, 3, 0, 0, 64, 32]));
  const other = linesOf(await scrape(testDashboard()));
  assertEquals(other.filter(({ name }) => name === "viaduct_iommu_translations_total"), []);
});
