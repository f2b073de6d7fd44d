/**
 * Domains: what each maps, and where an address would go.
 * @module
 */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { DomainState, MappingRow, Snapshot } from "../../api.ts";
import { AddressStrip } from "../charts/address_strip.tsx";
import { machineKind } from "../components/clients.tsx";
import { useFiltered } from "../components/filtered.ts";
import { Later } from "../components/later.tsx";
import { useMappings } from "../components/mapping_loader.ts";
import { Empty, Failure, Skeleton } from "../components/parts.tsx";
import { WithSnapshot } from "../components/page_state.tsx";
import { TimelinePanel } from "../components/timeline.tsx";
import { TranslateTool } from "../components/translate_tool.tsx";
import { type GridColumn, VirtualGrid } from "../components/virtual_grid.tsx";
import {
  formatBytes,
  formatHex,
  formatInteger,
  formatRange,
  formatSeconds,
  parseAddress,
  plural,
} from "../format.ts";
import { formatRequesterId } from "../../../devices/pci/bdf.ts";
import type { Columns } from "../state/filter.ts";
import type { MappingTable } from "../state/mapping_table.ts";
import { go, linkTo, machineOf, placeOf, route, setExtra } from "../state/store.ts";
import { MappingRate } from "./mapping_rate.tsx";

/** The page of the domain in the address; of the first one without. */
export function DomainsPage(): JSX.Element {
  return <WithSnapshot title="Domains">{(state) => <Chosen state={state} />}</WithSnapshot>;
}

