/**
 * The command line of `deno task scenario` as a contract (DESIGN.md, 5): flags,
 * outputs and exit codes, of the real program in a process of its own.
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import * as v from "valibot";
import {
  type Report,
  ReportSchema,
  type RunReport,
  RunSchema,
} from "../../harness/run/run_report.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const FIXTURES = "tests/conformance/cli_scenarios/";

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[], env: Record<string, string> = {}): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--quiet", "harness/cli/scenario.ts", ...args],
    cwd: ROOT,
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Via `direct` alone unless the arguments name one: what is looked at here does not depend on it. */
async function run(...args: string[]): Promise<Result> {
  const via = args.includes("--via") ? [] : ["--via", "direct"];
  const { code, stdout, stderr } = await start([...via, ...args]).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

function fixture(...names: string[]): string[] {
  return names.map((name) => `${FIXTURES}${name}.ts`);
}

function runsOf(result: Result): RunReport[] {
  const lines = result.stdout.trimEnd().split("\n").filter((line) => line !== "");
  return lines.map((line) => v.parse(RunSchema, JSON.parse(line)));
}

function only(result: Result): RunReport {
  const runs = runsOf(result);
  assertEquals(runs.length, 1, result.stdout + result.stderr);
  return runs[0]!;
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-cli-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("deno task scenario runs the product of scenario, mode and via, and exits with 0", async () => {
  const vias = ["--via", "direct,vfio-user", "--variant", "none"];
  const result = await run(...fixture("passes"), "--reporter", "jsonl", "--seed", "5", ...vias);
  assertEquals(result.code, 0, result.stderr);
  const order = ({ mode, via }: RunReport) => `${via} ${mode}`;
  const runs = runsOf(result).sort((a, b) => order(a) < order(b) ? -1 : 1);
  assertEquals(
    runs.map(({ scenario, mode, via, status, seed }) => [scenario, mode, via, status, seed]),
    [
      ["passes", "identity", "direct", "passed", 5],
      ["passes", "remap", "direct", "passed", 5],
      ["passes", "identity", "vfio-user", "passed", 5],
      ["passes", "remap", "vfio-user", "passed", 5],
    ],
  );
  assertEquals(runs[0]!.checks, [{ name: "outer > inner > is so", ok: true }]);
  assertEquals(runs[0]!.steps!.map(({ name, depth, ok }) => [name, depth, ok]), [
    ["outer", 0, true],
    ["inner", 1, true],
  ]);
});

Deno.test("deno task scenario runs a scenario of the default folder by its name", async () => {
  const result = await run(
    "edu-identify",
    "--mode",
    "remap",
    "--via",
    "direct",
    "--reporter",
    "jsonl",
  );
  assertEquals(result.code, 0, result.stderr);
  assertEquals(only(result).scenario, "edu-identify");
});

Deno.test("--seed repeats a run; each mode and each repeat draws its own numbers", async () => {
  const args = [...fixture("passes"), "--reporter", "jsonl", "--jobs", "1", "--repeat", "3"];
  const first = runsOf(await run(...args, "--seed", "1234"));
  const second = runsOf(await run(...args, "--seed", "1234"));
  assertEquals(first.map(({ log }) => log), second.map(({ log }) => log));
  assertEquals(new Set(first.map(({ log }) => log![0])).size, 6);
  const chosen = first[4]!;
  const again = only(
    await run(
      ...fixture("passes"),
      "--mode",
      chosen.mode,
      "--reporter",
      "jsonl",
      "--seed",
      `${chosen.seed}`,
    ),
  );
  assertEquals(again.log, chosen.log);
});

Deno.test("without --seed one is drawn, and printed", async () => {
  const runs = [...runsOf(await run(...fixture("passes"), "--reporter", "jsonl"))];
  assertEquals(runs[0]!.seed, runs[1]!.seed);
  const result = await run(...fixture("passes"));
  assertMatch(result.stdout, /seed \d+/);
});

/** Scenario, and what its reason must say. */
const BAD: readonly (readonly [string, RegExp])[] = [
  ["fails", /^3 of 4 checks failed: compare > bytes$/],
  ["throws", /^Threw Error: boom/],
  ["hides", /^Threw a value that cannot be shown$/],
  ["loops", /^Timed out after 300 ms in step "looping"$/],
  ["waits", /^Timed out after 300 ms in step "waiting"$/],
  ["exits", /^Ended its process \(exit code 0\) in step "exiting"$/],
  ["node_exits", /^Ended its process \(exit code 7\)$/],
  ["kills", /^Ended its process \(signal SIGKILL\)$/],
  ["rubbish", /^Printed on stdout past the console/],
  ["rejects", /^Left an unhandled rejection: Error: nobody looks$/],
  ["forgets", /^Left an unhandled rejection: Error: Cannot call t.check\(\) after/],
  ["forgets_step", /^Returned while step "outer" went on: await every step$/],
  ["breaks", /^Device broken at 00:01.0 failed: .*no such luck/],
];

Deno.test("a run that fails, in whatever way, has a reason, its seed and a rerun command, and the others go on", async () => {
  const files = fixture(...BAD.map(([name]) => name), "passes", "prints");
  const result = await run(...files, "--mode", "remap", "--seed", "77", "--reporter", "jsonl");
  assertEquals(result.code, 1, result.stderr);
  const runs = new Map(runsOf(result).map((run) => [run.scenario, run]));
  assertEquals(runs.size, files.length);
  for (const [file, reason] of BAD) {
    const name = file.replaceAll("_", "-");
    const run = runs.get(name)!;
    assertEquals(run.status, "failed", name);
    assertMatch(run.reason!, reason);
    assertEquals(run.seed, 77);
    assertEquals(
      run.rerun,
      `npx -y deno@2.9.6 task scenario ${FIXTURES}${file}.ts --mode remap --via direct --seed 77`,
    );
  }
  assertEquals(runs.get("passes")!.status, "passed");
  assertEquals(runs.get("prints")!.status, "passed");
  assertStringIncludes(runs.get("prints")!.output!, 'printed { by: "remap" }');
  assertStringIncludes(runs.get("rubbish")!.output!, "rubbish without an end");
  assertEquals(runs.get("loops")!.log, ["here it goes"]);
  assert(runs.get("breaks")!.checks.every(({ ok }) => ok));
  const failed = runs.get("fails")!.checks.filter(({ ok }) => !ok);
  assertStringIncludes(failed[0]!.detail!, "first difference at offset 0x1");
  assertStringIncludes(failed[2]!.detail!, "it must be value, count, rate or p(N)");
});

Deno.test("one process makes all runs one after the other, also after one that took it down", async () => {
  const files = fixture("exits", "passes", "kills", "prints");
  const result = await run(...files, "--jobs", "1", "--mode", "remap", "--reporter", "jsonl");
  assertEquals(runsOf(result).map(({ scenario, status }) => `${scenario} ${status}`), [
    "exits failed",
    "passes passed",
    "kills failed",
    "prints passed",
  ]);
});

Deno.test("timers that a run leaves behind end with it, and do not go off in the next one", async () => {
  const files = fixture("lingers", "lasts");
  const result = await run(...files, "--jobs", "1", "--reporter", "jsonl");
  assertEquals(result.code, 0, result.stdout);
});

Deno.test("--timeout replaces the scenario's own, and is in the rerun command", async () => {
  const run1 = only(
    await run(...fixture("waits"), "--timeout", "50", "--reporter", "jsonl", "--seed", "1"),
  );
  assertMatch(run1.reason!, /^Timed out after 50 ms/);
  assertStringIncludes(run1.rerun!, "--seed 1 --timeout 50");
});

Deno.test("--bail starts no other run once one has failed", async () => {
  const files = fixture("throws", "passes");
  const result = await run(...files, "--bail", "--jobs", "1", "--reporter", "jsonl");
  assertEquals(result.code, 1);
  const runs = runsOf(result);
  assertEquals(runs.map(({ status }) => status), ["failed", "skipped", "skipped"]);
  assertStringIncludes(runs[1]!.reason!, "--bail");
});

Deno.test("--shard parts the runs: each is in one shard", async () => {
  const shards = await Promise.all(["1/2", "2/2"].map(async (shard) => {
    const result = await run(
      ...fixture("passes", "prints"),
      "--shard",
      shard,
      "--reporter",
      "jsonl",
    );
    assertEquals(result.code, 0);
    return runsOf(result).map(({ scenario, mode }) => `${scenario} ${mode}`);
  }));
  assertEquals(shards.flat().sort(), ["passes identity", "passes remap", "prints remap"]);
  assert(shards.every((names) => names.length > 0));
});

Deno.test("a shard that holds no run passes", async () => {
  const result = await run(...fixture("prints"), "--shard", "9/9", "--reporter", "jsonl");
  assertEquals(result, { ...result, code: 0, stdout: "" });
});

Deno.test("--grep and --tag choose scenarios", async () => {
  const good = runsOf(
    await run(FIXTURES, "--tag", "good", "--mode", "remap", "--reporter", "jsonl"),
  );
  assertEquals(good.map(({ scenario }) => scenario).sort(), [
    "lasts",
    "lingers",
    "passes",
    "prints",
  ]);
  const found = runsOf(await run(FIXTURES, "-g", "^pri", "-t", "good,bad", "--reporter", "jsonl"));
  assertEquals(found.map(({ scenario }) => scenario), ["prints"]);
});

Deno.test("--list runs nothing and shows what there is", async () => {
  const table = await run(FIXTURES, "--list");
  assertEquals(table.code, 0);
  assertMatch(
    table.stdout,
    /^passes +identity remap +direct vfio-user +good quick\n {2}passes, and draws numbers$/m,
  );
  const lines = await run(...fixture("passes"), "--list", "--reporter", "jsonl");
  assertEquals(JSON.parse(lines.stdout), {
    scenario: "passes",
    title: "passes, and draws numbers",
    modes: ["identity", "remap"],
    vias: ["direct", "vfio-user"],
    tags: ["good", "quick"],
  });
});

Deno.test("--list shows what --mode and --via leave", async () => {
  const listed = async (...args: string[]) => {
    const { code, stdout } = await run(...args, "--list", "--reporter", "jsonl");
    assertEquals(code, 0);
    return stdout.trimEnd().split("\n").map((line) => JSON.parse(line).scenario);
  };
  const both = fixture("passes", "fails");
  assertEquals(await listed(...both), ["passes", "fails"]);
  assertEquals(await listed(...both, "--mode", "identity"), ["passes"]);
  assertEquals(await listed(...both, "--mode", "remap,identity"), ["passes", "fails"]);
  const none = await run(...both, "--list", "--via", "qemu");
  assertEquals([none.code, none.stdout], [2, ""]);
  assertStringIncludes(none.stderr, "Nothing to run in identity, remap via qemu");
});

Deno.test("--help goes to stdout and exits with 0", async () => {
  const result = await run("--help");
  assertEquals(result.code, 0);
  for (
    const flag of [
      "--mode",
      "--via",
      "--variant",
      "--grep",
      "--tag",
      "--list",
      "--seed",
      "--repeat",
      "--jobs",
      "--timeout",
      "--bail",
      "--reporter",
      "--json",
      "--junit",
      "--html",
      "--trace",
      "--pcap",
      "--messages",
      "--shard",
      "--dashboard",
    ]
  ) {
    assertStringIncludes(result.stdout, flag);
  }
  assertStringIncludes(result.stdout, "130 interrupted");
});

/** Arguments that are wrong, and what the message must say. */
const WRONG: readonly (readonly [readonly string[], RegExp])[] = [
  [["edu-identfy"], /There is no scenario edu-identfy; did you mean edu-identify\?/],
  [["zzzzzzz"], /There is no scenario zzzzzzz; --list shows/],
  [["./nowhere.ts"], /Cannot read \.\/nowhere\.ts: there is no such file or folder in \/.+\n/],
  [["/nowhere.ts"], /Cannot read \/nowhere\.ts: there is no such file or folder\n/],
  [["harness/cli/../../LICENSE"], /a scenario's file name must end with \.ts/],
  [
    ["core/address.ts"],
    /Cannot load core\/address\.ts: it has no default export made by scenario\(\)/,
  ],
  [
    ["--mode", "remp"],
    /There is no --mode remp; did you mean remap\?; --mode takes identity, remap/,
  ],
  [
    ["--mode", "identity,ats"],
    /Cannot run with --mode ats: it is not built yet; --mode takes identity, remap/,
  ],
  [["--mode", "remap,"], /none is empty/],
  [["--via", "direkt"], /There is no --via direkt; did you mean direct\?/],
  [["--sed", "1"], /unknown option '--sed'[^]*--seed/],
  [["--seed", "-1"], /A seed is an integer from 0 to 4294967295/],
  [["--seed", "4294967296"], /A seed is an integer from 0 to 4294967295/],
  [["--seed", "1e3"], /A seed is an integer/],
  [["--seed"], /argument missing/],
  [["--repeat", "0"], /A number of repeats is an integer from 1/],
  [["--jobs", "0"], /A number of jobs is an integer from 1/],
  [["--timeout", "0"], /A timeout is an integer from 1/],
  [["--timeout", "2147483648"], /A timeout is an integer from 1 to 2147483647/],
  [["--shard", "3/2"], /A shard is I\/N with 1 <= I <= N/],
  [["--shard", "0/2"], /A shard is I\/N/],
  [["--shard", "1"], /A shard is I\/N/],
  [["--grep", "("], /regular expression/],
  [
    ["--grep", "no-such-scenario"],
    /No scenario is left by --grep no-such-scenario; without, there are/,
  ],
  [[FIXTURES, "--tag", "endles"], /No scenario has the tag endles; did you mean endless\?/],
  [["--reporter", "xml"], /Allowed choices are pretty, dot, tap, jsonl/],
  [["--json", "/nowhere/at/all.json"], /Cannot write --json \/nowhere\/at\/all\.json/],
  [["--json", ""], /must be the path of a file/],
  [["--json", "/tmp"], /Cannot write --json \/tmp/],
  [["--json", "same.out", "--junit", "./same.out"], /writes to the same file/],
  [["--list", "--json", "x.json"], /it runs nothing/],
  [["--html", "/nowhere/at/all.html"], /Cannot write --html \/nowhere\/at\/all\.html/],
  [["--html", ""], /must be the path of a file/],
  [["--json", "same.out", "--html", "./same.out"], /writes to the same file/],
  [["--list", "--html", "x.html"], /it runs nothing/],
  [["--pcap", "x.pcap"], /Cannot write --pcap: .* no NIC is built yet/],
  [["--list", "--messages", "x.log"], /it runs nothing/],
  [["--list", "--dashboard"], /it runs nothing/],
  [["--variant", "twin"], /There is no --variant twin; [^]*none, messages, twin-socket/],
  [["edu-identify", "--dashboard"], /Cannot serve --dashboard from here: start it as deno task/],
  [["--dashboard=70000"], /A port is an integer from 0 to 65535/],
  [["--dashboard=http"], /A port is an integer from 0 to 65535/],
  [
    [`${FIXTURES}fails.ts`, "--mode", "identity"],
    /Nothing to run in identity via direct: fails runs in remap/,
  ],
];

Deno.test("wrong arguments exit with 2 before any run, and the message says what would be right", async (t) => {
  for (const [args, message] of WRONG) {
    await t.step(args.join(" "), async () => {
      const result = await run(...args);
      assertEquals(result.code, 2, result.stderr);
      assertMatch(result.stderr, message);
      assertEquals(result.stdout, "");
    });
  }
});

/** Files that are no scenarios: source, and what the message must say of them. */
const UNLOADABLE: readonly (readonly [string, string, RegExp])[] = [
  ["syntax", "export default {", /Cannot load .*syntax\.ts: .*/],
  ["exiting", "Deno.exit(0);", /exiting\.ts: it ended its process \(exit code 0\)/],
  ["throwing", "throw new Error('at once');", /throwing\.ts: at once/],
  [
    "hiding",
    "throw Object.defineProperty(new Error('x'), 'message', { get: () => { throw 1; } });",
    /hiding\.ts: a value that cannot be shown/,
  ],
  [
    "empty",
    "export const a = 1;",
    /empty\.ts: it has no default export made by scenario\(\); a folder's helpers .* begin with _/,
  ],
  [
    "odd",
    "export default { name: 'Odd One', options: { title: 'x' }, run() {} };",
    /odd\.ts: name: must be kebab-case/,
  ],
  [
    "untitled",
    "export default { name: 'untitled', options: {}, run() {} };",
    /untitled\.ts: options\.title: /,
  ],
  [
    "idle",
    "export default { name: 'idle', options: { title: 'x' } };",
    /idle\.ts: run: must be a function/,
  ],
  [
    "modes",
    "export default { name: 'modes', options: { title: 'x', modes: ['remp'] }, run() {} };",
    /modes\.ts: options\.modes\.0: /,
  ],
  [
    "rejecting",
    "void Promise.reject(new Error('later'));\nexport default { name: 'rejecting', options: { title: 'x' }, run() {} };",
    /rejecting\.ts: Left an unhandled rejection: Error: later/,
  ],
];

Deno.test("a file that cannot be loaded is named with the reason, and exits with 2", async (t) => {
  await withFolder(async (folder) => {
    for (const [name, source, message] of UNLOADABLE) {
      await t.step(name, async () => {
        const file = join(folder, `${name}.ts`);
        await Deno.writeTextFile(file, source);
        const result = await run(file);
        assertEquals(result.code, 2, result.stderr);
        assertMatch(result.stderr, message);
      });
    }
  });
});

Deno.test("two scenarios of one name exit with 2, and both files are named", async () => {
  await withFolder(async (folder) => {
    for (const file of ["a.ts", "b.ts"]) {
      const source = "export default { name: 'twin', options: { title: 'x' }, run() {} };";
      await Deno.writeTextFile(join(folder, file), source);
    }
    const result = await run(folder);
    assertEquals(result.code, 2);
    assertMatch(result.stderr, /a\.ts and .*b\.ts are both named twin/);
  });
});

Deno.test("--json, --junit and --trace write their files; stdout keeps to the reporter", async () => {
  await withFolder(async (folder) => {
    const [json, junit, trace] = ["r.json", "r.xml", "r.trace"].map((file) => join(folder, file));
    await Deno.writeTextFile(json!, "x".repeat(100_000));
    const result = await run(
      ...fixture("throws", "passes"),
      ...[
        "--json",
        json!,
        "--junit",
        junit!,
        "--trace",
        trace!,
        "--seed",
        "3",
        "--reporter",
        "dot",
      ],
    );
    assertEquals(result.code, 1, result.stderr);
    assertMatch(result.stdout, /^[.F]{3}\n/);
    const report: Report = v.parse(ReportSchema, JSON.parse(await Deno.readTextFile(json!)));
    assertEquals(report.version, 1);
    assertEquals(report.seed, 3);
    assertEquals(report.totals, { passed: 2, failed: 1, skipped: 0 });
    assertEquals(report.runs.map(({ scenario }) => scenario), ["throws", "passes", "passes"]);
    const xml = await Deno.readTextFile(junit!);
    assertStringIncludes(xml, "boom &lt;&amp;&gt; \\u0001");
    const chrome = JSON.parse(await Deno.readTextFile(trace!));
    const names = chrome.traceEvents.map((event: { name: string }) => event.name);
    assert(names.includes("outer") && names.includes("throwing"), String(names));
  });
});

Deno.test("--html writes one page, with what failed, how to repeat it, and the files beside it", async () => {
  await withFolder(async (folder) => {
    const [html, trace] = ["r.html", "r.trace"].map((file) => join(folder, file));
    await Deno.writeTextFile(html!, "x".repeat(1_000_000));
    const args = ["--html", html!, "--trace", trace!, "--seed", "3", "--reporter", "dot"];
    const result = await run(...fixture("throws", "passes", "fails"), ...args);
    assertEquals(result.code, 1, result.stderr);
    assertMatch(result.stdout, /^[.F]{4}\n/);
    const page = await Deno.readTextFile(html!);
    assertMatch(page, /^<!DOCTYPE html>\n[^]*<\/html>\n$/);
    assertStringIncludes(page, "<title>failed: 2 passed, 2 failed, 0 skipped");
    assertStringIncludes(page, "Threw Error: boom &lt;&amp;&gt; \\u0001");
    assertStringIncludes(
      page,
      `npx -y deno@2.9.6 task scenario ${FIXTURES}throws.ts --mode remap --via direct --seed 3`,
    );
    assertStringIncludes(page, "first difference at offset 0x1");
    assertStringIncludes(page, `<code>${trace}</code> by --trace`);
    // Thresholds of the scenario that fails, one of which cannot be read.
    assertStringIncludes(page, '<h2 id="thresholds-title">Thresholds</h2>');
  });
});

Deno.test("--html is written as well when Ctrl-C has ended the runs", async () => {
  await withFolder(async (folder) => {
    const html = join(folder, "r.html");
    const process = start([
      ...fixture("loops", "passes"),
      ...["--via", "direct", "--timeout", "600000", "--reporter", "jsonl", "--jobs", "1"],
      ...["--html", html],
    ]);
    await readUntil(process.stderr, "3 runs");
    process.kill("SIGINT");
    await process.stdout.cancel();
    assertEquals((await process.status).code, 130);
    const page = await Deno.readTextFile(html);
    assertStringIncludes(page, "<title>interrupted: 0 passed, 0 failed, 3 skipped");
    assertStringIncludes(page, "3 runs skipped: Interrupted");
  });
});

/** The command in a shell: `SCENARIO` of the script is the program with its arguments. */
async function shell(script: string, ...args: string[]): Promise<Result> {
  const program = `${Deno.execPath()} run --allow-all --quiet harness/cli/scenario.ts "$@"`;
  const { code, stdout, stderr } = await new Deno.Command("bash", {
    args: ["-c", script.replaceAll("SCENARIO", program), "bash", "--via", "direct", ...args],
    cwd: ROOT,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("--json /dev/stdout is all that a pipe gets; what the reporter says goes to stderr", async () => {
  const result = await run(...fixture("passes"), "--json", "/dev/stdout");
  assertEquals(result.code, 0, result.stderr);
  assertEquals(v.parse(ReportSchema, JSON.parse(result.stdout)).totals.passed, 2);
  assertMatch(result.stderr, /^ *passes /m);
});

Deno.test("--json /dev/stdout appends where stdout is appended to", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "log");
    await Deno.writeTextFile(file, "what was there\n");
    const args = [...fixture("passes"), "--json", "/dev/stdout"];
    const result = await shell(`SCENARIO >>${file}`, ...args);
    assertEquals(result.code, 0, result.stderr);
    const text = await Deno.readTextFile(file);
    assertMatch(text, /^what was there\n{/);
    v.parse(ReportSchema, JSON.parse(text.slice(text.indexOf("{"))));
  });
});

Deno.test("every output goes into a pipe that somebody reads", async () => {
  await withFolder(async (folder) => {
    const names = ["json", "junit", "html", "trace", "messages"];
    // Named pipes and `>(…)` at once; what `>(…)` wrote is there when its last reader has ended.
    const script = `mkfifo ${folder}/json; cat ${folder}/json >${folder}/json.out & ` +
      `SCENARIO --json ${folder}/json ${
        names.slice(1).map((name) => `--${name} >(cat >${folder}/${name}.out)`).join(" ")
      } | cat >/dev/null; code=\${PIPESTATUS[0]}; wait; exit $code`;
    const result = await shell(
      script,
      "edu-identify",
      ...["--mode", "remap", "--via", "vfio-user", "--variant", "none"],
    );
    assertEquals(result.code, 0, result.stderr);
    const read = (name: string) => Deno.readTextFile(join(folder, `${name}.out`));
    v.parse(ReportSchema, JSON.parse(await read("json")));
    assertMatch(await read("junit"), /<\/testsuites>\n$/);
    assertMatch(await read("html"), /<\/html>\n$/);
    assert(JSON.parse(await read("trace")).traceEvents.length > 0);
    assertStringIncludes(await read("messages"), "VERSION");
  });
});

Deno.test("an output that cannot be written is told at the end, exits with 3, and costs no other", async () => {
  await withFolder(async (folder) => {
    const names = ["json", "junit", "html", "trace", "messages"];
    for (const full of names) {
      const args = names.flatMap((name) => [
        `--${name}`,
        name === full ? "/dev/full" : join(folder, `${full}.${name}`),
      ]);
      const via = ["--mode", "remap", "--via", "vfio-user", "--variant", "none"];
      const result = await run("edu-identify", ...via, ...args);
      assertEquals(result.code, 3, result.stderr);
      assertMatch(result.stdout, /^ *edu-identify /m);
      const failed = `Cannot write all of --${full} /dev/full: No space left on device`;
      assertStringIncludes(result.stderr, failed);
      assert(!/Internal|\n {4}at /.test(result.stderr), result.stderr);
      for (const name of names.filter((name) => name !== full)) {
        const { size } = await Deno.stat(join(folder, `${full}.${name}`));
        assert(size > 0, `--${name} beside --${full} /dev/full`);
      }
    }
  });
});

Deno.test("a stdout or stderr that cannot be written exits with 3 or as without, and costs no output", async () => {
  await withFolder(async (folder) => {
    for (const reporter of ["pretty", "dot", "tap", "jsonl"]) {
      const file = join(folder, `${reporter}.json`);
      const args = [...fixture("passes"), "--reporter", reporter, "--json", file];
      const result = await shell("SCENARIO >/dev/full", ...args);
      assertEquals(result.code, 3, result.stderr);
      assertMatch(result.stderr, /^Cannot write all of it to stdout: No space left on device/m);
      assert(!/Internal|\n {4}at /.test(result.stderr), result.stderr);
      const report = v.parse(ReportSchema, JSON.parse(await Deno.readTextFile(file)));
      assertEquals(report.totals, { passed: 2, failed: 0, skipped: 0 });
    }
    const silent = await shell("SCENARIO 2>/dev/full", ...fixture("passes"));
    assertEquals(silent.code, 0);
    assertMatch(silent.stdout, /passed +2 ok/);
  });
});

Deno.test("a pipe that nobody reads from exits with 2, at once", async () => {
  await withFolder(async (folder) => {
    const pipe = join(folder, "pipe");
    await new Deno.Command("mkfifo", { args: [pipe] }).output();
    const result = await run(...fixture("passes"), "--json", pipe);
    assertEquals(result.code, 2, result.stderr);
    assertStringIncludes(
      result.stderr,
      `Cannot write --json ${pipe}: nobody reads from this pipe; start its reader first`,
    );
  });
});

Deno.test("Ctrl-C ends the wait for a reader that does not read", async () => {
  await withFolder(async (folder) => {
    const pipe = join(folder, "pipe");
    await new Deno.Command("mkfifo", { args: [pipe] }).output();
    // The shell holds the pipe open and reads nothing of it; the report does not fit into it.
    const script =
      `exec 3<>${pipe}; SCENARIO --json ${pipe} --junit ${folder}/r.xml --repeat 150 & ` +
      `echo $!; wait $!`;
    const process = new Deno.Command("bash", {
      args: [
        "-c",
        script.replace(
          "SCENARIO",
          `${Deno.execPath()} run --allow-all --quiet harness/cli/scenario.ts "$@"`,
        ),
        ...["bash", "--via", "direct", ...fixture("passes"), "--reporter", "tap"],
      ],
      cwd: ROOT,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let seen = "";
    // tap's last point: the files come after it.
    while (!/^ok 300 /m.test(seen)) {
      const { done, value } = await reader.read();
      assert(!done, seen);
      seen += value;
    }
    const watcher = Deno.watchFs(folder);
    if ((await Deno.stat(join(folder, "r.xml"))).size === 0) {
      for await (const event of watcher) {
        if (event.kind === "modify" && event.paths[0]!.endsWith("r.xml")) break;
      }
    } else watcher.close();
    Deno.kill(Number(/^\d+/.exec(seen)![0]), "SIGTERM");
    await reader.cancel();
    const stderr = await new Response(process.stderr).text();
    assertEquals((await process.status).code, 130, stderr);
    assertStringIncludes(
      stderr,
      `Cannot write all of --json ${pipe}: its reader did not take all of it`,
    );
  });
});

Deno.test("two outputs that are one file by a link exit with 2", async () => {
  await withFolder(async (folder) => {
    const [a, b, hard] = ["a", "b", "hard"].map((name) => join(folder, name));
    await Deno.symlink(a!, b!);
    for (let round = 0; round < 2; round++) {
      const result = await run(...fixture("passes"), "--trace", a!, "--json", b!);
      assertEquals(result.code, 2, result.stderr);
      assertStringIncludes(
        result.stderr,
        `Cannot write --trace ${a}: --json writes to the same file; name another`,
      );
      if (round === 0) {
        assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["b"]);
        await Deno.writeTextFile(a!, "kept");
      } else assertEquals(await Deno.readTextFile(a!), "kept");
    }
    await Deno.link(a!, hard!);
    const result = await run(...fixture("passes"), "--trace", a!, "--json", hard!);
    assertEquals(result.code, 2, result.stderr);
  });
});

Deno.test("a command that is refused leaves no file that it has made, and the others as they were", async () => {
  await withFolder(async (folder) => {
    const [fresh, old] = ["fresh.json", "old.html"].map((name) => join(folder, name));
    await Deno.writeTextFile(old!, "kept");
    const files = ["--json", fresh!, "--html", old!];
    const refused = [["--trace", "/nope/x"], ["--dashboard"]];
    for (const more of refused) {
      const result = await run(...fixture("passes"), ...files, ...more);
      assertEquals(result.code, 2, result.stderr);
      assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["old.html"]);
      assertEquals(await Deno.readTextFile(old!), "kept");
    }
  });
});

Deno.test("--trace says which runs it has nothing of, since they were cut off", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "trace.json");
    const args = [...fixture("passes", "fails", "kills"), "--mode", "remap", "--seed", "3"];
    const { code, stderr } = await run(...args, "--trace", file);
    assertEquals(code, 1);
    assertEquals(stderr.split("\n").filter((line) => line.startsWith("Nothing of")), [
      `Nothing of kills remap via direct seed 3 is in --trace ${file}: it did not come that far`,
    ]);
    assert(JSON.parse(await Deno.readTextFile(file)).traceEvents.length > 0);
  });
});

