import { assertEquals, assertMatch } from "@std/assert";
import { fault, mapEvent, report, sample, testDashboard } from "./_test_dashboard.ts";
import grafana from "./grafana/viaduct.json" with { type: "json" };
import { makeMetrics, METRIC_LABELS } from "./metrics.ts";
import { RunSource } from "./run_source.ts";

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

Deno.test("/metrics has numbers of one moment, while devices count on", async () => {
  let counted = 0;
  const source = new RunSource(() => Promise.resolve(null));
  const metrics = makeMetrics(() =>
    new Proxy(source, {
      get(source, name) {
        // Like served devices, which are looked at as their picture and their timeline are asked for.
        if (name !== "timelineEnd") counted++;
        const counters = [counted, counted, 0, 0, 0, 0, counted, 0];
        source.take(sample(counters, [mapEvent(counted)], counted + 1));
        const value: unknown = Reflect.get(source, name, source);
        return typeof value === "function" ? value.bind(source) : value;
      },
    })
  );
  const lines = linesOf(await metrics.text());
  const value = (name: string) => lines.find((line) => line.name === `viaduct_${name}`)?.value;
  assertEquals(value("iommu_iotlb_hits_total"), value("iommu_translations_total"));
  assertEquals(value("dma_bytes_total"), value("iommu_translations_total"));
  assertEquals(value("trace_dropped_total"), 1, "numbers begin at 1");
});

Deno.test("/metrics answers though a run's timeline makes no sense", async () => {
  const dashboard = testDashboard();
  const process = await dashboard.begin();
  process.tell(sample([], [mapEvent(0), mapEvent(0), mapEvent(0)], 0));
  assertEquals((await dashboard.app.request("/metrics")).status, 200);
  assertEquals(dashboard.errors, []);
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
  assertEquals(value("iommu_faults_total", { endpoint, reason: "unseen" }), undefined);
  assertEquals(value("dma_bytes_total", { endpoint, direction: "read" }), 64);
  assertEquals(value("dma_bytes_total", { endpoint, direction: "write" }), 32);
  assertEquals(value("iommu_mapped_bytes", { domain: "1" }), 8192);
  assertEquals(value("iommu_mappings", { domain: "1" }), 2);
  assertEquals(value("guest_memory_dirty_bytes"), 12_288);
  assertEquals(value("iommu_translation_seconds_count"), 3);
  assertEquals(value("iommu_translation_seconds_sum"), 44e-9);
  assertEquals(value("iommu_translation_seconds_bucket", { le: "8e-9" }), 0);
  assertEquals(value("iommu_translation_seconds_bucket", { le: "1.6e-8" }), 2);
  assertEquals(value("iommu_translation_seconds_bucket", { le: "3.2e-8" }), 3);
  assertEquals(value("iommu_translation_seconds_bucket", { le: "+Inf" }), 3);
});

Deno.test("/metrics counts a fault without a reason once none can come any more", async () => {
  const dashboard = testDashboard();
  const process = await dashboard.begin();
  process.tell(report([fault(0, 0x3000), fault(1, 0x3000, -2)], [10, 6, 4, 3, 0, 0, 64, 32]));
  process.tell(sample([10, 6, 4, 3, 0, 0, 64, 32]));
  await process.end();
  const faults = linesOf(await scrape(dashboard))
    .filter(({ name }) => name === "viaduct_iommu_faults_total")
    .map(({ labels, value }) => [labels["reason"], value]);
  assertEquals(faults, [["unmapped", 1], ["permission", 1], ["unseen", 1]]);
});

Deno.test("/metrics counts messages of vfio-user, and times their replies", async () => {
  const dashboard = testDashboard();
  const process = await dashboard.begin();
  const frame = (flags: number, error: number) => {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, 7, true);
    view.setUint16(2, 13, true);
    view.setUint32(4, 16, true);
    view.setUint32(8, flags, true);
    view.setUint32(12, error, true);
    return bytes.toBase64();
  };
  const tell = (direction: "<" | ">", timeNs: number, bytes: string) =>
    process.listener.messages!(process.planned, [
      { connection: "a", timeNs, direction, descriptors: 0, bytes },
    ]);
  tell(">", 1000, frame(0, 0));
  tell("<", 41_000, frame(0x21, 22));
  for (let scrapes = 0; scrapes < 2; scrapes++) {
    const lines = linesOf(await scrape(dashboard))
      .filter(({ name }) => name.startsWith("viaduct_vfio_user_"));
    const counted = lines.filter(({ name }) => name.endsWith("messages_total"));
    const command = "DEVICE_RESET";
    assertEquals(counted.map(({ labels, value }) => [labels, value]), [
      [{ command, direction: "to-server", errno: "" }, 1],
      [{ command, direction: "to-client", errno: "22" }, 1],
    ]);
    const times = lines.filter(({ name }) => name.includes("request_seconds"));
    assertEquals(times.every(({ labels }) => labels["command"] === command), true);
    const at = (name: string, le?: string) =>
      times.find((line) => line.name.endsWith(name) && line.labels["le"] === le)?.value;
    assertEquals(at("_bucket", "0.000032768"), 0);
    assertEquals(at("_bucket", "0.000065536"), 1);
    assertEquals([at("_count"), at("_sum")], [1, 40e-6]);
  }
});

Deno.test("/metrics is there before any run", async () => {
  const text = await scrape(testDashboard());
  assertMatch(text, /^# TYPE viaduct_iommu_translations_total counter$/m);
});

Deno.test("/grafana.json is the dashboard to import for these metrics, as a file", async () => {
  const response = await testDashboard().app.request("/grafana.json");
  assertEquals(response.headers.get("content-type"), "application/json");
  assertMatch(response.headers.get("content-disposition")!, /^attachment; filename="[\w.-]+"$/);
  assertEquals(await response.json(), grafana);
});

Deno.test("two dashboards in one process do not share metrics", async () => {
  const one = testDashboard();
  const process = await one.begin();
  process.tell(sample([10, 6, 4, 3, 0, 0, 64, 32]));
  const other = linesOf(await scrape(testDashboard()));
  assertEquals(other.filter(({ name }) => name === "viaduct_iommu_translations_total"), []);
});
