/**
 * The command line of `deno task bench`.
 * @module
 */

import { Command, CommanderError, InvalidArgumentError } from "@commander-js/extra-typings";
import { SEED_LIMIT } from "../../harness/random.ts";
import { didYouMean } from "../../harness/cli/suggest.ts";
import { UsageError } from "../../harness/cli/usage_error.ts";
import type { Benchmark, BenchmarkGroup } from "./benchmark.ts";

/** What is asked for. */
export interface BenchCommand {
  readonly kind: "run" | "list";
  readonly benchmarks: readonly Benchmark[];
  readonly pace: "full" | "quick";
  /** Of everything random. */
  readonly seed: number;
  /** Whether a missed bar fails the process. */
  readonly bars: "report" | "check";
  /** Where to write the results; null for nowhere. */
  readonly json: string | null;
  /** Results to compare with; null for none. */
  readonly compare: string | null;
}

/** The user asked for help, and has got it: exit code 0. */
export class HelpShown extends Error {
  override readonly name = "HelpShown";
}

/** Repeats a run exactly unless another seed is asked for. */
const DEFAULT_SEED = 1;

function parseSeed(text: string): number {
  const seed = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(seed < SEED_LIMIT)) {
    throw new InvalidArgumentError(`A seed is an integer from 0 to ${SEED_LIMIT - 1}.`);
  }
  return seed;
}

/**
 * Reads the arguments. Prints nothing but the help that was asked for.
 * @throws {UsageError} for what cannot be
 * @throws {HelpShown}
 */
export function parseBenchCommand(
  args: readonly string[],
  groups: readonly BenchmarkGroup[],
  print: (text: string) => void,
): BenchCommand {
  const command = new Command("bench")
    .usage("[options] [NAME...]")
    .description(
      "Measures the house. NAME is a benchmark or a group; all that need no guest unless told.",
    )
    .argument("[NAME...]", "benchmarks or groups to run")
    .option("--json <file>", "write results, samples and ratios to FILE")
    .option("--compare <file>", "print the change since the run that FILE holds")
    .option("--list", "print the benchmarks there are, and run nothing")
    .option("--quick", "few short rounds: shows that it works, measures roughly")
    .option("--vm", "run the group vm, under QEMU and Linux, which are fetched the first time")
    .option("--check", "exit 1 when a bar is missed")
    .option("--seed <n>", "of access orders and contents", parseSeed, DEFAULT_SEED)
    .exitOverride()
    .configureOutput({ writeOut: print, writeErr: () => {} });
  try {
    command.parse([...args], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) throw new HelpShown();
    const message = error.message.replace(/^error: /, "").replace(/\.$/, "");
    throw new UsageError(
      `${message.slice(0, 1).toUpperCase()}${message.slice(1)} (--help shows the options)`,
    );
  }
  const options = command.opts();
  const names = [...command.processedArgs[0], ...options.vm === true ? ["vm"] : []];
  const pace = options.quick === true ? "quick" : "full";
  return {
    kind: options.list === true ? "list" : "run",
    benchmarks: select(names, groups, pace),
    pace,
    seed: options.seed,
    bars: options.check === true ? "check" : "report",
    json: options.json ?? null,
    compare: options.compare ?? null,
  };
}

/** The benchmarks of these names, in the order of the groups. */
function select(
  names: readonly string[],
  groups: readonly BenchmarkGroup[],
  pace: BenchCommand["pace"],
): Benchmark[] {
  const all = groups.flatMap((group) => group.benchmarks);
  if (names.length === 0) {
    return all.filter(({ slow, onDemand }) => (pace === "full" || !slow) && !onDemand);
  }
  const known = [...groups.map((group) => group.name), ...all.map((benchmark) => benchmark.name)];
  for (const name of names) {
    if (!known.includes(name)) {
      throw new UsageError(
        `There is no benchmark or group ${name}${didYouMean(name, known)} (--list shows them all)`,
      );
    }
  }
  return all.filter(({ name, group, slow }) =>
    names.includes(name) || (names.includes(group) && (pace === "full" || !slow))
  );
}
