/**
 * Where one endpoint's accesses went, IOVA over time.
 * @module
 */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { ScrollBox } from "../components/scroll_box.tsx";
import { formatClock, formatHex, formatRange } from "../format.ts";
import type { HeatSample } from "../state/heat_log.ts";
import { Canvas } from "./canvas.tsx";
import { heatGrid, hottest } from "./heat_grid.ts";
import { colorOf } from "./palette.ts";

const HEIGHT = 190;
const ROWS = 64;

/** A panel with the heat of one endpoint. */
export function HeatMap({ samples, fromMs, toMs }: {
  readonly samples: readonly HeatSample[];
  readonly fromMs: number;
  readonly toMs: number;
}): JSX.Element {
  const asTable = useSignal(false);
  // Wider than the time between two samples, or there were stripes.
  const columns = Math.min(120, Math.max(10, Math.floor((toMs - fromMs) / 600)));
  const grid = heatGrid(samples, fromMs, toMs, columns, ROWS);
  const top = grid === null ? [] : hottest(grid, 12);
  const summary = grid === null
    ? "No access was sampled in this time range."
    : `${formatRange(grid.start, grid.width * ROWS)}, ${formatHex(grid.width)} a row; the most in ${
      formatRange(top[0]!.start, grid.width)
    }, ${(top[0]!.share * 100).toFixed(0)} % of the samples.`;
  return (
    <section class="panel" aria-labelledby="heat-title">
      <div class="panel-head">
        <h2 id="heat-title">Accessed addresses</h2>
        <div class="push">
          <button
            type="button"
            aria-pressed={asTable.value}
            aria-label="Show Accessed addresses as a table"
            onClick={() => asTable.value = !asTable.value}
          >
            Table
          </button>
        </div>
      </div>
      <p class="summary">{summary}</p>
      {grid === null
        ? <p class="empty">Device accesses show up here while a run goes on.</p>
        : asTable.value
        ? (
          <ScrollBox label="Accessed addresses, table">
            <table>
              <thead>
                <tr>
                  <th scope="col">IOVA</th>
                  <th scope="col" class="num">Share</th>
                </tr>
              </thead>
              <tbody>
                {top.map(({ start, share }) => (
                  <tr key={start}>
                    <td class="mono">{formatRange(start, grid.width)}</td>
                    <td class="num">{(share * 100).toFixed(1)} %</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </ScrollBox>
        )
        : (
          <>
            <p class="scale-row">
              {`↑ last IOVA ${formatHex(grid.start + grid.width * ROWS - 1)}`}
            </p>
            <Canvas
              height={HEIGHT}
              label={`Heat map: ${summary}`}
              draw={(context, width, height) => {
                const heat = colorOf("heat");
                context.fillStyle = colorOf("raised");
                context.fillRect(0, 0, width, height);
                const w = width / grid.columns;
                const h = height / ROWS;
                for (let column = 0; column < grid.columns; column++) {
                  for (let row = 0; row < ROWS; row++) {
                    const value = grid.cells[column * ROWS + row]!;
                    if (value === 0) continue;
                    context.fillStyle = `rgba(${heat}, ${
                      (0.18 + 0.82 * Math.sqrt(value / grid.peak)).toFixed(3)
                    })`;
                    context.fillRect(column * w, height - (row + 1) * h, w + 0.5, h + 0.5);
                  }
                }
              }}
            />
            <p class="scale-row">{`↓ first IOVA ${formatHex(grid.start)}`}</p>
            <p class="scale-row">
              <span>{formatClock(fromMs)}</span>
              <span>{formatClock(toMs)}</span>
            </p>
          </>
        )}
    </section>
  );
}
