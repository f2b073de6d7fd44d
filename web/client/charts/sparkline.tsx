/**
 * The last runs of a scenario: a bar a run, as long as it took.
 * @module
 */

import type { JSX } from "preact";
import type { RunState, ScenarioRow } from "../../api.ts";
import { formatMs, plural } from "../format.ts";

const COLORS: Readonly<Record<RunState, string>> = {
  queued: "line-strong",
  running: "accent",
  passed: "ok",
  failed: "bad",
  skipped: "line-strong",
};
const HEIGHT = 20;
const STEP = 6;

/** Bars, the newest on the right; failed ones have a foot as well as a colour. */
export function Sparkline({ history }: {
  readonly history: ScenarioRow["history"];
}): JSX.Element {
  if (history.length === 0) return <span class="muted">not run yet</span>;
  const most = Math.max(1, ...history.map(({ durationMs }) => durationMs));
  const last = history.at(-1)!;
  const failed = history.filter(({ state }) => state === "failed").length;
  return (
    <span class="spark">
      <svg
        width={history.length * STEP}
        height={HEIGHT}
        role="img"
        aria-label={`${plural(history.length, "run")}, ${failed} failed, the last took ${
          formatMs(last.durationMs)
        }`}
      >
        {history.map(({ run, state, durationMs }, i) => {
          const height = Math.max(2, durationMs / most * (HEIGHT - 4));
          const x = i * STEP;
          return (
            <g key={run} fill={`var(--${COLORS[state]})`}>
              <rect x={x} y={HEIGHT - 3 - height} width={STEP - 2} height={height} />
              {state === "failed" && <rect x={x} y={HEIGHT - 2} width={STEP - 2} height={2} />}
            </g>
          );
        })}
      </svg>
      <span class="mono muted">{formatMs(last.durationMs)}</span>
    </span>
  );
}
