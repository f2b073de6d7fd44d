/**
 * One endpoint: its charts, where its accesses went, and what its device says.
 * @module
 */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { BarReport, EndpointDetail, EndpointState, MsixReport, Snapshot } from "../../api.ts";
import { HeatMap } from "../charts/heat_map.tsx";
import { clientText } from "../components/clients.tsx";
import { Later } from "../components/later.tsx";
import { Address, CopyButton, Empty, Failure, Skeleton } from "../components/parts.tsx";
import { WithSnapshot } from "../components/page_state.tsx";
import { useResource } from "../components/resource.ts";
import { ScrollBox } from "../components/scroll_box.tsx";
import { TimelinePanel } from "../components/timeline.tsx";
import { Tree } from "../components/tree.tsx";
import {
  formatBytes,
  formatCount,
  formatHex,
  formatPercentileNs,
  formatShare,
  plural,
} from "../format.ts";
import {
  frame,
  go,
  heatLog,
  lastingLink,
  linkTo,
  ofRun,
  placeOf,
  route,
  snapshot,
  viewRange,
} from "../state/store.ts";
import { Charts } from "./charts.tsx";
import { shareOf } from "./series.ts";

/** The page of the endpoint in the address; of the first one without. */
export function EndpointPage(): JSX.Element {
  return <WithSnapshot title="Endpoint">{(state) => <Chosen state={state} />}</WithSnapshot>;
}

function Chosen({ state }: { readonly state: Snapshot }): JSX.Element {
  const { subject } = route.value;
  const endpoint = subject === ""
    ? state.endpoints[0]
    : state.endpoints.find(({ bdf, id }) => bdf === subject || String(id) === subject);
  const picker = (
    <label class="field">
      <span class="unseen">Endpoint</span>
      <select
        value={endpoint?.bdf ?? ""}
        onChange={(event) => go(placeOf("endpoint", event.currentTarget.value))}
      >
        {endpoint === undefined && <option value="">choose an endpoint</option>}
        {state.endpoints.map(({ bdf, device }) => (
          <option key={bdf} value={bdf}>{bdf} {device}</option>
        ))}
      </select>
    </label>
  );
  return (
    <>
      <div class="page-head">
        <h1>
          {endpoint === undefined ? "Endpoint" : (
            <>
              {endpoint.device} <span class="mono at">{endpoint.bdf}</span>
            </>
          )}
        </h1>
        {endpoint !== undefined && <Where endpoint={endpoint} />}
        {state.endpoints.length > 0 && <div class="push">{picker}</div>}
      </div>
      {endpoint === undefined
        ? (
          <section class="panel">
            <Empty
              title={state.endpoints.length === 0
                ? "No endpoint attached"
                : `There is no endpoint ${subject} in this run`}
            >
              {state.endpoints.length === 0
                ? "Devices appear here when a scenario plugs them in."
                : "Choose one of those there are, at the top right."}
            </Empty>
          </section>
        )
        : <One endpoint={endpoint} version={state.sequence} />}
    </>
  );
}

function Where({ endpoint }: { readonly endpoint: EndpointState }): JSX.Element {
  const { domain, bypass, counters, latency } = endpoint;
  return (
    <p class="muted">
      {domain === null ? bypass ? "bypasses the IOMMU" : "attached to no domain" : (
        <>
          in <a href={linkTo("domains", String(domain))}>domain {domain}</a>
        </>
      )}
      {` · ${formatCount(counters.translations)} translations · ${
        formatShare(shareOf(counters))
      } hits · p99 ${formatPercentileNs(latency?.p99Ns ?? null)} · `}
      {counters.faults === 0
        ? "no fault"
        : (
          <a class="bad-text" href={linkTo("faults", "", { filter: `endpoint:${endpoint.bdf}` })}>
            {plural(counters.faults, "fault")}
          </a>
        )}
      {endpoint.client !== undefined && ` · client: ${clientText(endpoint)}`}
    </p>
  );
}