Deno.test("--messages says so where no run has any", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "m.log");
    const args = [...fixture("passes"), "--mode", "remap", "--variant", "none", "--messages", file];
    const none = await run(...args);
    assertEquals([none.code, await Deno.readTextFile(file)], [0, ""]);
    assertStringIncludes(
      none.stderr,
      `No run is via vfio-user or qemu: --messages ${file} stays without`,
    );
    const some = await run(...args, "--via", "vfio-user");
    assertEquals(some.code, 0);
    assert(!some.stderr.includes("No run is via"), some.stderr);
  });
});

Deno.test("--reporter tap writes a plan and a test point a run", async () => {
  const result = await run(...fixture("throws", "prints"), "--reporter", "tap", "--jobs", "1");
  assertMatch(
    result.stdout,
    /^TAP version 14\n1\.\.2\nnot ok 1 - throws remap via direct\n {2}---\n/,
  );
  assertMatch(result.stdout, /\n {2}\.\.\.\nok 2 - prints remap via direct\n/);
});

Deno.test("results hold no colour beside a terminal, and progress stays away", async () => {
  const result = await run(...fixture("passes", "throws"));
  // deno-lint-ignore no-control-regex -- escape sequences are what must not be there
  assert(!/\x1b/.test(result.stdout + result.stderr));
  assert(!result.stderr.includes("["), result.stderr);
});

