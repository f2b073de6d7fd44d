/**
 * What was refused, why, and what lay nearest.
 * @module
 */

import type { JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";
import type {
  FaultGroup,
  FaultRow,
  FaultsPage as Page,
  Snapshot,
  TimelineEvent,
} from "../../api.ts";
import { machineKind } from "../components/clients.tsx";
import { useFiltered } from "../components/filtered.ts";
import { type ListSource, type LoadedList, useList } from "../components/list_loader.ts";
import { Address, CopyButton, Empty, Failure, Skeleton } from "../components/parts.tsx";
import { Title, WithSnapshot } from "../components/page_state.tsx";
import { type SortColumn, SortTable } from "../components/sort_table.tsx";
import { numberWidth, timeWidth } from "../components/time_column.ts";
import { type GridColumn, VirtualGrid } from "../components/virtual_grid.tsx";
import {
  formatBytes,
  formatHex,
  formatInteger,
  formatRange,
  formatSeconds,
  plural,
} from "../format.ts";
import {
  eventLog,
  go,
  lastingLink,
  linkTo,
  machineOf,
  ofRun,
  pastGrown,
  pinnedRun,
  route,
} from "../state/store.ts";

/** The faults of the run. */
export function FaultsPage(): JSX.Element {
  return (
    <WithSnapshot title="Faults">
      {(state) => (
        <>
          <Title>Faults</Title>
          <Faults state={state} />
        </>
      )}
    </WithSnapshot>
  );
}

const SOURCE: Omit<ListSource<FaultRow, Page>, "path" | "of"> = {
  grows: "first",
  read: ({ faults, next }) => ({ rows: faults, next }),
  numberOf: ({ sequence }) => sequence,
};

/** The columns of a list that begins with that fault. */
const columnsUpTo = (newest: FaultRow | undefined): readonly GridColumn<FaultRow>[] => [
  {
    title: "No.",
    width: numberWidth(newest?.sequence ?? 0),
    kind: "num",
    cell: ({ sequence }) => formatInteger(sequence),
  },
  {
    title: "Time, s",
    width: timeWidth(newest?.timeNs ?? 0),
    kind: "num",
    cell: ({ timeNs }) => formatSeconds(timeNs),
  },
  {
    title: "Endpoint",
    width: "minmax(120px, 0.8fr)",
    cell: ({ bdf, device, pasid }) => (
      <>
        <span class="mono">{bdf}</span> {device}
        {pasid !== null && ` #${pasid}`}
      </>
    ),
  },
  {
    title: "IOVA",
    width: "minmax(120px, 1fr)",
    kind: "mono",
    cell: ({ iova }) => formatHex(iova),
  },
  { title: "Access", width: "52px", kind: "mono", cell: ({ access }) => access },
  {
    title: "Reason",
    width: "minmax(96px, 0.7fr)",
    cell: ({ reason }) => <span class="bad-text">{reason}</span>,
  },
  { title: "Nearest mapping", width: "minmax(230px, 1.6fr)", kind: "mono", cell: nearestOf },
];

const GROUPS: readonly SortColumn<FaultGroup>[] = [
  {
    key: "reason",
    title: "Reason",
    value: ({ reason }) => reason,
    cell: ({ reason, bdf }) => (
      <a href={linkTo("faults", "", { filter: `reason:${reason} endpoint:${bdf}` })}>{reason}</a>
    ),
  },
  {
    key: "endpoint",
    title: "Endpoint",
    kind: "mono",
    value: ({ bdf }) => bdf,
    cell: ({ bdf }) => <a href={linkTo("endpoint", bdf)}>{bdf}</a>,
  },
  {
    key: "count",
    title: "Count",
    kind: "num",
    value: ({ count }) => count,
    cell: ({ count }) => formatInteger(count),
  },
  {
    key: "first",
    title: "First, s",
    kind: "num",
    value: ({ firstNs }) => firstNs,
    cell: ({ firstNs }) => formatSeconds(firstNs),
  },
  {
    key: "last",
    title: "Last, s",
    kind: "num",
    value: ({ lastNs }) => lastNs,
    cell: ({ lastNs }) => formatSeconds(lastNs),
  },
];

function Faults({ state }: { readonly state: Snapshot }): JSX.Element {
  const isBehind = useRef(false);
  const { loaded, error } = useList<FaultRow, Page>(
    { ...SOURCE, path: ofRun("/api/faults?limit=1000"), of: machineOf(state) },
    // Until the list has all that were counted, each snapshot may bring more of them.
    `${state.totals.faults}/${state.state}/${isBehind.current ? state.sequence : ""}`,
  );
  isBehind.current = loaded !== null &&
    loaded.page.total + loaded.page.dropped < state.totals.faults;
  if (loaded === null) {
    return (
      <section class="panel">
        {error !== null ? <Failure error={error} /> : <Skeleton rows={8} />}
      </section>
    );
  }
  const { page, rows } = loaded;
  if (rows.length === 0) {
    return (
      <section class="panel">
        {state.totals.faults > 0 && state.run?.kept === true
          ? (
            <Empty title={plural(state.totals.faults, "fault")}>
              {page.dropped > 0
                ? "They are not kept."
                : "Counted already; what they were is on its way."}
            </Empty>
          )
          : machineKind() === null
          ? (
            <Empty title="No fault in this run">
              An access that the IOMMU refuses appears here at once. Scenarios that make some:
              edu-unmapped, edu-permissions, two-domains.
            </Empty>
          )
          : (
            <Empty title="No fault yet">
              A device's access to what its client has not mapped, or not for that, appears here at
              once.
            </Empty>
          )}
      </section>
    );
  }
  return <List loaded={loaded} page={page} counted={state.totals.faults} />;
}

function List({ loaded, page, counted }: {
  readonly loaded: LoadedList<FaultRow, Page>;
  readonly page: Page;
  /** All faults there were: the number that the navigation has as well. */
  readonly counted: number;
}): JSX.Element {
  const { rows } = loaded;
  const { filter: text, selected } = route.value;
  // Counters are there at once, and what a fault was a moment later.
  const coming = counted - page.total - page.dropped;
  const { source, passed } = useFiltered(
    text,
    rows,
    rows.length,
    (index) => columnsOf(rows[index]!),
  );
  const count = passed === null ? source.length : passed.length;
  const rowAt = (index: number) => source[passed === null ? index : passed[index] ?? -1] ?? null;
  const chosen = rows[placeOf(selected, rows.length, (index) => rows[index] ?? null)] ?? null;
  return (
    <div class="panels">
      <section class="panel two-thirds flush" aria-labelledby="faults-title">
        <div class="panel-head">
          <h2 id="faults-title">Faults, newest first</h2>
          <p class="summary">
            {passed === null
              ? plural(counted, "fault")
              : `${formatInteger(count)} of ${plural(counted, "fault")}`}
            {page.dropped > 0 && (
              <strong class="bad-text">
                {`, ${formatInteger(page.dropped)} of them not kept`}
              </strong>
            )}
            {coming > 0 && `, ${formatInteger(coming)} not listed yet`}
          </p>
        </div>
        {count === 0
          ? (
            <Empty title="No fault passes the filter">
              Columns are endpoint, device, iova, access, reason, domain and pasid: try
              reason:unmapped.
            </Empty>
          )
          : (
            <VirtualGrid
              label="Faults"
              columns={columnsUpTo(rows[0])}
              count={count}
              rowAt={rowAt}
              keyOf={keyOf}
              selected={selected}
              indexOf={(key) => placeOf(key, count, rowAt)}
              onSelect={(key) => go({ selected: key }, "replace")}
              height={580}
              growsAtTop
            />
          )}
      </section>
      <div class="panel third bare">
        <section class="panel flush" aria-labelledby="groups-title">
          <div class="panel-head">
            <h2 id="groups-title">By reason and endpoint</h2>
          </div>
          <SortTable
            name="groups"
            label="Faults by reason and endpoint"
            columns={GROUPS}
            rows={page.groups}
            keyOf={({ reason, bdf }) => `${reason} ${bdf}`}
          />
        </section>
        <section class="panel" aria-labelledby="fault-title">
          <div class="panel-head">
            <h2 id="fault-title">
              {chosen === null ? "The chosen fault" : `Fault ${formatInteger(chosen.sequence)}`}
            </h2>
            {chosen !== null && page.run !== null && (
              <div class="push">
                <CopyButton
                  text={lastingLink(page.run.id)}
                  what="a link to this fault"
                  icon="link"
                />
              </div>
            )}
          </div>
          {chosen !== null
            ? <Detail fault={chosen} run={page.run?.id ?? null} />
            : selected.startsWith("fault-") && loaded.isWhole
            ? <Empty title="The fault that this link names is not kept any more" />
            : <Empty title="Choose a fault">What lay around it shows here.</Empty>}
        </section>
      </div>
    </div>
  );
}

function Detail({ fault, run }: {
  readonly fault: FaultRow;
  readonly run: number | null;
}): JSX.Element {
  const { nearest } = fault;
  const around = useMemo(() => eventsAround(fault), [fault, run, pastGrown.value.count]);
  return (
    <>
      <dl class="fields">
        <dt>Endpoint</dt>
        <dd>
          <a class="mono" href={linkTo("endpoint", fault.bdf)}>{fault.bdf}</a> {fault.device}
          {fault.pasid !== null && `, PASID ${fault.pasid}`}
        </dd>
        <dt>IOVA</dt>
        <dd>
          <Address value={fault.iova} />
        </dd>
        <dt>Wanted</dt>
        <dd class="mono">{fault.access}</dd>
        <dt>Reason</dt>
        <dd class="bad-text">{fault.reason}</dd>
        <dt>Domain</dt>
        <dd>
          {fault.domain === null ? "none" : (
            <a
              href={linkTo("domains", String(fault.domain), {
                extra: {
                  ...(pinnedRun.value === null ? {} : { run: pinnedRun.value }),
                  iova: formatHex(fault.iova),
                  access: fault.access,
                },
              })}
            >
              domain {fault.domain}: translate this address
            </a>
          )}
        </dd>
        <dt>Nearest</dt>
        <dd>
          {nearest === null ? "nothing was mapped" : (
            <>
              <code>{formatRange(nearest.mapping.iova, nearest.mapping.length)}</code>{" "}
              <code>{nearest.mapping.access}</code>
              <br />
              <span class="muted">
                {nearest.side === "over"
                  ? "covers the address"
                  : `${formatHex(nearest.distance)} bytes ${nearest.side} it`}
              </span>
            </>
          )}
        </dd>
      </dl>
      {around !== null && (
        <>
          <h3 class="sub">Around it</h3>
          <ol class="around">
            {around.events.map((event) => (
              <li
                key={event.sequence}
                aria-current={event === around.found ? "true" : undefined}
              >
                <a
                  class="mono"
                  href={linkTo("overview", "", { selected: `event-${event.sequence}` })}
                >
                  {formatInteger(event.sequence)}
                </a>
                <span class={event.kind === "fault" ? "bad-text" : ""}>{event.kind}</span>
                <code>{formatRange(event.iova, event.length)}</code>
              </li>
            ))}
          </ol>
        </>
      )}
      {run !== null && (
        <p class="note tight">
          <a href={linkTo("runs", String(run))}>Run {run}</a> has the trace of it all, for Perfetto.
        </p>
      )}
    </>
  );
}

/** The fault's own event and those beside it; null when the timeline does not have it. */
function eventsAround(
  fault: FaultRow,
): { readonly found: TimelineEvent; readonly events: readonly TimelineEvent[] } | null {
  const log = eventLog();
  for (let i = log.length - 1; i >= 0; i--) {
    const found = log.at(i)!;
    if (
      found.kind !== "fault" || found.iova !== fault.iova || found.timeNs !== fault.timeNs ||
      found.endpoint !== fault.endpoint || found.access !== fault.access
    ) continue;
    const events: TimelineEvent[] = [];
    for (let j = Math.max(0, i - 4); j < Math.min(log.length, i + 4); j++) {
      events.push(log.at(j)!);
    }
    return { found, events };
  }
  return null;
}

/** Where a fault stands among those shown: they are in falling order. -1 when it is not there. */
function placeOf(
  key: string,
  count: number,
  rowAt: (index: number) => FaultRow | null,
): number {
  const wanted = Number(/^fault-(\d+)$/.exec(key)?.[1] ?? NaN);
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rowAt(middle)!.sequence > wanted) low = middle + 1;
    else high = middle;
  }
  return rowAt(low)?.sequence === wanted ? low : -1;
}

function keyOf({ sequence }: FaultRow): string {
  return `fault-${sequence}`;
}

function nearestOf({ nearest }: FaultRow): string {
  if (nearest === null) return "–";
  const { mapping, side, distance } = nearest;
  const range = formatRange(mapping.iova, mapping.length);
  return side === "over"
    ? `${range} ${mapping.access}`
    : `${range} ${side === "below" ? "−" : "+"}${
      distance < 2 ** 20 ? formatHex(distance) : formatBytes(distance)
    }`;
}

function columnsOf(fault: FaultRow) {
  return {
    endpoint: fault.bdf,
    device: fault.device,
    pasid: fault.pasid,
    iova: formatHex(fault.iova),
    access: fault.access,
    reason: fault.reason,
    domain: fault.domain,
  };
}
