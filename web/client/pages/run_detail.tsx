/**
 * One run: its steps as they go, its checks, what it said, and how to repeat it.
 * @module
 */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Metrics, RunDetail, RunInfo, ThresholdReport } from "../../api.ts";
import { Command, Empty, Failure, RunPill, Skeleton } from "../components/parts.tsx";
import { useResource } from "../components/resource.ts";
import { formatInteger, formatMs, formatNs, formatPercentileNs, plural } from "../format.ts";
import { postJson, type RequestError, token } from "../state/request.ts";
import type { Route } from "../state/route.ts";
import { linkTo } from "../state/store.ts";

const METRICS: readonly (readonly [keyof Metrics, string])[] = [
  ["translations", "translations"],
  ["iotlbHits", "IOTLB hits"],
  ["iotlbMisses", "IOTLB misses"],
  ["faults", "faults"],
  ["pageRequests", "page requests"],
  ["invalidations", "invalidations"],
  ["dmaReadBytes", "bytes read"],
  ["dmaWriteBytes", "bytes written"],
];

/** The run `id`; empty when there is none. */
export function RunDetailPanel({ id, version, info, onChanged }: {
  readonly id: string;
  readonly version: unknown;
  readonly info: RunInfo | null;
  readonly onChanged: () => void;
}): JSX.Element {
  const path = id === "" ? null : `/api/runs/${encodeURIComponent(id)}`;
  const { data, error, slow } = useResource<RunDetail>(path, version);
  const run = data?.run ?? info;
  return (
    <section class="panel half" aria-labelledby="run-title">
      <div class="panel-head">
        <h2 id="run-title" class="run-title">
          {run === null ? "Run" : `Run ${run.id}: ${run.scenario}`}
        </h2>
        {run !== null && <RunPill state={run.state} />}
        {run !== null && run.machine === undefined &&
          (run.state === "running" || run.state === "queued") && (
          <Stop run={run} onChanged={onChanged} />
        )}
      </div>
      {path === null
        ? <Empty title="No run to show">The run that is started shows here while it goes on.</Empty>
        : data === null
        ? error !== null ? <Failure error={error} /> : slow ? <Skeleton rows={8} /> : null
        : <Body detail={data} />}
    </section>
  );
}

function Stop({ run, onChanged }: {
  readonly run: RunInfo;
  readonly onChanged: () => void;
}): JSX.Element {
  const problem = useSignal<string | null>(null);
  return (
    <div class="push">
      {problem.value !== null && <span class="error-text" role="alert">{problem.value}</span>}
      <button
        type="button"
        disabled={token() === null}
        onClick={async () => {
          try {
            await postJson<RunInfo>(`/api/runs/${run.id}/stop`);
            onChanged();
          } catch (error) {
            problem.value = (error as RequestError).message;
          }
        }}
      >
        Stop
      </button>
    </div>
  );
}

