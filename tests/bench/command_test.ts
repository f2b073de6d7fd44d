import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import type { Benchmark, BenchmarkGroup } from "./benchmark.ts";
import { HelpShown, parseBenchCommand } from "./command.ts";
import { UsageError } from "../../harness/cli/usage_error.ts";

function benchmark(group: string, name: string, slow?: true): Benchmark {
  const run = () => Promise.resolve({ measurements: [], comparisons: [] });
  return { group, name, unit: "ns", about: name, ...(slow ? { slow } : {}), run };
}

const groups: readonly BenchmarkGroup[] = [
  {
    name: "core",
    benchmarks: [benchmark("core", "read-4k"), benchmark("core", "read-1m", true)],
    peers: [],
  },
  { name: "sockets", benchmarks: [benchmark("sockets", "round-trip")], peers: [] },
  { name: "vm", benchmarks: [{ ...benchmark("vm", "boot"), onDemand: true }], peers: [] },
];

function parse(...args: readonly string[]) {
  return parseBenchCommand(args, groups, () => {});
}

function names(...args: readonly string[]): string[] {
  return parse(...args).benchmarks.map(({ name }) => name);
}

Deno.test("parseBenchCommand() runs everything, fully, and checks nothing unless told", () => {
  const { benchmarks, ...rest } = parse();
  assertEquals(benchmarks.length, 3);
  assertEquals(rest, {
    kind: "run",
    pace: "full",
    seed: 1,
    bars: "report",
    json: null,
    compare: null,
  });
});

Deno.test("parseBenchCommand() takes every option", () => {
  const { benchmarks: _, ...rest } = parse(
    ...["--json", "a.json", "--compare", "b.json", "--quick", "--check", "--seed", "4294967295"],
  );
  assertEquals(rest, {
    kind: "run",
    pace: "quick",
    seed: 4294967295,
    bars: "check",
    json: "a.json",
    compare: "b.json",
  });
  assertEquals(parse("--list").kind, "list");
});

Deno.test("parseBenchCommand() selects by benchmark and by group, in their order, once each", () => {
  assertEquals(names("read-1m", "read-4k", "core"), ["read-4k", "read-1m"]);
  assertEquals(names("sockets"), ["round-trip"]);
});

Deno.test("parseBenchCommand() leaves slow ones out of --quick unless they are named", () => {
  assertEquals(names("--quick"), ["read-4k", "round-trip"]);
  assertEquals(names("--quick", "core"), ["read-4k"]);
  assertEquals(names("--quick", "read-1m"), ["read-1m"]);
});

Deno.test("parseBenchCommand() runs what needs a guest when it is named, and by --vm alone", () => {
  assertEquals(names("vm"), ["boot"]);
  assertEquals(names("--vm"), ["boot"]);
  assertEquals(names("--vm", "sockets"), ["round-trip", "boot"]);
});

const bad: readonly [readonly string[], string][] = [
  [["read-4"], "no benchmark or group read-4; did you mean read-4k or read-1m?"],
  [["core", ""], "no benchmark or group "],
  [["--seed", "-1"], "integer from 0 to 4294967295"],
  [["--seed", "4294967296"], "integer from 0 to 4294967295"],
  [["--seed", "1.5"], "integer from 0 to 4294967295"],
  [["--seed", "0x10"], "integer from 0 to 4294967295"],
  [["--json"], "--help shows the options"],
  [["--jsn", "f"], "--json"],
];

for (const [args, expected] of bad) {
  Deno.test(`parseBenchCommand() refuses ${JSON.stringify(args)}, and says what would be right`, () => {
    assertThrows(() => parse(...args), UsageError, expected);
  });
}

Deno.test("parseBenchCommand() prints help on request alone", () => {
  let printed = "";
  const print = (text: string): void => {
    printed += text;
  };
  assertThrows(() => parseBenchCommand(["--nope"], groups, print), UsageError);
  assertEquals(printed, "");
  assertThrows(() => parseBenchCommand(["--help"], groups, print), HelpShown);
  assertStringIncludes(printed, "--compare <file>");
});
