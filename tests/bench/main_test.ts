import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { parseReport } from "./report.ts";

const config = fromFileUrl(new URL("../../deno.json", import.meta.url));

async function bench(...args: readonly string[]) {
  const output = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--quiet", "--v8-flags=--expose-gc", `--config=${config}`],
      fromFileUrl(new URL("./main.ts", import.meta.url)),
      ...args,
    ],
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  return {
    code: output.code,
    stdout: text.decode(output.stdout),
    stderr: text.decode(output.stderr),
  };
}

Deno.test("bench runs one benchmark, writes its results, and compares with them", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = join(folder, "run.json");
    const first = await bench("--quick", "wide-mapping", "--json", file, "--check");
    assertEquals(first, { code: 0, stdout: first.stdout, stderr: "" });
    assertMatch(first.stdout, /ratio wide-mapping entries of .* 1\.000 \(bar at most 1\) +ok\n/);
    const report = parseReport(await Deno.readTextFile(file), file);
    assertEquals(report.results.map(({ name }) => name), [
      "wide-mapping/entries",
      "wide-mapping/growth",
    ]);
    assertEquals(report.ratios.map(({ ok }) => ok), [true, true]);
    const second = await bench("--quick", "wide-mapping", "--compare", file);
    assertEquals(second.code, 0);
    assertStringIncludes(second.stdout, `change since ${file}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("bench measures in lanes: each subject has its rounds, and all agree", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = join(folder, "run.json");
    const run = await bench("--quick", "translate-16", "--json", file, "--seed", "7");
    assertEquals(run.code, 0, run.stderr);
    const report = parseReport(await Deno.readTextFile(file), file);
    assertEquals(report.seed, 7);
    assertEquals(report.results.length, 5);
    for (const { samples, value } of report.results) {
      assertEquals(samples.length, 3);
      assert(value > 0);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("bench exits with 2 and a reason for what cannot be", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const broken = join(folder, "broken.json");
    await Deno.writeTextFile(broken, "{}");
    const cases: readonly [readonly string[], string][] = [
      [["translate-15"], "did you mean translate-16"],
      [["--compare", join(folder, "missing.json")], "Cannot compare with"],
      [["--compare", broken], "it is no report of `deno task bench --json`, at version"],
      [["--json", join(folder, "no", "run.json")], "name a file in a folder that is there"],
      [["--json", folder], "Cannot write --json"],
    ];
    for (const [args, expected] of cases) {
      const { code, stdout, stderr } = await bench(...args);
      assertEquals([code, stdout], [2, ""], args.join(" "));
      assertStringIncludes(stderr, expected);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("bench says that stdout could not take all, and exits with 3", async () => {
  for (const args of ["--list", "--help"]) {
    const main = fromFileUrl(new URL("./main.ts", import.meta.url));
    const output = await new Deno.Command("bash", {
      args: ["-c", `exec "$@" >/dev/full`, "bash"].concat(
        [Deno.execPath(), "run", "-A", "--quiet", `--config=${config}`, main, args],
      ),
      stdin: "null",
    }).output();
    const stderr = new TextDecoder().decode(output.stderr);
    assertEquals(output.code, 3, stderr);
    assertStringIncludes(stderr, "Cannot write all of it to stdout: No space left on device");
  }
});

Deno.test("bench --list prints the benchmarks and runs none", async () => {
  const { code, stdout } = await bench("--list");
  assertEquals(code, 0);
  assertStringIncludes(stdout, "  translate-64k ");
});
