/**
 * What happened to the mappings, one mark an event, in the order in which it did:
 * follows the run, or stands where the reader has scrubbed to.
 * @module
 */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { TimelineEvent, TimelineKind } from "../../api.ts";
import { formatRequesterId } from "../../../devices/pci/bdf.ts";
import { Canvas } from "../charts/canvas.tsx";
import { colorOf } from "../charts/palette.ts";
import { formatHex, formatInteger, formatRange, formatSeconds, plural } from "../format.ts";
import { type Columns, parseFilter } from "../state/filter.ts";
import {
  eventLog,
  frame,
  go,
  isPastTimeline,
  pastGrown,
  pinnedRun,
  route,
  snapshot,
} from "../state/store.ts";
import { machineKind } from "./clients.tsx";
import { Empty, Skeleton } from "./parts.tsx";
import { numberWidth, timeWidth } from "./time_column.ts";
import { type GridColumn, VirtualGrid } from "./virtual_grid.tsx";

const LANES: readonly TimelineKind[] = [
  "map",
  "unmap",
  "invalidate",
  "attach",
  "detach",
  "page-request",
  "fault",
];
const COLORS: Readonly<Record<TimelineKind, string>> = {
  "map": "series-2",
  "unmap": "series-1",
  "invalidate": "series-3",
  "attach": "series-0",
  "detach": "series-7",
  "page-request": "series-4",
  "fault": "bad",
};
const LANE = 18;
const SIZES: readonly number[] = [50, 200, 1000, 5000];

/** The columns of a list that begins with that event. */
const columnsUpTo = (newest: TimelineEvent | undefined): readonly GridColumn<TimelineEvent>[] => [
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
    title: "Event",
    width: "104px",
    cell: ({ kind }) => <span class={kind === "fault" ? "bad-text" : ""}>{kind}</span>,
  },
  { title: "Of", width: "96px", kind: "mono", cell: ownerOf },
  {
    title: "IOVA",
    width: "minmax(190px, 1.4fr)",
    kind: "mono",
    cell: ({ kind, iova, length }) =>
      kind === "attach" || kind === "detach" ? "–" : formatRange(iova, length),
  },
  { title: "Access", width: "56px", kind: "mono", cell: ({ access }) => access || "–" },
  { title: "Result", width: "minmax(130px, 1fr)", kind: "mono", cell: resultOf },
];

/** The timeline as a panel. `only` narrows it to an endpoint or a domain, which `of` names. */
export function TimelinePanel({ of = "", only }: {
  readonly of?: string;
  readonly only?: (event: TimelineEvent) => boolean;
}): JSX.Element {
  const size = useSignal(200);
  // The number of the last event in sight; null follows the newest.
  const end = useSignal<number | null>(null);
  const { filter: text } = route.value;
  const needsFilter = text.trim() !== "";
  const isLive = !isPastTimeline();
  const log = eventLog();
  const events = useMemo(() => {
    const filter = parseFilter(text);
    return log.filter((event) =>
      (only === undefined || only(event)) && (!needsFilter || filter.matches(columnsOf(event)))
    );
  }, [isLive ? frame.value : pastGrown.value.count, text, of, pinnedRun.value, log]);
  const missing = isLive ? log.dropped : log.at(0)?.sequence ?? 0;
  const selected = route.value.selected;
  const chosen = events.findIndex((event) => keyOf(event) === selected);
  const followed = end.value === null ? events.length : Math.min(events.length, end.value);
  const last = Math.max(Math.min(size.value, events.length), followed);
  const shown = events.slice(Math.max(0, last - size.value), last);
  const faults = shown.filter(({ kind }) => kind === "fault").length;
  const from = shown[0];
  const to = shown.at(-1);

  function choose(key: string): void {
    const at = events.findIndex((event) => keyOf(event) === key);
    if (at >= 0 && (at >= last || at < last - size.value)) {
      end.value = Math.min(events.length, at + Math.ceil(size.value / 2));
    } else if (at >= 0 && end.value === null) {
      end.value = last;
    }
    go({ selected: key }, "replace");
  }

  return (
    <section class="panel flush" aria-labelledby="timeline-title">
      <div class="panel-head">
        <h2 id="timeline-title">Timeline</h2>
        <div class="push">
          <div class="segments" role="group" aria-label="Events in sight">
            {SIZES.map((count) => (
              <button
                key={count}
                type="button"
                aria-pressed={size.value === count}
                onClick={() => size.value = count}
              >
                {formatInteger(count)}
              </button>
            ))}
          </div>
          <button
            type="button"
            aria-pressed={end.value === null}
            onClick={() => end.value = end.value === null ? last : null}
          >
            {end.value === null ? "Following" : "Follow"}
          </button>
        </div>
      </div>
      <p class="summary">
        {from === undefined || to === undefined
          ? "Map, unmap, invalidate, attach, page-request and fault events, in their order."
          : `Events ${formatInteger(from.sequence)} to ${formatInteger(to.sequence)} of ${
            formatInteger(events.at(-1)!.sequence + 1)
          }, from ${formatSeconds(from.timeNs)} s to ${formatSeconds(to.timeNs)} s; ${
            plural(faults, "fault")
          }.`}
        {missing > 0 && (
          <strong class="bad-text">
            {" "}
            {plural(missing, "event")}{" "}
            {isLive ? "left out: there were too many at a time." : "before these are not kept."}
          </strong>
        )}
      </p>
      {events.length === 0 ? <Nothing isLive={isLive} needsFilter={needsFilter} /> : (
        <>
          <div class="lanes">
            <ul aria-hidden="true">
              {LANES.map((kind) => <li key={kind}>{kind}</li>)}
            </ul>
            <Canvas
              height={LANES.length * LANE}
              label={`${plural(shown.length, "event")} of the timeline, ${
                plural(faults, "fault")
              } among them; the list below has them all`}
              onPick={(x) => {
                const event = shown[Math.min(shown.length - 1, Math.floor(x * size.value))];
                if (event !== undefined) choose(keyOf(event));
              }}
              draw={(context, width, height) =>
                drawMarks(context, width, height, shown, size.value, selected)}
            />
            <input
              type="range"
              aria-label="Scrub through the timeline"
              aria-valuetext={to === undefined ? "" : `up to event ${to.sequence}`}
              disabled={events.length <= size.value}
              min={events.length <= size.value ? 0 : size.value}
              max={events.length}
              value={last}
              onInput={(event) => {
                const value = Number(event.currentTarget.value);
                end.value = value >= events.length ? null : value;
              }}
            />
          </div>
          <VirtualGrid
            label="Events"
            columns={columnsUpTo(to)}
            count={shown.length}
            rowAt={(index) => shown[shown.length - 1 - index] ?? null}
            keyOf={keyOf}
            selected={selected}
            indexOf={(key) => {
              const at = shown.findIndex((event) => keyOf(event) === key);
              return at < 0 ? -1 : shown.length - 1 - at;
            }}
            onSelect={choose}
            height={226}
          />
        </>
      )}
      {chosen < 0 && selected.startsWith("event-") && events.length > 0 && (
        <p class="note">The event that this link names is no longer kept.</p>
      )}
    </section>
  );
}

