/**
 * TAP version 14: a test point a run, with a YAML block that says more. JSON is
 * YAML, so the values of the block are JSON.
 * @module
 */

import type { RunReport } from "../run/run_report.ts";
import { viaLabel } from "../via/variant.ts";
import type { Reporter, ReporterOptions } from "./reporter.ts";

/** A description may hold no bare `#`, which starts a directive, and no line break. */
function described(text: string): string {
  // deno-lint-ignore no-control-regex -- these are the ones to replace
  return text.replace(/[\u0000-\u001f\u007f]/g, " ").replace(/[\\#]/g, "\\$&");
}

function block(run: RunReport): string {
  const fields: [string, unknown][] = [["duration_ms", run.durationMs], ["seed", run.seed]];
  if (run.status === "failed") {
    fields.push(["message", run.reason ?? ""], ["rerun", run.rerun ?? ""]);
    const failed = run.checks.filter(({ ok }) => !ok);
    if (failed.length > 0) fields.push(["failed_checks", failed]);
    if (run.errors !== undefined) fields.push(["errors", run.errors]);
    if (run.log !== undefined) fields.push(["log", run.log]);
    if (run.output !== undefined) fields.push(["output", run.output]);
  }
  const lines = fields.map(([name, value]) => `  ${name}: ${JSON.stringify(value)}\n`);
  return `  ---\n${lines.join("")}  ...\n`;
}

/** Test points in the order in which runs end. */
export function tap({ write }: ReporterOptions): Reporter {
  let number = 0;
  return {
    begin(runs) {
      write(`TAP version 14\n1..${runs}\n`);
    },
    finished(run) {
      number++;
      const ok = run.status === "failed" ? "not ok" : "ok";
      const skip = run.status === "skipped" ? ` # SKIP ${described(run.reason ?? "")}` : "";
      const name = described(`${run.scenario} ${run.mode} via ${viaLabel(run.via, run.variant)}`);
      write(`${ok} ${number} - ${name}${skip}\n`);
      if (run.status !== "skipped") write(block(run));
    },
    end({ ended }) {
      if (ended === "interrupted") write("Bail out! Interrupted\n");
    },
  };
}
