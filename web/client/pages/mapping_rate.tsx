/**
 * How fast a domain's mappings come and go.
 * @module
 */

import type { JSX } from "preact";
import { Chart } from "../charts/chart.tsx";
import { formatCount } from "../format.ts";
import { DomainColumn, domainSource } from "../state/recorder.ts";
import { frame } from "../state/store.ts";
import { describe, gridInView } from "./series.ts";

const perSecond = (value: number): string => `${formatCount(value)}/s`;

/** The chart of one domain. */
export function MappingRate({ domain }: { readonly domain: number }): JSX.Element {
  frame.value;
  const grid = gridInView();
  const source = domainSource(domain);
  const maps = grid.rate(source, DomainColumn.MAPS);
  const unmaps = grid.rate(source, DomainColumn.UNMAPS);
  return (
    <Chart
      id="mapping-rate"
      title="Maps and unmaps"
      summary={`Maps: ${lower(describe(maps, formatCount, "/s"))} Unmaps: ${
        lower(describe(unmaps, formatCount, "/s"))
      }`}
      seconds={grid.seconds}
      series={[
        // The colours that the timeline has for them.
        { label: "maps", color: 2, values: maps },
        { label: "unmaps", color: 1, values: unmaps },
      ]}
      kind="line"
      scale="linear"
      format={perSecond}
    />
  );
}

function lower(sentence: string): string {
  return sentence.slice(0, 1).toLowerCase() + sentence.slice(1);
}