function Body({ detail }: { readonly detail: RunDetail }): JSX.Element {
  const { run, steps, thresholds, checks, log, errors, output, metrics, artifacts } = detail;
  const failed = checks.filter(({ ok }) => !ok);
  const share = run.progress === null || run.progress.total === 0
    ? null
    : Math.min(1, run.progress.done / run.progress.total);
  // To its own stretch of time, as far as this page was there.
  const place: Partial<Route> = {
    extra: { run: String(run.id) },
    ...(run.startedMs === null || run.state === "running" ? {} : {
      range: {
        kind: "between",
        fromMs: Math.floor(run.startedMs) - 1000,
        toMs: Math.ceil(run.startedMs + run.durationMs) + 1000,
      },
    }),
  };
  return (
    <div class="stack">
      <p class="muted">
        {run.title}
        <br />
        {run.mode} via {run.via}
        {run.machine === undefined && `, seed ${run.seed}`}, {formatMs(run.durationMs)}
      </p>
      {share !== null && run.state === "running" && (
        <div>
          <div
            class="bar"
            role="progressbar"
            aria-label="Progress"
            aria-valuenow={Math.round(share * 100)}
            aria-valuemin={0}
            aria-valuemax={100}
          >
            <i style={{ transform: `scaleX(${share})` }} />
          </div>
          <p class="summary">
            {formatInteger(run.progress!.done)} of {formatInteger(run.progress!.total)}
          </p>
        </div>
      )}
      {run.reason !== null && <p class="bad-text">{run.reason}</p>}
      {thresholds.length > 0 && <Thresholds thresholds={thresholds} />}
      {run.kept && (
        <p class="links">
          Look at its <a href={linkTo("overview", "", place)}>endpoints</a>,{" "}
          <a href={linkTo("domains", "", place)}>domains</a>,{" "}
          <a href={linkTo("faults", "", place)}>faults</a>,{" "}
          <a href={linkTo("messages", "", place)}>messages</a>
        </p>
      )}
      {steps.length > 0 && (
        <div>
          <h3>Steps</h3>
          <ul class="steps">
            {steps.map((step, i) => (
              <li key={i} style={{ paddingLeft: `${Math.min(step.depth, 12) * 16}px` }}>
                <Mark ok={step.ok} running={step.running} />
                <span>{step.name}</span>
                <span class="mono muted push">{formatMs(step.durationMs)}</span>
              </li>
            ))}
          </ul>
        </div>
      )}
      {checks.length > 0 && (
        <details open={failed.length > 0 || checks.length <= 12}>
          <summary>
            {plural(checks.length, "check")}
            {failed.length > 0 && <span class="bad-text">{`, ${failed.length} failed`}</span>}
          </summary>
          <ul class="steps">
            {[...failed, ...checks.filter(({ ok }) => ok)].slice(0, 500).map((check, i) => (
              <li key={i}>
                <Mark ok={check.ok} running={false} />
                <span>
                  {check.name}
                  {check.detail !== undefined && <pre class="text muted">{check.detail}</pre>}
                </span>
              </li>
            ))}
          </ul>
          {checks.length > 500 && <p class="note">{checks.length - 500} more passed</p>}
        </details>
      )}
      {errors.length > 0 && (
        <div>
          <h3>Errors</h3>
          {errors.map((error, i) => <pre key={i} class="text bad-text">{error}</pre>)}
        </div>
      )}
      {log.length > 0 && (
        <details open>
          <summary>Log, {plural(log.length, "line")}</summary>
          <pre
            class="text scroll"
            tabIndex={0}
            role="region"
            aria-label="Log"
          >{log.join("\n")}</pre>
        </details>
      )}
      {output !== "" && (
        <details>
          <summary>Output</summary>
          <pre class="text scroll" tabIndex={0} role="region" aria-label="Output">{output}</pre>
        </details>
      )}
      {metrics !== null && (
        <dl class="fields metrics">
          {METRICS.map(([key, name]) => (
            <div key={key}>
              <dt>{name}</dt>
              <dd class="mono" data-metric={key} data-value={metrics[key]}>
                {formatInteger(metrics[key])}
              </dd>
            </div>
          ))}
        </dl>
      )}
      <div>
        <h3>{run.machine === undefined ? "Repeat it" : "Start it again"}</h3>
        <Command>{detail.rerun}</Command>
      </div>
      {artifacts.length > 0 && (
        <div>
          <h3>Take it along</h3>
          <ul class="artifacts">
            {artifacts.map(({ name, href, description }) => (
              <li key={href}>
                <a href={href} download={name}>{name}</a> <span class="muted">{description}</span>
              </li>
            ))}
          </ul>
        </div>
      )}
    </div>
  );
}

function Thresholds({ thresholds }: {
  readonly thresholds: readonly ThresholdReport[];
}): JSX.Element {
  const missed = thresholds.filter(({ met }) => !met).length;
  return (
    <div>
      <h3 id="thresholds-title">
        {`${plural(thresholds.length, "threshold")}: ${thresholds.length - missed} met, `}
        <span class={missed > 0 ? "bad-text" : ""}>{missed} missed</span>
      </h3>
      <ul class="steps" aria-labelledby="thresholds-title">
        {thresholds.map((threshold, i) => (
          <li key={i}>
            <Mark ok={threshold.met} running={false} />
            <span>
              {threshold.metric}{" "}
              <span class={threshold.met ? "ok-text" : "bad-text"}>
                {threshold.met ? "met" : "missed"}
              </span>
              <br />
              <span class="muted">
                wanted <code>{threshold.wanted}</code>
                {threshold.problem === null && (
                  <>
                    , actual <code>{actualOf(threshold)}</code>
                  </>
                )}
              </span>
              {threshold.problem !== null && <p class="error-text">{threshold.problem}</p>}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function actualOf({ wanted, actual }: ThresholdReport): string {
  if (actual === null) return "not told";
  // What it was held against is an estimate within a bucket.
  if (/^p\b/.test(wanted)) {
    return `≈ ${formatNs(actual * 1e9)}, ${formatPercentileNs(actual * 1e9)}`;
  }
  return Number.isInteger(actual) ? formatInteger(actual) : String(actual);
}

function Mark({ ok, running }: { readonly ok: boolean; readonly running: boolean }): JSX.Element {
  return running
    ? <span class="mark" role="img" aria-label="running">…</span>
    : ok
    ? <span class="mark ok-text" role="img" aria-label="ok">✓</span>
    : <span class="mark bad-text" role="img" aria-label="failed">✗</span>;
}
