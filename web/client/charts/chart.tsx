/**
 * A chart over time: a canvas for those who see it, a sentence and a table for all.
 * @module
 */

import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { ScrollBox } from "../components/scroll_box.tsx";
import { formatClock } from "../format.ts";
import { setRange } from "../state/store.ts";
import { Legend } from "./legend.tsx";
import { colorOf, dashOf, seriesVariable, theme } from "./palette.ts";

/** Pixels of a time. */
const LABEL = 48;
const POWERS: number[] = Array.from({ length: 60 }, (_, power) => 2 ** power);

/** One line, area or row of bars. */
export interface ChartSeries {
  readonly label: string;
  /** 0..7, or `OTHERS`. */
  readonly color: number;
  /** One a column; null where nothing is known. */
  readonly values: readonly (number | null)[];
  /** Drawn without dashes: no other series shares the chart, or those do not touch. */
  readonly solid?: true;
  /** Where the name leads. */
  readonly href?: string;
}

/** What a chart shows, and how. */
export interface ChartProps {
  /** Unique on its page. */
  readonly id: string;
  readonly title: string;
  /** One sentence that says what the picture shows. */
  readonly summary: string;
  /** The middle of each column, in seconds from 1970. */
  readonly seconds: Float64Array;
  readonly series: readonly ChartSeries[];
  /** `area` stacks the series. */
  readonly kind: "area" | "line" | "bars";
  /** `share` runs from 0 to 1, whatever the values. */
  readonly scale: "linear" | "share" | "log";
  readonly format: (value: number) => string;
  /** For the ticks of the axis; {@linkcode format} unless told. */
  readonly tick?: (value: number) => string;
  /** Ticks at powers of two, for bytes. */
  readonly binary?: true;
  /** Class of the panel: `half`, `third`. */
  readonly span?: string;
  readonly children?: ComponentChildren;
}

/** A panel with a chart. */
export function Chart(props: ChartProps): JSX.Element {
  const asTable = useSignal(false);
  const hover = useSignal<number | null>(null);
  const { id, title, summary, series } = props;
  const isEmpty = series.every(({ values }) => values.every((value) => value === null));
  return (
    <section class={`panel ${props.span ?? ""}`} aria-labelledby={`${id}-title`}>
      <div class="panel-head">
        <h2 id={`${id}-title`}>{title}</h2>
        <div class="push">
          {props.children}
          <button
            type="button"
            aria-pressed={asTable.value}
            aria-label={`Show ${title} as a table`}
            onClick={() => asTable.value = !asTable.value}
          >
            Table
          </button>
        </div>
      </div>
      <p class="summary" id={`${id}-summary`}>{summary}</p>
      {asTable.value ? <ChartTable {...props} /> : (
        <>
          <div
            class="plot"
            role="img"
            aria-labelledby={`${id}-title`}
            aria-describedby={`${id}-summary`}
          >
            <Canvas {...props} onHover={(at) => hover.value = at} />
            {isEmpty && <p class="nothing">Nothing in this time range</p>}
          </div>
          <Legend series={series} format={props.format} at={hover.value} />
        </>
      )}
    </section>
  );
}