function One({ endpoint, version }: {
  readonly endpoint: EndpointState;
  readonly version: number;
}): JSX.Element {
  frame.value;
  const { bdf, id } = endpoint;
  useEffect(() => heatLog.watch(bdf), [bdf]);
  const { fromMs, toMs } = viewRange();
  return (
    <div class="panels">
      <Charts source={bdf} endpoints={[bdf]} />
      <Later>
        <HeatMap samples={heatLog.between(bdf, fromMs, toMs)} fromMs={fromMs} toMs={toMs} />
        <Detail bdf={bdf} version={version} />
        <TimelinePanel
          of={`endpoint ${id} ${endpoint.domain}`}
          only={(event) =>
            event.endpoint === id ||
            (event.endpoint === null && event.domain !== null && event.domain === endpoint.domain)}
        />
      </Later>
    </div>
  );
}

function Detail({ bdf, version }: {
  readonly bdf: string;
  readonly version: number;
}): JSX.Element {
  const { data, error, slow } = useResource<EndpointDetail>(
    ofRun(`/api/endpoints/${encodeURIComponent(bdf)}`),
    version,
  );
  if (data === null) {
    return (
      <section class="panel half">
        {error !== null ? <Failure error={error} /> : slow ? <Skeleton /> : null}
      </section>
    );
  }
  return (
    <>
      <section class="panel half" aria-labelledby="config-title">
        <div class="panel-head">
          <h2 id="config-title">Configuration space</h2>
          {data.lspci !== null && (
            <div class="push">
              <CopyButton text={data.lspci} what="the dump, for lspci -F" />
            </div>
          )}
        </div>
        {data.config === null
          ? <Empty title="Not known">The source does not tell configuration space.</Empty>
          : <Config config={data.config} />}
      </section>
      <section class="panel half" aria-labelledby="inspect-title">
        <div class="panel-head">
          <h2 id="inspect-title">Device state</h2>
        </div>
        {data.inspect === null
          ? <Empty title="Not known">The source does not tell the model's state.</Empty>
          : (
            <div class="scroll">
              <Tree label="Device state" value={data.inspect} />
            </div>
          )}
      </section>
      <section class="panel half flush" aria-labelledby="bars-title">
        <div class="panel-head">
          <h2 id="bars-title">Base address registers</h2>
          <RowLink of="bar" what="this BAR" />
        </div>
        {data.bars === null || data.bars.length === 0
          ? <Empty title={data.bars === null ? "Not known" : "No BAR"} />
          : <Bars bars={data.bars} bdf={bdf} />}
      </section>
      <section class="panel half flush" aria-labelledby="msix-title">
        <div class="panel-head">
          <h2 id="msix-title">MSI-X</h2>
          {data.msix !== null && (
            <p class="summary">
              {data.msix.enabled ? "enabled" : "disabled"}
              {data.msix.functionMasked && ", masked as a whole"},{" "}
              {plural(data.msix.vectors, "vector")} in{" "}
              <a href={rowLink(bdf, `bar-${data.msix.bar}`)}>BAR {data.msix.bar}</a>
            </p>
          )}
          <RowLink of="msix" what="this vector" />
        </div>
        {data.msix === null
          ? <Empty title="No MSI-X capability" />
          : <Msix table={data.msix} bdf={bdf} />}
      </section>
    </>
  );
}

function Config({ config }: {
  readonly config: NonNullable<EndpointDetail["config"]>;
}): JSX.Element {
  const id = (vendor: number, device: number) =>
    `${formatHex(vendor, 4)}:${device.toString(16).padStart(4, "0")}`;
  return (
    <dl class="fields">
      <dt>Vendor : device</dt>
      <dd class="mono">{id(config.vendorId, config.deviceId)}</dd>
      <dt>Subsystem</dt>
      <dd class="mono">{id(config.subsystemVendorId, config.subsystemId)}</dd>
      <dt>Class, revision</dt>
      <dd class="mono">
        {formatHex(config.classCode, 6)}, {formatHex(config.revisionId, 2)}
      </dd>
      <dt>Command</dt>
      <dd>
        <span class="mono">{formatHex(config.command, 4)}</span>{" "}
        <span class="muted">{config.commandFlags.join(", ") || "nothing enabled"}</span>
      </dd>
      <dt>Status</dt>
      <dd class="mono">{formatHex(config.status, 4)}</dd>
      <dt>Capabilities</dt>
      <dd>
        {config.capabilities.length === 0 ? <span class="muted">none</span> : (
          <ul>
            {config.capabilities.map(({ offset, name }) => (
              <li key={offset}>
                <span class="mono muted">{formatHex(offset, 2)}</span> {name}
              </li>
            ))}
          </ul>
        )}
      </dd>
    </dl>
  );
}