function Chosen({ state }: { readonly state: Snapshot }): JSX.Element {
  const { subject } = route.value;
  const domain = subject === ""
    ? state.domains[0]
    : state.domains.find(({ id }) => String(id) === subject);
  return (
    <>
      <div class="page-head">
        <h1>{domain === undefined ? "Domains" : `Domain ${domain.id}`}</h1>
        {domain !== undefined && <About domain={domain} />}
        {state.domains.length > 0 && (
          <label class="field push">
            <span class="unseen">Domain</span>
            <select
              value={String(domain?.id ?? "")}
              onChange={(event) => go(placeOf("domains", event.currentTarget.value))}
            >
              {domain === undefined && <option value="">choose a domain</option>}
              {state.domains.map(({ id, mappings }) => (
                <option key={id} value={String(id)}>
                  domain {id}, {plural(mappings, "mapping")}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      {domain === undefined
        ? (
          <section class="panel">
            <Empty
              title={state.domains.length === 0
                ? "No domain in this run"
                : `There is no domain ${subject} in this run`}
            >
              {state.domains.length === 0
                ? "In identity mode addresses pass untranslated. Start a scenario in mode remap to see its mappings."
                : "Choose one of those there are, at the top right."}
            </Empty>
          </section>
        )
        // Another run's is another one, also with the same number.
        : <One key={`${machineOf(state)} ${domain.id}`} domain={domain} state={state} />}
    </>
  );
}

function About({ domain }: { readonly domain: DomainState }): JSX.Element {
  const { members, membersLeftOut } = domain;
  return (
    <p class="muted">
      {domain.kind === "bypass" && "bypass · "}
      {plural(domain.mappings, "mapping")} · {formatBytes(domain.mappedBytes)} ·{" "}
      {members.length === 0
        ? "no endpoint in it"
        : members.slice(0, 6).map((member, i) => (
          <span key={`${member.endpoint}-${member.pasid}`}>
            {i > 0 && ", "}
            <a class="mono" href={linkTo("endpoint", formatRequesterId(member.endpoint))}>
              {formatRequesterId(member.endpoint)}
            </a>
            {member.pasid !== null && ` PASID ${member.pasid}`}
          </span>
        ))}
      {members.length + membersLeftOut > 6 && `, ${members.length + membersLeftOut - 6} more`}
    </p>
  );
}

/** Snapshots, four a second, after which the hits of a small table are asked for again. */
const HITS_SNAPSHOTS = 8;

const columnsTo = (
  target: Pick<GridColumn<MappingRow>, "title" | "hint">,
): readonly GridColumn<MappingRow>[] => [
  {
    title: "IOVA",
    width: "minmax(210px, 1.6fr)",
    kind: "mono",
    cell: ({ iova, length }) => formatRange(iova, length),
  },
  {
    ...target,
    width: "minmax(120px, 1fr)",
    kind: "mono",
    cell: ({ gpa }) => formatHex(gpa),
  },
  { title: "Length", width: "84px", kind: "num", cell: ({ length }) => formatBytes(length) },
  { title: "Access", width: "56px", kind: "mono", cell: ({ access }) => access },
  {
    title: "Mapped at, s",
    width: "100px",
    kind: "num",
    cell: ({ mappedNs }) => mappedNs === null ? "–" : formatSeconds(mappedNs),
  },
  {
    title: "Hits (sampled)",
    width: "112px",
    kind: "num",
    hint:
      "Accesses of devices that went through the mapping, of a sample: up to a few hundred of " +
      "each, several times a second. For comparing mappings; it is no count of all accesses",
    cell: ({ hits }) => hits === null ? "–" : formatInteger(hits),
  },
];
const COLUMNS = columnsTo({ title: "GPA" });
/** Of devices that are served: a client says which file it maps, and no guest address. */
const SERVED_COLUMNS = columnsTo({
  title: "Window",
  hint: "Where the server has the mapped part of the client's file: an address of its own",
});

function One({ domain, state }: {
  readonly domain: DomainState;
  readonly state: Snapshot;
}): JSX.Element {
  const asked = useSignal(0);
  const { loaded, error } = useMappings(domain.id, versionOf(domain, state, asked.value));
  const marked = parseAddress(route.value.extra["iova"] ?? "");
  const endpoint = domain.members[0]?.endpoint ?? null;
  // Drawn when what it shows has changed, not with every snapshot.
  const strip = useMemo(() =>
    loaded === null ? null : (
      <AddressStrip
        table={loaded.table}
        marked={marked}
        onPick={(iova) => setExtra("iova", formatHex(iova), "replace")}
      />
    ), [loaded, marked]);
  const isOld = loaded !== null && loaded.isWhole &&
    (loaded.total !== domain.mappings || loaded.mappedBytes !== domain.mappedBytes);
  return (
    <div class="panels">
      <section class="panel two-thirds flush" aria-labelledby="mappings-title">
        <div class="panel-head">
          <h2 id="mappings-title">Mappings</h2>
          <p class="summary" role="status">
            {loaded === null
              ? ""
              : loaded.isWhole
              ? plural(loaded.table.length, "mapping")
              : `${formatInteger(loaded.table.length)} of ${plural(loaded.total, "mapping")}`}
            {loaded !== null && loaded.leftOut > 0 &&
              `, ${formatInteger(loaded.leftOut)} were too many to keep`}
          </p>
          {isOld && (
            <div class="push">
              <button type="button" onClick={() => asked.value++}>They have changed: reload</button>
            </div>
          )}
        </div>
        {loaded === null
          ? error !== null ? <Failure error={error} onRetry={() => asked.value++} /> : <Skeleton />
          : loaded.table.length === 0
          ? (
            <Empty title="Nothing is mapped">
              Every access through this domain faults until something is.
            </Empty>
          )
          : (
            <>
              {strip}
              <Mappings loaded={loaded.table} length={loaded.table.length} />
            </>
          )}
      </section>
      <TranslateTool endpoint={endpoint} members={domain.members} version={state.sequence} />
      <Later>
        <MappingRate domain={domain.id} />
        <TimelinePanel
          of={`domain ${domain.id} ${domain.members.length}`}
          only={(event) =>
            event.domain === domain.id ||
            (event.endpoint !== null &&
              domain.members.some((member) => member.endpoint === event.endpoint))}
        />
      </Later>
    </div>
  );
}

/**
 * Small tables follow every change, and their hits while a run is live; large ones wait to be asked,
 * and for the end of the run.
 */
function versionOf(domain: DomainState, state: Snapshot, asked: number): string {
  const version = `${asked}/${state.state}/${state.run?.id}`;
  if (domain.mappings > 2000) return version;
  const tick = state.state === "live" ? Math.floor(state.sequence / HITS_SNAPSHOTS) : 0;
  return `${version}/${domain.mappings}/${domain.mappedBytes}/${tick}`;
}

function Mappings({ loaded, length }: {
  readonly loaded: MappingTable;
  readonly length: number;
}): JSX.Element {
  const { filter: text, selected } = route.value;
  const { source: table, passed } = useFiltered(
    text,
    loaded,
    length,
    (index) => columnsOf(loaded.row(index)!),
  );
  const count = passed === null ? length : passed.length;
  if (count === 0) {
    return (
      <Empty title="No mapping passes the filter">
        Columns are iova, {machineKind() === null ? "gpa" : "window"},{" "}
        length, access and hits: try access:rw or hits:&gt;0.
      </Empty>
    );
  }
  return (
    <VirtualGrid
      label="Mappings"
      columns={machineKind() === null ? COLUMNS : SERVED_COLUMNS}
      count={count}
      rowAt={(index) => table.row(passed === null ? index : passed[index] ?? -1)}
      keyOf={keyOf}
      selected={selected}
      indexOf={(key) => {
        const iova = parseAddress(key.replace(/^map-/, ""));
        if (iova === null) return -1;
        const at = table.find(iova);
        if (table.row(at)?.iova !== iova) return -1;
        return passed === null ? at : passed.indexOf(at);
      }}
      onSelect={(key) => {
        const extra = key === ""
          ? route.value.extra
          : { ...route.value.extra, iova: key.replace(/^map-/, "") };
        go({ selected: key, extra }, "replace");
      }}
      height={460}
    />
  );
}

/** Columns that no term of the filter names are never made. */
function columnsOf({ iova, gpa, access, length, hits }: MappingRow): Columns {
  return {
    get iova() {
      return formatHex(iova);
    },
    get gpa() {
      return formatHex(gpa);
    },
    get window() {
      return formatHex(gpa);
    },
    access,
    length,
    hits: hits ?? 0,
  };
}

function keyOf({ iova }: MappingRow): string {
  return `map-${formatHex(iova)}`;
}
