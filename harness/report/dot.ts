/**
 * One character a run: `.` passed, `F` failed, `s` skipped; then what failed.
 * @module
 */

import { totalsOf } from "../run/run_report.ts";
import { viaLabel } from "../via/variant.ts";
import type { Reporter, ReporterOptions } from "./reporter.ts";
import { duration, printable } from "./text.ts";

/** Dots as runs end, a line for each failure at the end. */
export function dot({ write, style, columns }: ReporterOptions): Reporter {
  let at = 0;
  return {
    begin() {},
    finished({ status }) {
      const mark = status === "passed"
        ? style.good(".")
        : status === "failed"
        ? style.bad("F")
        : style.faint("s");
      write(at > 0 && at % columns === 0 ? `\n${mark}` : mark);
      at++;
    },
    end({ runs, seed, durationMs }) {
      write("\n");
      for (const run of runs) {
        if (run.status !== "failed") continue;
        write(
          `${style.bad("FAIL")} ${run.scenario} ${run.mode} via ${
            viaLabel(run.via, run.variant)
          }: ` +
            `${printable(run.reason ?? "")}\n     ${printable(run.rerun ?? "")}\n`,
        );
      }
      const { passed, failed, skipped } = totalsOf(runs);
      write(
        `${passed} ok, ${failed} failed, ${skipped} skipped, ${
          duration(durationMs)
        }, seed ${seed}\n`,
      );
    },
  };
}
