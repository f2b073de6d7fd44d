/**
 * The command line of `deno task scenario`: flags to values, or a message that
 * says what would be right.
 * @module
 */

import { Command, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { BUILT_MODES, BUILT_VIAS, USUAL_VIAS } from "../via/availability.ts";
import { randomSeed, SEED_LIMIT } from "../random.ts";
import { type Mode, MODES, type Via, VIAS } from "../scenario.ts";
import { type Variant, VARIANTS } from "../via/variant.ts";
import { readCommandLine } from "./command_line.ts";
import { DASHBOARD_FLAG, dashboardPort, withPort } from "./dashboard_port.ts";
import { integer } from "./integer.ts";
import { didYouMean } from "./suggest.ts";
import { UsageError } from "./usage_error.ts";

/** Names of the reporters. */
export type ReporterName = "pretty" | "dot" | "tap" | "jsonl";
const REPORTERS: readonly ReporterName[] = ["pretty", "dot", "tap", "jsonl"];

/** A command line that makes sense. */
export interface ScenarioCommand {
  readonly names: readonly string[];
  /** Null when none was named: all that are built. */
  readonly modes: readonly Mode[] | null;
  readonly vias: readonly Via[] | null;
  /** Null for the usual ones. */
  readonly variants: readonly (Variant | "none")[] | null;
  readonly grep: RegExp | null;
  /** Any of these; empty for no filter. */
  readonly tags: readonly string[];
  readonly list: "list" | "run";
  readonly seed: number;
  readonly repeat: number;
  readonly jobs: number;
  readonly timeoutMs: number | null;
  readonly afterFailure: "continue" | "stop";
  readonly reporter: ReporterName;
  readonly json: string | null;
  readonly junit: string | null;
  readonly html: string | null;
  readonly trace: string | null;
  readonly messages: string | null;
  /** `index` from 0. */
  readonly shard: { readonly index: number; readonly count: number } | null;
  readonly colour: "auto" | "never";
  /** Whether what a via lacks may be fetched. */
  readonly network: "allowed" | "never";
  /** Port of the dashboard, 0 for any that is free; null without one. */
  readonly dashboard: number | null;
}

const VARIANT_NAMES: readonly (Variant | "none")[] = ["none", ...VARIANTS];
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
const MAX_REPEAT = 100_000;
const MAX_JOBS = 256;
const MAX_SHARDS = 10_000;

/** Splits at commas, and adds to what an earlier use of the flag gave. */
function list(text: string, before: string[] | undefined): string[] {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.includes("")) {
    throw new InvalidArgumentError("Names are parted by one comma, and none is empty.");
  }
  return [...before ?? [], ...parts];
}

function shard(text: string): { index: number; count: number } {
  const match = /^(\d+)\/(\d+)$/.exec(text);
  const index = Number(match?.[1]), count = Number(match?.[2]);
  if (!(count >= 1 && count <= MAX_SHARDS && index >= 1 && index <= count)) {
    throw new InvalidArgumentError(`A shard is I/N with 1 <= I <= N <= ${MAX_SHARDS}, like 1/4.`);
  }
  return { index: index - 1, count };
}

function expression(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InvalidArgumentError(`It must be a regular expression of JavaScript: ${reason}.`);
  }
}

function path(text: string): string {
  if (text === "") throw new InvalidArgumentError("It must be the path of a file.");
  return text;
}

/** Names of modes or vias that are both known and built. */
function choose<T extends string>(
  flag: "--mode" | "--via" | "--variant",
  named: readonly string[] | undefined,
  known: readonly T[],
  built: readonly T[],
): T[] | null {
  if (named === undefined) return null;
  const right = `${flag} takes ${built.join(", ")}, or several with commas`;
  const chosen: T[] = [];
  for (const name of named) {
    const found = known.find((one) => one === name);
    if (found === undefined) {
      throw new UsageError(`There is no ${flag} ${name}${didYouMean(name, known)}; ${right}`);
    }
    if (!built.includes(found)) {
      throw new UsageError(`Cannot run with ${flag} ${name}: it is not built yet; ${right}`);
    }
    if (!chosen.includes(found)) chosen.push(found);
  }
  return chosen;
}

