/**
 * A system that has a program of the test's making, for tests of what is found on one.
 * @module
 */

/** Environment that decides what is found. */
const NAMES = ["PATH", "CC", "VIADUCT_CACHE"] as const;

/**
 * Runs `body` with a program `name` before all others on PATH, a shell script that answers by the
 * `cases` of `case "$*"`, and an empty cache.
 */
export async function withSystemProgram(
  name: string,
  cases: Readonly<Record<string, string>>,
  body: () => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const before = NAMES.map((variable) => [variable, Deno.env.get(variable)] as const);
  const answers = Object.entries(cases).map(([args, says]) => `"${args}") echo "${says}";;\n`);
  try {
    await Deno.writeTextFile(
      `${folder}/${name}`,
      `#!/bin/sh\ncase "$*" in\n${answers.join("")}*) exit 9;;\nesac\n`,
      { mode: 0o755 },
    );
    Deno.env.set("PATH", `${folder}:${Deno.env.get("PATH")}`);
    Deno.env.delete("CC");
    Deno.env.set("VIADUCT_CACHE", `${folder}/cache`);
    await body();
  } finally {
    for (const [variable, value] of before) {
      if (value === undefined) Deno.env.delete(variable);
      else Deno.env.set(variable, value);
    }
    await Deno.remove(folder, { recursive: true });
  }
}
