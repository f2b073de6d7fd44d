import { assert, assertEquals, assertThrows } from "@std/assert";
import { loadCatalog } from "../../harness/run/catalog.ts";
import type { RunInfo, StartRun } from "../api.ts";
import { type Dashboard, startDashboard } from "../dashboard.ts";
import { parsePromQl } from "./_test_promql.ts";
import board from "./viaduct.json" with { type: "json" };

const SOURCE = { type: "prometheus", uid: "${datasource}" };
const variables = board.templating.list;
const queryVariables = variables.filter(({ type }) => type === "query");
const panels = board.panels;
const charts = panels.filter(({ type }) => type !== "row");

/** Every expression, with where it stands and what names its series. */
const expressions = [
  ...charts.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, legendFormat, refId }) => ({
      where: `${title} ${refId}`,
      expr,
      legend: legendFormat,
    }))
  ),
  ...queryVariables.map(({ name, definition = "" }) => ({
    where: `variable ${name}`,
    expr: definition,
    legend: "",
  })),
];

/** Labels that Prometheus itself adds to what it scrapes. */
const ADDED = ["instance", "job"];

/** What `/metrics` exports: the type of each metric, and the labels of each name of a series. */
interface Exported {
  readonly types: Map<string, string>;
  readonly labels: Map<string, Set<string>>;
}

function exportedBy(texts: readonly string[]): Exported {
  const types = new Map<string, string>(), labels = new Map<string, Set<string>>();
  for (const line of texts.join("\n").split("\n")) {
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (type !== null) types.set(type[1]!, type[2]!);
    const series = /^([a-z]\w*)(?:\{(.*)\})? \S+$/.exec(line);
    if (series === null) continue;
    const known = labels.get(series[1]!) ?? new Set();
    for (const [, label] of (series[2] ?? "").matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)) {
      known.add(label!);
    }
    labels.set(series[1]!, known);
  }
  return { types, labels };
}

/** Runs the scenario to its end on a real dashboard, and scrapes what it left. */
async function scrapeAfter({ link, runs }: Dashboard, run: StartRun): Promise<string> {
  const { origin, searchParams } = new URL(link);
  const response = await fetch(`${origin}/api/runs`, {
    method: "POST",
    headers: {
      "Authorization": `Bearer ${searchParams.get("token")}`,
      "Content-Type": "application/json",
    },
    body: JSON.stringify(run),
  });
  const started = runs.get((await response.json() as RunInfo).id)!;
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (started.ended) resolve();
    };
    runs.onChange(look);
    look();
  });
  const { errors } = started.detail();
  assertEquals(started.state, "passed", errors.join());
  return await (await fetch(`${origin}/metrics`)).text();
}

Deno.test({
  name: "each expression of the Grafana dashboard asks for what /metrics exports in a real run",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async (t) => {
    const { entries, child } = await loadCatalog(["edu-unmapped"]);
    child.kill();
    await child.ended;
    const dashboard = startDashboard({
      port: 0,
      catalog: entries,
      startedBy: "page",
      log: () => {},
    });
    const texts: string[] = [];
    try {
      for (const via of ["direct", "vfio-user"] as const) {
        texts.push(
          await scrapeAfter(dashboard, { scenario: "edu-unmapped", mode: "remap", via, seed: 1 }),
        );
      }
    } finally {
      await dashboard.close();
    }
    const { types, labels } = exportedBy(texts);
    const used = new Set<string>();
    for (const { where, expr, legend } of expressions) {
      await t.step(where, () => {
        const { selectors, groupings, resultLabels } = parsePromQl(expr);
        assert(selectors.length > 0);
        for (const { metric, matchers, range, under } of selectors) {
          const known = labels.get(metric);
          assert(known !== undefined, `/metrics has no ${metric}`);
          const has = (label: string) => known.has(label) || ADDED.includes(label);
          for (const label of [...matchers.map(({ label }) => label), ...groupings.flat()]) {
            assert(has(label), `${metric} has no label ${label}`);
          }
          if (resultLabels === null) {
            for (const [, label] of legend.matchAll(/\{\{(\w+)\}\}/g)) {
              assert(has(label!), `the legend's ${label} is no label of ${metric}`);
            }
          }
          const base = metric.replace(/_(?:bucket|sum|count)$/, "");
          const type = types.get(metric) ?? types.get(base);
          used.add(types.has(metric) ? metric : base);
          // A rate of a gauge, and a total without a rate, are numbers without a meaning.
          assertEquals(range !== null, type !== "gauge" && under !== "label_values", metric);
          if (range !== null) assert(["[$__rate_interval]", "[$__range]"].includes(range), range);
        }
        for (const [, label] of legend.matchAll(/\{\{(\w+)\}\}/g)) {
          if (resultLabels !== null) assert(resultLabels.includes(label!), `no ${label} is left`);
        }
      });
    }
    await t.step("every metric that is exported is shown", () => {
      assertEquals([...used].sort(), [...types.keys()].sort());
    });
  },
});

