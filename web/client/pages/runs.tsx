/**
 * Runs: what can be started, what goes on, what came of it.
 * @module
 */

import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import type { RunInfo, RunList, ScenarioList, ScenarioRow } from "../../api.ts";
import { Sparkline } from "../charts/sparkline.tsx";
import { machineKind } from "../components/clients.tsx";
import { Empty, Failure, RunPill, Skeleton } from "../components/parts.tsx";
import { useResource } from "../components/resource.ts";
import { type SortColumn, SortTable } from "../components/sort_table.tsx";
import { formatClock, formatMs, plural } from "../format.ts";
import { parseFilter } from "../state/filter.ts";
import { frame, go, linkTo, placeOf, route, runsVersion, setExtra } from "../state/store.ts";
import { RunDetailPanel } from "./run_detail.tsx";
import { StartForm } from "./start_form.tsx";

const COLUMNS: readonly SortColumn<RunInfo>[] = [
  {
    key: "id",
    title: "Run",
    kind: "num",
    value: ({ id }) => id,
    cell: ({ id }) => <a href={linkTo("runs", String(id), { extra: {} })}>{id}</a>,
  },
  {
    key: "scenario",
    title: "Scenario",
    value: ({ scenario }) => scenario,
    cell: ({ scenario }) => scenario,
  },
  { key: "mode", title: "Mode", value: ({ mode }) => mode, cell: ({ mode }) => mode },
  { key: "via", title: "Via", value: ({ via }) => via, cell: ({ via }) => via },
  {
    key: "state",
    title: "State",
    value: ({ state }) => state,
    cell: ({ state }) => <RunPill state={state} />,
  },
  {
    key: "took",
    title: "Took",
    kind: "num",
    value: ({ durationMs }) => durationMs,
    cell: ({ durationMs, state }) => state === "queued" ? "–" : formatMs(durationMs),
  },
  {
    key: "checks",
    title: "Checks",
    kind: "num",
    value: ({ checks }) => checks.passed + checks.failed,
    cell: ({ checks }) =>
      checks.failed === 0
        ? String(checks.passed)
        : <span class="bad-text">{checks.failed} of {checks.passed + checks.failed} failed</span>,
  },
  {
    key: "started",
    title: "Started",
    kind: "num",
    value: ({ startedMs }) => startedMs ?? Infinity,
    cell: ({ startedMs }) => startedMs === null ? "–" : formatClock(startedMs),
  },
];

/** The runs, the scenarios, and the run that is chosen. */
export function RunsPage(): JSX.Element {
  frame.value;
  const asked = useSignal(0);
  const version = `${runsVersion.value}/${asked.value}`;
  const runs = useResource<RunList>("/api/runs", version);
  const scenarios = useResource<ScenarioList>("/api/scenarios", version);
  const active = runs.data?.runs.some(({ state }) => state === "running" || state === "queued") ??
    false;
  useTicks(active, () => asked.value++);
  const { subject, filter: text } = route.value;
  const filter = parseFilter(text);
  const list = (runs.data?.runs ?? []).filter((run) => filter.matches(columnsOf(run)));
  const chosen = subject === "" ? String(runs.data?.runs[0]?.id ?? "") : subject;
  const { data, error } = runs;
  // Beside devices that are served there is nothing to start.
  const isServed = data?.runs.some(({ machine }) => machine !== undefined) ??
    machineKind() !== null;

  return (
    <>
      <div class="page-head">
        <h1>Runs</h1>
        {data !== null && (
          <p class="muted">
            {data.totals.passed} passed · {data.totals.failed} failed · {data.totals.skipped}{" "}
            skipped{data.forgotten > 0 && ` · ${data.forgotten} older ones no longer listed`}
            {data.totals.passed + data.totals.failed + data.totals.skipped > 0 && (
              <>
                {" · "}
                <a href="/api/runs/report.html" download="viaduct-runs.html">report as HTML</a>
              </>
            )}
          </p>
        )}
      </div>
      <div class="panels">
        {!isServed && (
          <StartForm
            scenarios={scenarios.data}
            canStart={data?.canStart ?? false}
            isKnown={data !== null}
            onStarted={(run) => {
              asked.value++;
              go(placeOf("runs", String(run.id), { extra: route.value.extra }));
            }}
          />
        )}
        <section class="panel half flush" aria-labelledby="runs-title">
          <div class="panel-head">
            <h2 id="runs-title">Runs, newest first</h2>
            {data !== null && (
              <p class="summary">
                {list.length === data.runs.length
                  ? plural(list.length, "run")
                  : `${list.length} of ${plural(data.runs.length, "run")}`}
              </p>
            )}
          </div>
          {data === null
            ? error !== null
              ? <Failure error={error} onRetry={() => asked.value++} />
              : runs.slow
              ? <Skeleton />
              : null
            : list.length === 0
            ? (
              <Empty title={data.runs.length === 0 ? "No run yet" : "No run passes the filter"}>
                {data.runs.length === 0
                  ? "Choose a scenario above and start it."
                  : "Columns are scenario, mode, via, state and run: try state:failed."}
              </Empty>
            )
            : (
              <SortTable
                name="runs"
                label="Runs"
                columns={COLUMNS}
                rows={list}
                keyOf={({ id }) => String(id)}
                selected={chosen}
                onOpen={({ id }) =>
                  go(placeOf("runs", String(id), { filter: text, extra: route.value.extra }))}
                most={200}
              />
            )}
        </section>
        <RunDetailPanel
          id={chosen}
          version={version}
          info={data?.runs.find(({ id }) => String(id) === chosen) ?? null}
          onChanged={() => asked.value++}
        />
        {!isServed && <Scenarios list={scenarios.data} />}
      </div>
    </>
  );
}