function Nothing({ isLive, needsFilter }: {
  readonly isLive: boolean;
  readonly needsFilter: boolean;
}): JSX.Element {
  if (!isLive && !pastGrown.value.isWhole) return <Skeleton rows={4} />;
  if (needsFilter) {
    return (
      <Empty title="No event passes the filter">
        Kinds are map, unmap, invalidate, attach, detach, page-request and fault: try kind:fault.
      </Empty>
    );
  }
  if (isLive && machineKind() !== null) {
    return (
      <Empty title="No event yet">
        What is mapped for the devices, and what they are refused, appears here.
      </Empty>
    );
  }
  if (isLive && snapshot.value?.state !== "ended") {
    return (
      <Empty title="No event yet">
        Start a scenario on the Runs page, and what happens to its mappings appears here.
      </Empty>
    );
  }
  return snapshot.value?.run?.kept === false
    ? (
      <Empty title="The machine of this run is not kept any more">
        Only those of the newest runs are. Run it again, and its events are here.
      </Empty>
    )
    : <Empty title="No event in this run">Nothing has changed its mappings.</Empty>;
}

function drawMarks(
  context: CanvasRenderingContext2D,
  width: number,
  height: number,
  shown: readonly TimelineEvent[],
  size: number,
  selected: string,
): void {
  context.fillStyle = colorOf("grid");
  for (let lane = 1; lane < LANES.length; lane++) context.fillRect(0, lane * LANE, width, 1);
  const step = width / size;
  const mark = Math.max(1, Math.min(6, step - 1));
  shown.forEach((event, i) => {
    const lane = LANES.indexOf(event.kind);
    const x = i * step;
    const y = lane * LANE;
    context.fillStyle = colorCache(event.kind);
    if (event.kind === "fault" && step >= 4) {
      context.beginPath();
      context.moveTo(x + mark / 2, y + 3);
      context.lineTo(x + mark / 2 + 5, y + LANE / 2);
      context.lineTo(x + mark / 2, y + LANE - 3);
      context.lineTo(x + mark / 2 - 5, y + LANE / 2);
      context.fill();
    } else {
      context.fillRect(x, y + 4, mark, LANE - 8);
    }
    if (keyOf(event) === selected) {
      context.fillStyle = colorOf("text");
      context.fillRect(x + mark / 2 - 0.5, 0, 1.5, height);
    }
  });

  function colorCache(kind: TimelineKind): string {
    return cache[kind] ??= colorOf(COLORS[kind]);
  }
}

let cache: Partial<Record<TimelineKind, string>> = {};

/** The colours have changed with the theme. */
export function forgetColors(): void {
  cache = {};
}

function keyOf({ sequence }: TimelineEvent): string {
  return `event-${sequence}`;
}

function ownerOf({ endpoint, domain, pasid }: TimelineEvent): string {
  const owner = endpoint === null ? `domain ${domain}` : formatRequesterId(endpoint);
  return pasid === null ? owner : `${owner} #${pasid}`;
}

function resultOf({ kind, result, domain }: TimelineEvent): string {
  if (kind === "map") return `→ ${result}`;
  if (kind === "unmap") return `${formatHex(Number(result))} bytes`;
  if (kind === "attach" || kind === "detach") return `domain ${domain}`;
  return result === "" ? "–" : result;
}

function columnsOf(event: TimelineEvent): Columns {
  return {
    kind: event.kind,
    endpoint: event.endpoint === null ? null : formatRequesterId(event.endpoint),
    domain: event.domain,
    pasid: event.pasid,
    get iova() {
      return formatHex(event.iova);
    },
    length: event.length,
    result: event.result,
    reason: event.kind === "fault" ? event.result : null,
    access: event.access,
  };
}
