/**
 * `deno task bench`: results on stdout, progress on stderr when that is a
 * terminal. Exit codes: 0, 1 for a missed bar under `--check`, 2 usage, 3 internal.
 * @module
 */

import { setColorEnabled } from "@std/fmt/colors";
import { endWhenUncaught, tellFailure, tellUnwritten } from "../../harness/cli/command_failure.ts";
import { openOutputs } from "../../harness/cli/output_file.ts";
import { Terminal } from "../../harness/cli/terminal.ts";
import { UsageError } from "../../harness/cli/usage_error.ts";
import { HelpShown, parseBenchCommand } from "./command.ts";
import { compareReports } from "./compare.ts";
import { groups } from "./groups.ts";
import { formatChanges, formatList, formatRun } from "./pretty.ts";
import { type BenchReport, formatReport, parseReport } from "./report.ts";
import { exitCode, runBenchmarks } from "./run.ts";

const stdout = new Terminal(Deno.stdout);
const stderr = new Terminal(Deno.stderr);
const COMMAND = { task: "bench", culprit: "the benchmarks", stderr };
const CLEAR_LINE = "\r\x1b[K";

/** Writes `text` over the line before, on a terminal; an empty one takes the line away. */
function progress(text: string): void {
  if (stderr.isTerminal) stderr.write(CLEAR_LINE + text.slice(0, 79));
}

function readEarlier(file: string): BenchReport {
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (error) {
    throw new UsageError(
      `Cannot compare with ${file}: ${error instanceof Error ? error.message : error}`,
    );
  }
  return parseReport(text, file);
}

async function main(args: readonly string[]): Promise<number> {
  const command = parseBenchCommand(args, groups, (text) => stdout.write(text));
  if (command.kind === "list") {
    stdout.write(formatList(groups));
    return 0;
  }
  const earlier = command.compare === null ? null : readEarlier(command.compare);
  using outputs = openOutputs({ json: command.json });
  const results = outputs.takesStdout ? stderr : stdout;
  const report = await runBenchmarks(command, new Date(), progress);
  progress("");
  results.write(formatRun(report, groups));
  if (earlier !== null && command.compare !== null) {
    const changes = compareReports(earlier, report);
    results.write("\n" + formatChanges(changes, command.compare));
  }
  outputs.files.json?.replace(formatReport(report));
  const failures = await outputs.finish(new Promise(() => {}));
  for (const failure of failures) stderr.write(`${failure}\n`);
  return failures.length > 0 ? 3 : exitCode(report, command.bars);
}

if (import.meta.main) {
  endWhenUncaught(COMMAND);
  setColorEnabled(Deno.stdout.isTerminal() && !Deno.noColor);
  let code: number;
  try {
    code = await main(Deno.args);
  } catch (error) {
    code = error instanceof HelpShown ? 0 : tellFailure(COMMAND, error);
  }
  Deno.exit(tellUnwritten(stdout, stderr, code));
}