/** Gives a command a terminal; of util-linux, which every Debian has. */
const SCRIPT = "/usr/bin/script";

Deno.test("--reporter dot keeps its dots on a terminal, where a line of progress would go over them", async () => {
  const words = [Deno.execPath(), "run", "-A", "--quiet", "harness/cli/scenario.ts"];
  const args = [...fixture("passes"), "--via", "direct", "--repeat", "3", "--reporter", "dot"];
  const { stdout } = await new Deno.Command(SCRIPT, {
    args: ["-qec", `exec ${[...words, ...args].map((word) => `'${word}'`).join(" ")}`, "/dev/null"],
    cwd: ROOT,
    env: { SHELL: "/bin/sh", TERM: "dumb", NO_COLOR: "1" },
    stdin: "null",
  }).output();
  assertMatch(new TextDecoder().decode(stdout), /^\.{6}\r\n6 ok, 0 failed/m);
});

/** Reads until `wanted` appears. */
async function readUntil(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  wanted: string,
): Promise<void> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  while (!seen.includes(wanted)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`The stream ended without ${wanted}: ${seen}`);
    seen += value;
  }
  await reader.cancel();
}

/** Whether a process is there and no zombie. */
function lives(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
}

/** Children of a process, by /proc. */
function childrenOf(pid: number): number[] {
  const text = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`);
  return text.trim().split(/\s+/).filter((word) => word !== "").map(Number);
}

Deno.test("Ctrl-C ends what is running, reports it as skipped, and exits with 130", async () => {
  const process = start([...fixture("loops", "passes"), ...[
    "--via",
    "direct",
    "--timeout",
    "600000",
    "--reporter",
    "jsonl",
    "--jobs",
    "1",
  ]]);
  await readUntil(process.stderr, "3 runs");
  process.kill("SIGINT");
  const stdout = await new Response(process.stdout).text();
  assertEquals((await process.status).code, 130);
  const runs = runsOf({ code: 130, stdout, stderr: "" });
  assertEquals(
    runs.map(({ status, reason }) => `${status} ${reason}`),
    Array(3).fill("skipped Interrupted"),
  );
});

Deno.test("one Ctrl-C that comes several times, as deno task passes it on, leaves its reports whole", async () => {
  await withFolder(async (folder) => {
    const json = join(folder, "r.json");
    const process = start([
      ...fixture("loops", "passes"),
      ...["--via", "direct", "--timeout", "600000", "--reporter", "jsonl", "--jobs", "1"],
      ...["--json", json],
    ]);
    await readUntil(process.stderr, "3 runs");
    for (let echo = 0; echo < 100; echo++) process.kill("SIGINT");
    const stdout = await new Response(process.stdout).text();
    assertEquals((await process.status).code, 130);
    assertEquals(runsOf({ code: 130, stdout, stderr: "" }).length, 3);
    const report = v.parse(ReportSchema, JSON.parse(await Deno.readTextFile(json)));
    assertEquals(report.totals, { passed: 0, failed: 0, skipped: 3 });
  });
});

Deno.test("a child process ends by itself when its parent is gone, even while a scenario keeps it busy", async () => {
  const process = start([
    ...fixture("loops"),
    "--via",
    "direct",
    "--timeout",
    "600000",
    "--jobs",
    "1",
  ]);
  await readUntil(process.stderr, "1 run,");
  const children = childrenOf(process.pid);
  assertEquals(children.length, 1);
  const child = new Deno.Command("tail", {
    args: [`--pid=${children[0]}`, "-f", "/dev/null"],
  }).spawn();
  process.kill("SIGKILL");
  await process.status;
  await process.stdout.cancel();
  // tail ends with the process it watches; without that this test would not end.
  assertEquals((await child.status).code, 0);
  assert(!lives(children[0]!));
});

Deno.test("an error of the runner itself exits with 3", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--deny-run", "--quiet", "harness/cli/scenario.ts"],
    cwd: ROOT,
    stdout: "null",
    stderr: "piped",
  }).output();
  assertEquals(code, 3);
  assertStringIncludes(new TextDecoder().decode(stderr), "Internal error of the scenario runner");
});
