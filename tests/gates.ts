/**
 * The gates a submission goes through: each is a command, with what it counted.
 * @module
 */

import { stripAnsiCode } from "@std/fmt/colors";

/** What one gate came to. */
export interface GateResult {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly durationMs: number;
  /** Everything the command printed, shown when it failed. */
  readonly output: string;
}

/** One gate. */
export interface Gate {
  readonly name: string;
  /** Arguments of `deno`. */
  readonly args: readonly string[];
  /** Reads the true counts from what the command left behind; one check that passed or failed unless told. */
  readonly count?: (
    code: number,
    report: string,
  ) => { passed: number; failed: number; skipped: number };
  /** Named in `args` as `{report}`: a file the command writes its counts to. */
  readonly report?: "junit" | "json";
}

/** Counts of a JUnit file as `deno test` writes it. A run that broke off counts as one failure at least. */
export function countJunit(
  code: number,
  xml: string,
): { passed: number; failed: number; skipped: number } {
  const tests = xml.match(/<testcase\b/g)?.length ?? 0;
  const failed = xml.match(/<(?:failure|error)\b/g)?.length ?? 0;
  const skipped = xml.match(/<skipped\b/g)?.length ?? 0;
  return {
    passed: tests - failed - skipped,
    failed: code === 0 ? failed : Math.max(1, failed),
    skipped,
  };
}

/** Counts of the scenario runner's `--json` file. */
export function countScenarios(
  code: number,
  json: string,
): { passed: number; failed: number; skipped: number } {
  let totals: { passed: number; failed: number; skipped: number };
  try {
    totals = (JSON.parse(json) as { totals: typeof totals }).totals;
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  return { ...totals, failed: code === 0 ? totals.failed : Math.max(1, totals.failed) };
}

/** Runs one gate to its end. Never throws: a command that cannot be run has failed. */
export async function runGate(gate: Gate): Promise<GateResult> {
  const start = performance.now();
  const reportFile = await Deno.makeTempFile({ prefix: "viaduct-report-" });
  try {
    const command = new Deno.Command(Deno.execPath(), {
      args: gate.args.map((arg) => arg.replace("{report}", reportFile)),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      // An empty NO_COLOR counts as none: a test looks at colours, and what is shown is stripped.
      env: { NO_COLOR: "" },
    });
    const { code, stdout, stderr } = await command.output();
    const text = new TextDecoder();
    const report = gate.report === undefined ? "" : await Deno.readTextFile(reportFile);
    const counts = gate.count?.(code, report) ??
      { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
    return {
      name: gate.name,
      ...counts,
      durationMs: performance.now() - start,
      output: stripAnsiCode(text.decode(stdout) + text.decode(stderr)),
    };
  } catch (error) {
    return {
      name: gate.name,
      passed: 0,
      failed: 1,
      skipped: 0,
      durationMs: performance.now() - start,
      output: `Cannot run the gate: ${error}`,
    };
  } finally {
    await Deno.remove(reportFile).catch(() => {});
  }
}

/** Formatting, lint, types, documentation, package: what needs no test to run; side by side. */
export const STATIC_GATES: readonly (Gate | readonly Gate[])[] = [[
  { name: "fmt", args: ["fmt", "--check"] },
  { name: "lint", args: ["lint"] },
  { name: "check", args: ["check", "."] },
  { name: "doc", args: ["doc", "--lint", "mod.ts"] },
  { name: "publish", args: ["publish", "--dry-run", "--allow-dirty"] },
]];

/**
 * A gate that runs `deno test` over `paths`. Types are left to the gate `check`, which sees all of
 * them but those of examples in documentation.
 */
export function testGate(name: string, paths: readonly string[], ...options: string[]): Gate {
  return {
    name,
    args: [
      ...["test", "-A", "--quiet", "--junit-path={report}"],
      ...options.includes("--doc") ? [] : ["--no-check"],
      ...options,
      ...paths,
    ],
    report: "junit",
    count: countJunit,
  };
}

/** The folders of source, bottom to top; the last comes into being with the dashboard. */
const LAYERS: readonly string[] = ["core", "devices", "protocols", "harness", "web"];

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** Tests beside their source, in two processes side by side, and the running examples of the documentation. */
export const UNIT_GATES: readonly (Gate | readonly Gate[])[] = [
  [
    testGate("unit below", LAYERS.slice(0, 3).filter(isFolder)),
    testGate("unit above", LAYERS.slice(3).filter(isFolder)),
  ],
  testGate("examples", ["mod.ts", "README.md"], "--doc"),
];

/** What a gate could not do on this machine, as it says itself: lines that begin with `SKIPPED`, once each. */
export function skippedLoudly(output: string): string[] {
  return [...new Set(output.split("\n").filter((line) => line.startsWith("SKIPPED")))];
}

/** The headline under which `deno test` explains what failed, below all that it ran. */
const ERRORS = "\n ERRORS \n";
/** The headline of the names of what failed, below that. */
const FAILURES = "\n FAILURES \n";

/** `output` with what failed before all that was run: where a log is cut, it is cut at its end. */
export function failuresFirst(output: string): string {
  const at = output.lastIndexOf(ERRORS);
  if (at < 0) return output.trimEnd();
  return `${output.slice(at).trim()}\n\nBefore that it printed:\n${output.slice(0, at).trim()}`;
}

/** The names of what failed, as `deno test` lists them at its end; none where it is no such output. */
export function failedNames(output: string): string[] {
  const at = output.lastIndexOf(FAILURES);
  if (at < 0) return [];
  const [names] = output.slice(at + FAILURES.length).trim().split("\n\n", 1);
  return names!.split("\n");
}

/**
 * Runs gates one after another, those of an inner list side by side, and prints a line each; what
 * failed is told where it did, and named again at the end, since either end of a log may be cut.
 * The last line is `N passed, N failed`, and nothing else.
 * @returns the process's exit code
 */
export async function runGates(gates: readonly (Gate | readonly Gate[])[]): Promise<number> {
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  const names: string[] = [];
  for await (const result of resultsOf(gates)) {
    passed += result.passed;
    failed += result.failed;
    skipped += result.skipped;
    const seconds = (result.durationMs / 1000).toFixed(1).padStart(6);
    const counts = `${result.passed} passed` +
      (result.failed > 0 ? `, ${result.failed} FAILED` : "") +
      (result.skipped > 0 ? `, ${result.skipped} skipped` : "");
    print(
      `${result.failed > 0 ? "FAIL" : "ok  "}  ${result.name.padEnd(12)} ${seconds} s  ${counts}`,
    );
    if (result.failed > 0) {
      print(failuresFirst(result.output));
      const those = failedNames(result.output);
      names.push(...(those.length > 0 ? those : ["see above"]).map((n) => `${result.name}: ${n}`));
    } else for (const line of skippedLoudly(result.output)) print(line);
  }
  if (names.length > 0) print(`What failed:\n  ${names.join("\n  ")}`);
  if (skipped > 0) print(`${skipped} skipped`);
  print(`${passed} passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
}

async function* resultsOf(gates: readonly (Gate | readonly Gate[])[]): AsyncGenerator<GateResult> {
  for (const gate of gates) yield* await Promise.all([gate].flat().map(runGate));
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}
