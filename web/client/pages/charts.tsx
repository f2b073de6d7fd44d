/**
 * The charts that the overview has of all endpoints, and an endpoint's page of one.
 * @module
 */

import type { JSX } from "preact";
import { Chart } from "../charts/chart.tsx";
import {
  formatAtMostNs,
  formatBytes,
  formatCount,
  formatNs,
  formatShare,
  upperNs,
} from "../format.ts";
import { ALL, Column } from "../state/recorder.ts";
import { describe, describeShare, gridInView, hitShare, stackOf, sumOf } from "./series.ts";

const perSecond = (value: number): string => `${formatCount(value)}/s`;
const bytesPerSecond = (value: number): string => `${formatBytes(value)}/s`;
const percent = (value: number): string =>
  value > 0 && value < 1 ? formatShare(value) : `${value * 100} %`;

const bound = (ns: number | null): number | null => ns === null ? null : upperNs(ns);

/** Vermillion: the one colour that says that something is wrong. */
const FAULTS = 5;

/** Five charts of `source`; `endpoints` are those to stack, for all of them together. */
export function Charts({ source, endpoints }: {
  readonly source: string;
  readonly endpoints: readonly string[];
}): JSX.Element {
  const grid = gridInView();
  const { seconds } = grid;
  const isAll = source === ALL;
  const translations = isAll ? stackOf(grid, Column.TRANSLATIONS, endpoints) : [{
    label: "translations",
    color: 0,
    values: grid.rate(source, Column.TRANSLATIONS),
    solid: true as const,
  }];
  const hits = hitShare(grid, source);
  const faults = grid.rate(source, Column.FAULTS);
  const p50 = grid.gauge(source, Column.P50).map(bound);
  const p99 = grid.gauge(source, Column.P99).map(bound);
  const read = grid.rate(source, Column.READ_BYTES);
  const written = grid.rate(source, Column.WRITE_BYTES);
  return (
    <>
      <Chart
        id="translations"
        title={isAll ? "Translations by endpoint" : "Translations"}
        summary={describe(sumOf(translations), formatCount, "/s")}
        seconds={seconds}
        series={translations}
        kind="area"
        scale="linear"
        format={perSecond}
        span="half"
      />
      <Chart
        id="hits"
        title="IOTLB hit ratio"
        summary={describeShare(hits)}
        seconds={seconds}
        series={[{ label: "hit ratio", color: 2, values: hits, solid: true }]}
        kind="line"
        scale="share"
        format={percent}
        span="half"
      />
      <Chart
        id="faults"
        title="Faults"
        summary={describe(faults, formatCount, "/s")}
        seconds={seconds}
        series={[{ label: "faults", color: FAULTS, values: faults, solid: true }]}
        kind="bars"
        scale="linear"
        format={perSecond}
        span="third"
      />
      <Chart
        id="latency"
        title={isAll ? "Translation latency, slowest endpoint" : "Translation latency"}
        summary={describe(p99, formatAtMostNs, "").replace("Last", "p99: last")}
        seconds={seconds}
        series={[
          { label: "p50", color: 0, values: p50 },
          { label: "p99", color: 1, values: p99 },
        ]}
        kind="line"
        scale="log"
        format={formatAtMostNs}
        tick={formatNs}
        span="third"
      />
      <Chart
        id="bytes"
        title="DMA"
        summary={describe(
          sumOf([{ label: "", color: 0, values: read }, { label: "", color: 0, values: written }]),
          formatBytes,
          "/s",
        ).replace("Last", "Together: last")}
        seconds={seconds}
        series={[
          { label: "read by devices", color: 0, values: read },
          { label: "written by devices", color: 1, values: written },
        ]}
        kind="line"
        scale="linear"
        format={bytesPerSecond}
        binary
        span="third"
      />
    </>
  );
}
