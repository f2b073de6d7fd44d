import { assert, assertEquals } from "@std/assert";
import { type CatalogEntry, type PlanOptions, planRuns, rerunCommand } from "./plan.ts";

function entry(name: string, more: Partial<CatalogEntry> = {}): CatalogEntry {
  return {
    name,
    title: name,
    tags: [],
    modes: ["identity", "remap"],
    vias: ["direct", "vfio-user"],
    timeoutMs: 1000,
    file: `file:///${name}.ts`,
    argument: name,
    ...more,
  };
}

const OPTIONS: PlanOptions = {
  modes: ["identity", "remap"],
  vias: ["direct"],
  seed: 9,
  repeat: 1,
};

Deno.test("planRuns() makes the product, without what a scenario does not support", () => {
  const entries = [
    entry("a"),
    entry("b", { modes: ["remap", "ats"] }),
    entry("c", { vias: ["qemu"] }),
  ];
  const runs = planRuns(entries, { ...OPTIONS, vias: ["direct", "vfio-user"] });
  assertEquals(runs.map(({ index, entry, mode, via }) => `${index} ${entry.name} ${mode} ${via}`), [
    "0 a identity direct",
    "1 a remap direct",
    "2 a identity vfio-user",
    "3 a remap vfio-user",
    "4 b remap direct",
    "5 b remap vfio-user",
  ]);
});

Deno.test("planRuns() gives the first repeat the seed itself, and the others seeds of their own", () => {
  const runs = planRuns([entry("a")], { ...OPTIONS, modes: ["remap"], repeat: 100 });
  assertEquals(runs[0]!.seed, 9);
  assertEquals(new Set(runs.map(({ seed }) => seed)).size, 100);
  assert(runs.every(({ seed }) => Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32));
});

Deno.test("planRuns() parts runs into shards that hold each run once", () => {
  const whole = planRuns([entry("a"), entry("b"), entry("c")], { ...OPTIONS, repeat: 3 });
  const key = ({ entry, mode, seed }: typeof whole[number]) => `${entry.name} ${mode} ${seed}`;
  for (const count of [1, 2, 5, 40]) {
    const parts = Array.from(
      { length: count },
      (_, index) =>
        planRuns([entry("a"), entry("b"), entry("c")], {
          ...OPTIONS,
          repeat: 3,
          shard: { index, count },
        }),
    );
    assertEquals(parts.flat().map(key).sort(), whole.map(key).sort());
    for (const part of parts) assertEquals(part.map(({ index }) => index), part.map((_, at) => at));
  }
});

Deno.test("rerunCommand() quotes paths for a shell", () => {
  const [run] = planRuns([entry("a", { argument: "my dir/it's.ts" })], OPTIONS);
  assertEquals(
    rerunCommand(run!, null),
    `deno task scenario 'my dir/it'\\''s.ts' --mode identity --via direct --seed 9`,
  );
  assertEquals(
    rerunCommand(planRuns([entry("a")], OPTIONS)[1]!, 50),
    "deno task scenario a --mode remap --via direct --seed 9 --timeout 50",
  );
});