/** Calls `task` twice a second while `isOn`. */
function useTicks(isOn: boolean, task: () => void): void {
  useEffect(() => {
    if (!isOn) return;
    const timer = setInterval(() => {
      if (!document.hidden) task();
    }, 500);
    return () => clearInterval(timer);
  }, [isOn]);
}

const SCENARIOS: readonly SortColumn<ScenarioRow>[] = [
  {
    key: "name",
    title: "Scenario",
    value: ({ name }) => name,
    cell: ({ name }) => (
      <button type="button" class="inline" onClick={() => choose(name)}>{name}</button>
    ),
  },
  {
    key: "title",
    title: "What holds when it passes",
    value: ({ title }) => title,
    cell: ({ title }) => <span class="long">{title}</span>,
  },
  {
    key: "modes",
    title: "Modes",
    value: ({ modes }) => modes.join(),
    cell: ({ modes }) => <span class="muted">{modes.join(", ")}</span>,
  },
  {
    key: "tags",
    title: "Tags",
    value: ({ tags }) => tags.join(),
    cell: ({ tags }) => <span class="muted">{tags.join(", ")}</span>,
  },
  {
    key: "history",
    title: "Last runs",
    value: ({ history }) => history.at(-1)?.durationMs ?? -1,
    cell: ({ history }) => <Sparkline history={history} />,
  },
];

function choose(name: string): void {
  setExtra("scenario", name, "replace");
  document.getElementById("start-scenario")?.focus();
}

function Scenarios({ list }: { readonly list: ScenarioList | null }): JSX.Element | null {
  if (list === null) return null;
  const filter = parseFilter(route.value.filter);
  const shown = list.scenarios.filter(({ name, title, tags, modes, vias }) =>
    filter.matches({
      scenario: name,
      title,
      tag: tags.join(" "),
      mode: modes.join(" "),
      via: vias.join(" "),
    })
  );
  return (
    <section class="panel flush" aria-labelledby="scenarios-title">
      <div class="panel-head">
        <h2 id="scenarios-title">Scenarios</h2>
        <p class="summary">
          {shown.length === list.scenarios.length
            ? plural(shown.length, "scenario")
            : `${shown.length} of ${plural(list.scenarios.length, "scenario")}`}
        </p>
      </div>
      {shown.length === 0 ? <Empty title="No scenario passes the filter" /> : (
        <SortTable
          name="scenarios"
          label="Scenarios"
          columns={SCENARIOS}
          rows={shown}
          keyOf={({ name }) => name}
          selected={route.value.extra["scenario"] ?? ""}
          onOpen={({ name }) => choose(name)}
          most={500}
        />
      )}
    </section>
  );
}

function columnsOf({ id, scenario, mode, via, state, reason }: RunInfo) {
  return { run: id, scenario, mode, via, state, reason };
}