function command() {
  return new Command("deno task scenario")
    .description(
      "Runs scenarios in every mode and via they support, and shows what was translated.",
    )
    .argument(
      "[NAME...]",
      "scenarios, or files and folders (with a / or ending with .ts); all unless told",
    )
    .option("--mode <M,...>", `modes: ${MODES.join(", ")}; all that are built unless told`, list)
    .option(
      "--via <V,...>",
      `where devices live: ${VIAS.join(", ")}; ${USUAL_VIAS.join(" and ")} unless told`,
      list,
    )
    .option(
      "--variant <V,...>",
      `how a via's protocol is used: ${VARIANT_NAMES.join(", ")}; none, and a share of the ` +
        `scenarios in each other, unless told`,
      list,
    )
    .option("-g, --grep <RE>", "only scenarios whose name matches", expression)
    .option("-t, --tag <T,...>", "only scenarios with one of these tags", list)
    .option("-l, --list", "show the scenarios and run none")
    .option(
      "-s, --seed <N>",
      "repeat the runs of a report; random unless told",
      integer("A seed", 0, SEED_LIMIT - 1),
    )
    .option(
      "-r, --repeat <N>",
      "runs of each, with seeds of their own",
      integer("A number of repeats", 1, MAX_REPEAT),
    )
    .option(
      "-j, --jobs <N>",
      "runs at a time; one a processor unless told",
      integer("A number of jobs", 1, MAX_JOBS),
    )
    .option(
      "--timeout <MS>",
      "for each run, instead of the scenario's own",
      integer("A timeout", 1, MAX_TIMEOUT_MS),
    )
    .option("-b, --bail", "start no other run once one has failed")
    .addOption(
      new Option("--reporter <NAME>", "how results are printed").choices(REPORTERS).default(
        "pretty" as const,
      ),
    )
    .option("--json <F>", "write the report as JSON", path)
    .option("--junit <F>", "write the report as JUnit XML", path)
    .option("--html <F>", "write the report as a page for browsers: matrix, charts, failures", path)
    .option("--trace <F>", "write steps, DMA, faults and mappings as a Chrome trace", path)
    .option("--pcap <F>", "write the frames of NICs (not built yet)", path)
    .option(
      "--messages <F>",
      "write the messages of vfio-user, one line each, or for Wireshark to a name with .pcapng",
      path,
    )
    .option("--shard <I/N>", "only the I-th of N parts of the runs", shard)
    .option(
      DASHBOARD_FLAG,
      "watch the runs in a browser, as --dashboard=PORT; any free port unless told",
      dashboardPort,
    )
    .option("--offline", "use the QEMU and the guest that were fetched before, and no network")
    .option("--no-color", "no colours; they are off anyway beside a terminal")
    .addHelpText(
      "after",
      "\nExit codes: 0 passed, 1 a check failed, 2 usage, 3 internal, 130 interrupted",
    )
    .allowExcessArguments(false);
}

/** What the runner cannot do yet, each with what it waits for. */
function refuseUnbuilt(flags: { pcap?: string }) {
  if (flags.pcap !== undefined) {
    throw new UsageError(
      "Cannot write --pcap: it records the frames of a NIC, and no NIC is built yet; leave it out",
    );
  }
}

/**
 * Reads `args`. Null when help was asked for and has been given to `print`.
 * @throws {UsageError} that says what would be right
 */
export function parseScenarioCommand(
  args: readonly string[],
  print: (text: string) => void,
): ScenarioCommand | null {
  const parser = command();
  if (readCommandLine(parser, args.map(withPort), print) === "help") return null;
  const flags = parser.opts();
  refuseUnbuilt(flags);
  if (flags.list) {
    for (const flag of ["json", "junit", "html", "trace", "messages"] as const) {
      if (flags[flag] !== undefined) {
        throw new UsageError(`Cannot write --${flag} with --list: it runs nothing; leave one out`);
      }
    }
    if (flags.dashboard !== undefined) {
      throw new UsageError("Cannot serve --dashboard with --list: it runs nothing; leave one out");
    }
  }
  return {
    names: parser.args,
    modes: choose("--mode", flags.mode, MODES, BUILT_MODES),
    vias: choose("--via", flags.via, VIAS, BUILT_VIAS),
    variants: choose("--variant", flags.variant, VARIANT_NAMES, VARIANT_NAMES),
    grep: flags.grep ?? null,
    tags: flags.tag ?? [],
    list: flags.list === true ? "list" : "run",
    seed: flags.seed ?? randomSeed(),
    repeat: flags.repeat ?? 1,
    jobs: flags.jobs ?? Math.min(navigator.hardwareConcurrency, MAX_JOBS),
    timeoutMs: flags.timeout ?? null,
    afterFailure: flags.bail === true ? "stop" : "continue",
    reporter: flags.reporter,
    json: flags.json ?? null,
    junit: flags.junit ?? null,
    html: flags.html ?? null,
    trace: flags.trace ?? null,
    messages: flags.messages ?? null,
    shard: flags.shard ?? null,
    network: flags.offline === true ? "never" : "allowed",
    colour: flags.color ? "auto" : "never",
    dashboard: typeof flags.dashboard === "number" ? flags.dashboard : null,
  };
}
