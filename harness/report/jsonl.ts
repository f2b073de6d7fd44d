/**
 * One JSON object a line for each run, as it ends: the runs of the JSON contract.
 * @module
 */

import type { Reporter, ReporterOptions } from "./reporter.ts";

/** Lines of JSON. */
export function jsonl({ write }: ReporterOptions): Reporter {
  return {
    begin() {},
    finished(run) {
      write(JSON.stringify(run) + "\n");
    },
    end() {},
  };
}
