/**
 * What the README shows must work as it stands there.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join, resolve } from "@std/path";

const ROOT = resolve(fromFileUrl(import.meta.url), "..", "..", "..");

/** Files that the README shows: blocks marked ```` ```ts ignore NAME ````. */
async function shownFiles(): Promise<Map<string, string>> {
  const text = await Deno.readTextFile(join(ROOT, "README.md"));
  const blocks = text.matchAll(/^```ts ignore (\S+)\n([\s\S]*?)^```$/gm);
  return new Map([...blocks].map((block) => [block[1]!, block[2]!]));
}

/** A command in a terminal as the README shows it, in a block marked ```` ```console ````. */
interface Shown {
  /** Of deno.json. */
  readonly task: string;
  readonly args: readonly string[];
  /** What it prints, line by line; `…` stands for any lines, and for none. */
  readonly output: string;
}

async function shownCommands(): Promise<Shown[]> {
  const text = await Deno.readTextFile(join(ROOT, "README.md"));
  return [...text.matchAll(/^```console\n([\s\S]*?)^```$/gm)]
    .flatMap(([, block]) => [...block!.matchAll(/^\$ deno task (\S+) (.*)\n((?:[^$].*\n)*)/gm)])
    .map(([, task, args, output]) => ({ task: task!, args: args!.split(" "), output: output! }));
}

/** The task as a process in `folder`, whose paths it is given and prints. */
async function shownCommand(
  { task, args }: Shown,
  folder: string,
  stderr: "piped" | "inherit",
): Promise<Deno.Command> {
  const { tasks } = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json"))) as {
    tasks: Record<string, string>;
  };
  const script = /\S+\.ts/.exec(tasks[task] ?? "")?.[0];
  assert(script !== undefined, `deno.json has no task ${task} that runs a program`);
  const config = join(ROOT, "deno.json");
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--quiet", "--config", config, join(ROOT, script), ...args],
    cwd: folder,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr,
  });
}

/** Whether `printed` is what the README shows, but for where it ran and how long things took. */
function isShown(printed: string, shown: string, folder: string): boolean {
  const steady = (text: string): string =>
    text.replaceAll(folder, "/home/you/viaduct").replaceAll(/^\d+\.\d{6} /gm, "TIME ")
      .replaceAll(/ \d+us /g, " LATENCY ");
  const pattern = steady(shown).split(/^…\n/m)
    .map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("(?:.*\\n)*");
  return new RegExp(`^${pattern}$`).test(steady(printed));
}

async function deno(...args: string[]): Promise<{ code: number; output: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder();
  return { code, output: text.decode(stdout) + text.decode(stderr) };
}

Deno.test("README: its device and its scenario type-check, and pass in every mode", async () => {
  const files = await shownFiles();
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, source] of files) await Deno.writeTextFile(join(folder, name), source);
    const paths = [...files.keys()].map((name) => join(folder, name));
    const check = await deno("check", "--config", "deno.json", ...paths);
    assertEquals(check.code, 0, check.output);
    const run = await deno(
      "task",
      "--quiet",
      "scenario",
      join(folder, "doorbell_scenario.ts"),
      "--reporter",
      "jsonl",
    );
    assertEquals(run.code, 0, run.output);
    const statuses = run.output.split("\n").filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as { status: string; mode: string });
    assert(statuses.length >= 2, run.output);
    assert(statuses.every(({ status }) => status === "passed"), run.output);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("README: serve and attach print what it shows", async () => {
  const [serve, ...others] = await shownCommands();
  assertEquals(serve?.task, "serve");
  assertEquals(others.map(({ task, args }) => `${task} ${args[1]}`), [
    "attach info",
    "attach regions",
    "attach peek",
    "attach trace",
  ]);
  const folder = await Deno.realPath(await Deno.makeTempDir());
  try {
    // It ends with the block, and before its folder goes.
    await using server = (await shownCommand(serve!, folder, "inherit")).spawn();
    let printed = "";
    for await (const part of server.stdout.pipeThrough(new TextDecoderStream())) {
      printed += part;
      if (printed.endsWith("\nready\n")) break;
    }
    assert(isShown(printed, serve!.output, folder), printed);
    for (const shown of others) {
      const { code, stdout, stderr } = await (await shownCommand(shown, folder, "piped")).output();
      const decoder = new TextDecoder();
      const [result, notes] = [decoder.decode(stdout), decoder.decode(stderr)];
      assertEquals(code, 0, notes);
      // A terminal shows both, in the order of the calls.
      const printed = shown.args[1] === "trace" ? result + notes : notes + result;
      assert(isShown(printed, shown.output, folder), `${shown.args.join(" ")}:\n${printed}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("README: a complete useful device fits in 50 lines", async () => {
  const source = (await shownFiles()).get("doorbell.ts")!;
  assert(source.trimEnd().split("\n").length <= 50);
});

Deno.test("README: every task it names is one of deno.json", async () => {
  const text = await Deno.readTextFile(join(ROOT, "README.md"));
  const { tasks } = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json"))) as {
    tasks: Record<string, string>;
  };
  const named = new Set([...text.matchAll(/deno(?:@[\d.]+)? task ([a-z]+)/g)].map((m) => m[1]!));
  assert(named.size > 0);
  assertEquals([...named].filter((name) => !(name in tasks)), []);
});
