/**
 * All endpoints at once: what they translate, hit, fault and move.
 * @module
 */

import type { JSX } from "preact";
import type { EndpointState, Snapshot } from "../../api.ts";
import { clientText, machineKind, NoClient } from "../components/clients.tsx";
import { Later } from "../components/later.tsx";
import { Empty } from "../components/parts.tsx";
import { Title, WithSnapshot } from "../components/page_state.tsx";
import { type SortColumn, SortTable } from "../components/sort_table.tsx";
import { TimelinePanel } from "../components/timeline.tsx";
import {
  formatBytes,
  formatCount,
  formatInteger,
  formatPercentileNs,
  formatShare,
  plural,
} from "../format.ts";
import { parseFilter } from "../state/filter.ts";
import { ALL, Column } from "../state/recorder.ts";
import { frame, go, isLiveRun, linkTo, pinnedRun, placeOf, route } from "../state/store.ts";
import { Charts } from "./charts.tsx";
import { rateNow, shareOf } from "./series.ts";

/** The overview. */
export function OverviewPage(): JSX.Element {
  return (
    <WithSnapshot title="Overview">
      {(state) => (
        <>
          <Title>Overview</Title>
          <Overview state={state} />
        </>
      )}
    </WithSnapshot>
  );
}

const COLUMNS: readonly SortColumn<EndpointState>[] = [
  {
    key: "bdf",
    title: "Endpoint",
    kind: "mono",
    value: ({ bdf }) => bdf,
    cell: ({ bdf }) => <a href={linkTo("endpoint", bdf)}>{bdf}</a>,
  },
  { key: "device", title: "Device", value: ({ device }) => device, cell: ({ device }) => device },
  {
    key: "domain",
    title: "Domain",
    value: ({ domain }) => domain ?? -1,
    cell: ({ domain, bypass }) =>
      domain === null
        ? <span class="muted">{bypass ? "bypass" : "none"}</span>
        : <a href={linkTo("domains", String(domain))}>{domain}</a>,
  },
  {
    key: "rate",
    title: "Rate",
    kind: "num",
    value: ({ bdf }) => rateNow(bdf, Column.TRANSLATIONS),
    cell: ({ bdf }) => isLiveRun() ? `${formatCount(rateNow(bdf, Column.TRANSLATIONS))}/s` : "–",
  },
  {
    key: "translations",
    title: "Translations",
    kind: "num",
    value: ({ counters }) => counters.translations,
    cell: ({ counters }) => formatInteger(counters.translations),
  },
  {
    key: "hits",
    title: "Hits",
    kind: "num",
    value: ({ counters }) => shareOf(counters) ?? NaN,
    cell: ({ counters }) => formatShare(shareOf(counters)),
  },
  {
    key: "faults",
    title: "Faults",
    kind: "num",
    value: ({ counters }) => counters.faults,
    cell: ({ counters, bdf }) =>
      counters.faults === 0
        ? "0"
        : (
          <a class="bad-text" href={linkTo("faults", "", { filter: `endpoint:${bdf}` })}>
            {formatInteger(counters.faults)}
          </a>
        ),
  },
  {
    key: "p99",
    title: "p99",
    kind: "num",
    value: ({ latency }) => latency?.p99Ns ?? NaN,
    cell: ({ latency }) => formatPercentileNs(latency?.p99Ns ?? null),
  },
  {
    key: "read",
    title: "Read",
    kind: "num",
    value: ({ counters }) => counters.dmaReadBytes,
    cell: ({ counters }) => formatBytes(counters.dmaReadBytes),
  },
  {
    key: "written",
    title: "Written",
    kind: "num",
    value: ({ counters }) => counters.dmaWriteBytes,
    cell: ({ counters }) => formatBytes(counters.dmaWriteBytes),
  },
];

const CLIENT: SortColumn<EndpointState> = {
  key: "client",
  title: "Client",
  value: clientText,
  cell: clientText,
};