function Canvas(props: ChartProps & { onHover: (at: number | null) => void }): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const seen = useRef(true);
  const latest = useRef(props);
  latest.current = props;
  const shape = [theme.value, props.kind, props.scale, ...props.series.map((s) => s.color)].join();

  useLayoutEffect(() => {
    const element = host.current!;
    const { width, height } = element.getBoundingClientRect();
    const made = new uPlot(
      optionsOf(props, Math.max(80, width), height, (at) => latest.current.onHover(at)),
      dataOf(latest.current),
      element,
    );
    plot.current = made;
    const resized = new ResizeObserver(([entry]) => {
      const box = entry!.contentRect;
      if (box.width > 0 && Math.abs(box.width - made.width) >= 1) {
        made.setSize({ width: box.width, height: box.height });
      }
    });
    resized.observe(element);
    const scrolled = new IntersectionObserver(([entry]) => {
      seen.current = entry!.isIntersecting;
      if (seen.current) made.setData(dataOf(latest.current));
    });
    scrolled.observe(element);
    return () => {
      resized.disconnect();
      scrolled.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => {
    if (seen.current) plot.current?.setData(dataOf(props));
  });

  return <div ref={host} class="canvas-host" />;
}

/** Columns as uPlot draws them: stacked areas from the top of the stack down, so that each covers the next. */
function dataOf({ seconds, series, kind }: ChartProps): uPlot.AlignedData {
  if (kind !== "area") {
    return [seconds, ...series.map(({ values }) => values)] as unknown as uPlot.AlignedData;
  }
  const stacked: (number | null)[][] = [];
  let below: (number | null)[] = new Array(seconds.length).fill(null);
  for (const { values } of series) {
    below = below.map((sum, i) => {
      const value = values[i] ?? null;
      return sum === null ? value : sum + (value ?? 0);
    });
    stacked.push(below);
  }
  return [seconds, ...stacked.reverse()] as unknown as uPlot.AlignedData;
}

function optionsOf(
  { series, kind, scale, format, tick = format, binary }: ChartProps,
  width: number,
  height: number,
  onHover: (at: number | null) => void,
): uPlot.Options {
  const axis: uPlot.Axis = {
    stroke: colorOf("muted"),
    font: "11px system-ui, sans-serif",
    grid: { stroke: colorOf("grid"), width: 1 },
    ticks: { show: false },
  };
  const drawn = kind === "area" ? [...series].reverse() : series;
  return {
    width,
    height,
    padding: [10, 8, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      sync: { key: "viaduct" },
      drag: { x: true, y: false, setScale: false },
      points: { size: 7 },
    },
    scales: {
      x: { time: true },
      y: scale === "log"
        ? { distr: 3, range: (_, min, max) => logRange(min, max) }
        : { range: (_, __, max) => scale === "share" ? [0, 1] : [0, max > 0 ? max * 1.08 : 1] },
    },
    axes: [
      {
        ...axis,
        size: 26,
        gap: 4,
        space: 76,
        // A label that would stick out at an end is left out.
        values: (u, splits) =>
          splits.map((second) => {
            const x = u.valToPos(second, "x");
            const end = u.bbox.width / devicePixelRatio;
            return x < LABEL / 2 - 6 || x > end - LABEL / 2 + 6 ? "" : formatClock(second * 1000);
          }),
      },
      {
        ...axis,
        size: 62,
        gap: 6,
        space: 34,
        ...(binary ? { incrs: POWERS } : {}),
        ...(scale === "share" ? { splits: () => [0, 0.25, 0.5, 0.75, 1] } : {}),
        ...(scale === "log" ? { splits: (u: uPlot) => decades(u) } : {}),
        values: (_, splits) => splits.map((value) => value === null ? "" : tick(value)),
      },
    ],
    series: [
      {},
      ...drawn.map(({ label, color, solid }): uPlot.Series => {
        const stroke = colorOf(seriesVariable(color));
        return {
          label,
          stroke,
          width: kind === "bars" ? 0 : 1.75,
          ...(kind === "bars" || solid ? {} : { dash: [...dashOf(color)] }),
          ...(kind === "line"
            ? {}
            : { fill: blend(stroke, colorOf("panel"), kind === "bars" ? 0.9 : 0.42) }),
          ...(kind === "bars" && uPlot.paths.bars !== undefined
            ? { paths: uPlot.paths.bars({ size: [0.8, 12, 1] }) }
            : {}),
          points: kind === "bars" ? { show: false } : { size: 4, fill: stroke },
          spanGaps: false,
        };
      }),
    ],
    hooks: {
      setCursor: [(u) => onHover(u.cursor.idx ?? null)],
      setSelect: [(u) => {
        if (u.select.width < 4) return;
        const fromMs = Math.round(u.posToVal(u.select.left, "x") * 1000);
        const toMs = Math.round(u.posToVal(u.select.left + u.select.width, "x") * 1000);
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        if (toMs - fromMs >= 1000) setRange({ kind: "between", fromMs, toMs });
      }],
    },
  };
}

function logRange(min: number | null, max: number | null): [number, number] {
  if (min === null || max === null || !(max > 0)) return [10, 10_000];
  const low = 10 ** Math.floor(Math.log10(Math.max(1, min)));
  const high = 10 ** Math.ceil(Math.log10(max));
  return [low, high > low ? high : low * 10];
}

function decades(u: uPlot): number[] {
  const { min, max } = u.scales["y"]!;
  const result: number[] = [];
  for (let value = min ?? 1; value <= (max ?? 1) * 1.001; value *= 10) result.push(value);
  return result;
}

/** `share` of a colour, the rest of the ground: not see-through, so that stacked areas do not mix. */
function blend(color: string, ground: string, share: number): string {
  const channel = (text: string, at: number) =>
    parseInt(text.length === 4 ? text[(at + 1) / 2]!.repeat(2) : text.slice(at, at + 2), 16);
  const mixed = [1, 3, 5].map((at) =>
    Math.round(channel(color, at) * share + channel(ground, at) * (1 - share))
  );
  return `rgb(${mixed.join(", ")})`;
}

/** The same numbers, a row a column of the chart, the newest first. */
function ChartTable({ id, title, seconds, series, format }: ChartProps): JSX.Element {
  const rows = [...seconds.keys()].reverse()
    .filter((at) => series.some(({ values }) => values[at] !== null));
  return (
    <ScrollBox label={`${title}, table`} id={`${id}-table`}>
      <table>
        <caption class="unseen">{title}</caption>
        <thead>
          <tr>
            <th scope="col">Time</th>
            {series.map(({ label }) => <th scope="col" class="num" key={label}>{label}</th>)}
          </tr>
        </thead>
        <tbody>
          {rows.length === 0 && (
            <tr>
              <td colSpan={series.length + 1} class="muted">Nothing in this time range</td>
            </tr>
          )}
          {rows.map((at) => (
            <tr key={seconds[at]}>
              <th scope="row" class="mono">{formatClock(seconds[at]! * 1000)}</th>
              {series.map(({ label, values }) => (
                <td class="num" key={label}>
                  {values[at] === null || values[at] === undefined ? "–" : format(values[at])}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollBox>
  );
}
