/**
 * A run on a dashboard as a test sees it: from its start to its end, and what is left of it.
 * @module
 */

import { assert, assertEquals, assertGreater } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { loadCatalog } from "../../harness/run/catalog.ts";
import type { Via } from "../../harness/scenario.ts";
import type {
  EndpointDetail,
  FaultsPage,
  MappingsPage,
  RunDetail,
  RunInfo,
  Snapshot,
  TimelineKind,
} from "../../web/api.ts";
import { type Dashboard, startDashboard } from "../../web/dashboard.ts";
import { type Client, clientOf } from "./_command.ts";

const SCENARIOS = fromFileUrl(new URL("./scenarios", import.meta.url));

/** A dashboard in this process, with the scenario `lively` and others of the project's own. */
export async function dashboardWith(
  ...names: string[]
): Promise<{ readonly dashboard: Dashboard; readonly client: Client }> {
  const { entries, child } = await loadCatalog([SCENARIOS, ...names]);
  child.kill();
  await child.ended;
  const dashboard = startDashboard({ port: 0, catalog: entries, startedBy: "page", log: () => {} });
  return { dashboard, client: clientOf(dashboard.link) };
}

/** Snapshots from now on, until one is the last. */
async function follow(
  { base }: Client,
  opened: () => void,
  isLast: (snapshot: Snapshot) => boolean,
): Promise<Snapshot[]> {
  const response = await fetch(`${base}/api/stream`);
  const snapshots: Snapshot[] = [];
  let text = "";
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    opened();
    const blocks = (text + part).split("\n\n");
    text = blocks.pop()!;
    for (const block of blocks) {
      const data = /^event: snapshot\ndata: (.*)$/m.exec(block)?.[1];
      if (data === undefined) continue;
      const snapshot = JSON.parse(data) as Snapshot;
      snapshots.push(snapshot);
      if (isLast(snapshot)) return snapshots;
    }
  }
  throw new Error("The stream ended before the run");
}

/** What was to be seen of one run. */
export interface Shown {
  /** From its start to its end. */
  readonly snapshots: readonly Snapshot[];
  readonly last: Snapshot;
}

/** Runs a scenario, whose numbers at the end are the run's: in all, and by endpoint. */
export async function shown(client: Client, scenario: string, via: Via): Promise<Shown> {
  const streamed = Promise.withResolvers<void>();
  let started: number | null = null;
  const stream = follow(
    client,
    streamed.resolve,
    ({ state, run }) => state === "ended" && run?.id === started,
  );
  await streamed.promise;
  const { id } = await client.post<RunInfo>("/api/runs", { scenario, mode: "remap", via, seed: 5 });
  started = id;
  const snapshots = await stream;
  const { run, metrics } = await client.json<RunDetail>(`/api/runs/${id}`);
  assertEquals(run.state, "passed", run.reason ?? "");
  const last = snapshots.at(-1)!;
  assertEquals<unknown>(last.totals, metrics);
  for (const name of Object.keys(last.totals) as (keyof typeof last.totals)[]) {
    const sum = last.endpoints.reduce((total, { counters }) => total + counters[name], 0);
    assertEquals(sum, last.totals[name], name);
  }
  return { snapshots, last };
}

/** The scenario `lively` was shown whole, wherever its devices were: live, by endpoint, and what it left. */
export async function assertLively(client: Client, { snapshots, last }: Shown): Promise<void> {
  assertEquals(last.endpoints.map(({ device, domain }) => [device, domain]), [
    ["edu", 1],
    ["edu", 2],
  ]);
  for (const { id, faultsByReason, counters } of last.endpoints) {
    const midway = snapshots
      .flatMap(({ endpoints }) => endpoints.find((endpoint) => endpoint.id === id) ?? [])
      .map(({ counters }) => counters.translations)
      .filter((count) => count > 0 && count < counters.translations);
    assertGreater(new Set(midway).size, 2, "counters move");
    assertEquals(faultsByReason, { unmapped: counters.faults });
  }
  assert(snapshots.some(({ endpoints }) => endpoints.some(({ heat }) => heat !== null)));
  const live = snapshots.filter(({ state }) => state === "live");
  for (const kind of ["map", "unmap", "fault"] as const satisfies readonly TimelineKind[]) {
    const seen = live.filter(({ timeline }) =>
      timeline.events.some((event) => event.kind === kind)
    );
    assertGreater(seen.length, 2, kind);
  }
  const faults = await client.json<FaultsPage>("/api/faults?limit=1000");
  assertEquals(faults.total + faults.dropped, last.totals.faults);
  assert(faults.faults.every(({ nearest }) => nearest !== null));
  for (const [at, { bdf, id }] of last.endpoints.entries()) {
    const page = await client.json<MappingsPage>(`/api/endpoints/${bdf}/mappings`);
    assertEquals(page.total, last.domains[at]!.mappings);
    assertGreater(page.mappings[0]!.hits ?? 0, 0, "hits");
    const device = await client.json<EndpointDetail>(`/api/endpoints/${id}`);
    assertEquals([device.config?.vendorId, device.inspect === null], [0x1234, false]);
  }
}