function Overview({ state }: { readonly state: Snapshot }): JSX.Element {
  frame.value;
  const filter = parseFilter(route.value.filter);
  const endpoints = state.endpoints.filter((endpoint) => filter.matches(columnsOf(endpoint)));
  return (
    <>
      <Totals state={state} />
      <div class="panels">
        <NoClient endpoints={state.endpoints} />
        <Charts source={ALL} endpoints={state.endpoints.map(({ bdf }) => bdf)} />
        <Later>
          <section class="panel flush" aria-labelledby="endpoints-title">
            <div class="panel-head">
              <h2 id="endpoints-title">Endpoints</h2>
              <p class="summary">
                {endpoints.length === state.endpoints.length
                  ? plural(endpoints.length, "endpoint")
                  : `${endpoints.length} of ${plural(state.endpoints.length, "endpoint")}`}
                {state.endpointsLeftOut > 0 && `, ${state.endpointsLeftOut} left out`}
              </p>
            </div>
            {endpoints.length === 0
              ? (
                <Empty
                  title={state.endpoints.length === 0
                    ? "No endpoint attached"
                    : "No endpoint passes the filter"}
                >
                  {state.endpoints.length === 0
                    ? machineKind() === null
                      ? "Devices appear here when a scenario plugs them in."
                      : "Devices appear here when they are served."
                    : "Columns are endpoint, device, domain, translations, faults and hits: try faults:>0."}
                </Empty>
              )
              : (
                <SortTable
                  name="endpoints"
                  label="Endpoints"
                  columns={machineKind() === null ? COLUMNS : [...COLUMNS, CLIENT]}
                  rows={endpoints}
                  keyOf={({ bdf }) => bdf}
                  onOpen={({ bdf }) => go(placeOf("endpoint", bdf))}
                />
              )}
          </section>
          <Later>
            <TimelinePanel />
          </Later>
        </Later>
      </div>
    </>
  );
}

function Totals({ state }: { readonly state: Snapshot }): JSX.Element {
  const { totals } = state;
  const isLive = pinnedRun.value === null && state.state === "live";
  const rate = (column: number, format: (value: number) => string) =>
    isLive ? `${format(rateNow(ALL, column))}/s now` : "in this run";
  return (
    <dl class="tiles" aria-label="Totals of the run">
      <Tile
        name="Translations"
        value={formatCount(totals.translations)}
        exact={totals.translations}
        note={rate(Column.TRANSLATIONS, formatCount)}
      />
      <Tile
        name="IOTLB hits"
        value={formatShare(shareOf(totals))}
        exact={totals.iotlbHits}
        note={`${formatCount(totals.iotlbMisses)} walked`}
      />
      <Tile
        name="Faults"
        value={formatCount(totals.faults)}
        exact={totals.faults}
        note={rate(Column.FAULTS, formatCount)}
        bad={totals.faults > 0}
      />
      <Tile
        name="Read by devices"
        value={formatBytes(totals.dmaReadBytes)}
        exact={totals.dmaReadBytes}
        note={rate(Column.READ_BYTES, formatBytes)}
      />
      <Tile
        name="Written by devices"
        value={formatBytes(totals.dmaWriteBytes)}
        exact={totals.dmaWriteBytes}
        note={rate(Column.WRITE_BYTES, formatBytes)}
      />
      <Tile
        name="Invalidations"
        value={formatCount(totals.invalidations)}
        exact={totals.invalidations}
        note={`${formatCount(totals.pageRequests)} page requests`}
      />
    </dl>
  );
}

function Tile({ name, value, exact, note, bad }: {
  readonly name: string;
  readonly value: string;
  readonly exact: number;
  readonly note: string;
  readonly bad?: boolean;
}): JSX.Element {
  return (
    <div class={`tile ${bad ? "bad" : ""}`}>
      <dt>{name}</dt>
      <dd>
        <data value={String(exact)} title={formatInteger(exact)}>{value}</data>
        <small>{note}</small>
      </dd>
    </div>
  );
}

function columnsOf({ bdf, device, domain, counters }: EndpointState) {
  return {
    endpoint: bdf,
    device,
    domain,
    translations: counters.translations,
    faults: counters.faults,
    hits: Math.round((shareOf(counters) ?? 0) * 100),
    read: counters.dmaReadBytes,
    written: counters.dmaWriteBytes,
  };
}