/** The address of a row of one of the endpoint's tables, with the filter that is there. */
function rowLink(bdf: string, row: string): string {
  return linkTo("endpoint", bdf, { selected: row, filter: route.value.filter });
}

/** Copies the address of the row that is chosen, where it is one of this table's. */
function RowLink({ of, what }: { readonly of: string; readonly what: string }): JSX.Element | null {
  const run = snapshot.value?.run ?? null;
  if (run === null || !route.value.selected.startsWith(`${of}-`)) return null;
  return (
    <div class="push">
      <CopyButton text={lastingLink(run.id)} what={`a link to ${what}`} icon="link" />
    </div>
  );
}

/** A row with an address of its own; its first cell leads there. */
function LinkedRow({ bdf, row, name, kind, children }: {
  readonly bdf: string;
  /** In the address: `bar-0`. */
  readonly row: string;
  readonly name: string;
  readonly kind: "mono" | "num";
  readonly children: ComponentChildren;
}): JSX.Element {
  const element = useRef<HTMLTableRowElement>(null);
  const isChosen = route.value.selected === row;
  useEffect(() => {
    if (!isChosen) return;
    const { top, bottom } = element.current!.getBoundingClientRect();
    // Not at an edge: what is above may still grow.
    if (top < 0 || bottom > innerHeight) element.current!.scrollIntoView({ block: "center" });
  }, [isChosen]);
  return (
    <tr
      ref={element}
      class="link"
      aria-current={isChosen ? "true" : undefined}
      onClick={(event) => {
        if ((event.target as Element).closest("a, button")) return;
        go({ selected: isChosen ? "" : row }, "replace");
      }}
    >
      <td class={kind}>
        <a href={rowLink(bdf, row)}>{name}</a>
      </td>
      {children}
    </tr>
  );
}

function Bars({ bars, bdf }: {
  readonly bars: readonly BarReport[];
  readonly bdf: string;
}): JSX.Element {
  return (
    <ScrollBox label="Base address registers, table">
      <table>
        <thead>
          <tr>
            <th scope="col">BAR</th>
            <th scope="col">Kind</th>
            <th scope="col">Address</th>
            <th scope="col" class="num">Size</th>
          </tr>
        </thead>
        <tbody>
          {bars.map(({ index, kind, address, size, prefetchable }) => (
            <LinkedRow key={index} bdf={bdf} row={`bar-${index}`} name={String(index)} kind="mono">
              <td>{kind}{prefetchable ? ", prefetchable" : ""}</td>
              <td>
                {address === null
                  ? <span class="muted">unassigned</span>
                  : <Address value={address} />}
              </td>
              <td class="num">{size === null ? "–" : formatBytes(size)}</td>
            </LinkedRow>
          ))}
        </tbody>
      </table>
    </ScrollBox>
  );
}

function Msix({ table, bdf }: {
  readonly table: MsixReport;
  readonly bdf: string;
}): JSX.Element {
  return (
    <ScrollBox label="MSI-X table">
      <table>
        <thead>
          <tr>
            <th scope="col" class="num">Vector</th>
            <th scope="col">Address</th>
            <th scope="col" class="num">Data</th>
            <th scope="col">State</th>
          </tr>
        </thead>
        <tbody>
          {table.rows.map(({ vector, address, data, masked, pending }) => (
            <LinkedRow
              key={vector}
              bdf={bdf}
              row={`msix-${vector}`}
              name={String(vector)}
              kind="num"
            >
              <td class="mono">{formatHex(address)}</td>
              <td class="num">{formatHex(data)}</td>
              <td>{[masked ? "masked" : "open", ...(pending ? ["pending"] : [])].join(", ")}</td>
            </LinkedRow>
          ))}
        </tbody>
      </table>
      {table.rows.length < table.vectors && (
        <p class="note">{plural(table.vectors - table.rows.length, "further vector")}</p>
      )}
    </ScrollBox>
  );
}