Deno.test("the Grafana dashboard has what Grafana's schema asks for", () => {
  assert(Number.isInteger(board.schemaVersion) && board.schemaVersion >= 36);
  assertEquals("id" in board, false, "an id of one server is none of another");
  assert(/^[\w-]{1,40}$/.test(board.uid));
  assertEquals("__inputs" in board, false, "the data source is a variable, not asked at import");
  const ids = panels.map(({ id }) => id);
  assert(ids.every((id) => Number.isInteger(id) && id > 0));
  assertEquals(new Set(ids).size, ids.length);
  assertEquals(new Set(panels.map(({ title }) => title)).size, panels.length);
});

Deno.test("the Grafana dashboard's data source is the variable, everywhere", () => {
  assertEquals([variables[0]!.name, variables[0]!.type, variables[0]!.query], [
    "datasource",
    "datasource",
    "prometheus",
  ]);
  for (const { title, datasource, targets = [] } of charts) {
    assertEquals(datasource, SOURCE, title);
    for (const target of targets) assertEquals(target.datasource, SOURCE, title);
  }
  for (const { name, datasource } of queryVariables) assertEquals(datasource, SOURCE, name);
});

Deno.test("the Grafana dashboard uses only variables it has", () => {
  const known = new Set(variables.map(({ name }) => name));
  const own = new Set(["__rate_interval", "__range", "__all"]);
  for (const [, name] of JSON.stringify(board).matchAll(/\$\{?(\w+)\}?/g)) {
    assert(known.has(name!) || own.has(name!), name);
  }
  for (const name of known) {
    assert(JSON.stringify(board.panels).includes(`$${name}`) || name === "datasource");
  }
});

Deno.test("the Grafana dashboard's panels fill the grid without overlap", () => {
  const taken = new Map<string, string>();
  for (const { title, gridPos: { x, y, w, h } } of panels) {
    assert(w > 0 && h > 0 && x >= 0 && y >= 0 && x + w <= 24, title);
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        const key = `${column},${line}`;
        assertEquals(taken.get(key), undefined, `${title} lies on ${taken.get(key)}`);
        taken.set(key, title);
      }
    }
  }
  const height = Math.max(...panels.map(({ gridPos: { y, h } }) => y + h));
  assertEquals(taken.size, 24 * height, "there is a hole");
});

Deno.test("the Grafana dashboard's charts have a unit, a description and targets of their own", () => {
  const units = new Set(["ops", "percentunit", "short", "s", "bytes", "binBps"]);
  for (const { title, description = "", fieldConfig, targets = [], type } of charts) {
    assert(["timeseries", "stat"].includes(type), type);
    assert(units.has(fieldConfig!.defaults.unit), title);
    assert(description.endsWith("."), title);
    const references = targets.map(({ refId }) => refId);
    assert(references.length > 0, title);
    assertEquals(new Set(references).size, references.length, title);
  }
});

Deno.test("parsePromQl() refuses what is not right", () => {
  for (
    const [expr, wrong] of [
      ["rate(a_total)", "range as argument 1"],
      ["sum(a_total[5m])", "vector to aggregate"],
      ["sum by (endpoint (a_total)", ") expected"],
      ["histogram_quantile(0.5, sum by (command) (rate(a_bucket[5m])))", "grouped by le"],
      ['a_total{endpoint~"x"}', "a token"],
      ["a_total{endpoint=x}", "a text"],
      ["sum by (a) (x) / sum by (b) (y)", "same labels"],
      ["a_total b_total", "nothing more"],
    ] as const
  ) {
    const error = assertThrows(() => parsePromQl(expr), Error);
    assert((error as Error).message.includes(wrong), (error as Error).message);
  }
});
