import { assert, assertEquals } from "@std/assert";
import { type CatalogEntry, type PlanOptions, planRuns, rerunCommand } from "./plan.ts";
import type { Via } from "../scenario.ts";

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
  variants: ["none"],
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
    `npx -y deno@2.9.6 task scenario 'my dir/it'\\''s.ts' --mode identity --via direct --seed 9`,
  );
  assertEquals(
    rerunCommand(planRuns([entry("a")], OPTIONS)[1]!, 50),
    "npx -y deno@2.9.6 task scenario a --mode remap --via direct --seed 9 --timeout 50",
  );
});

/** Names by the variant that is usual for them. */
const USUAL = { messages: "many-mappings", "twin-socket": "edu-dma-soak", none: "edu-identify" };

Deno.test("planRuns() adds a scenario's usual variant to vfio-user, and to no other via", () => {
  const entries = Object.values(USUAL).map((name) => entry(name, { modes: ["remap"] }));
  const options: PlanOptions = { ...OPTIONS, vias: ["direct", "vfio-user"], variants: null };
  assertEquals(
    planRuns(entries, options).map((run) => `${run.entry.name} ${run.via} ${run.variant ?? "-"}`),
    [
      "many-mappings direct -",
      "many-mappings vfio-user -",
      "many-mappings vfio-user messages",
      "edu-dma-soak direct -",
      "edu-dma-soak vfio-user -",
      "edu-dma-soak vfio-user twin-socket",
      "edu-identify direct -",
      "edu-identify vfio-user -",
    ],
  );
});

Deno.test("planRuns() runs every scenario in the variants that are named, where the via has them", () => {
  const entries = [entry(USUAL.none, { modes: ["remap"] })];
  const variants = ["messages", "twin-socket"] as const;
  const runs = planRuns(entries, { ...OPTIONS, vias: ["direct", "vfio-user"], variants });
  assertEquals(runs.map(({ via, variant }) => [via, variant]), [
    ["vfio-user", "messages"],
    ["vfio-user", "twin-socket"],
  ]);
});

Deno.test("rerunCommand() names the variant wherever another would run as well", () => {
  const command = (name: string, via: Via, variants: PlanOptions["variants"]) => {
    const entries = [entry(name, { modes: ["remap"] })];
    const run = planRuns(entries, { ...OPTIONS, vias: [via], variants })[0]!;
    return rerunCommand(run, null).replace(/^npx -y deno@2\.9\.6 task scenario /, "");
  };
  assertEquals(
    command(USUAL.messages, "vfio-user", ["messages"]),
    "many-mappings --mode remap --via vfio-user --variant messages --seed 9",
  );
  assertEquals(
    command(USUAL.messages, "vfio-user", ["none"]),
    "many-mappings --mode remap --via vfio-user --variant none --seed 9",
  );
  assertEquals(
    command(USUAL.none, "vfio-user", null),
    "edu-identify --mode remap --via vfio-user --seed 9",
  );
  assertEquals(
    command(USUAL.messages, "direct", null),
    "many-mappings --mode remap --via direct --seed 9",
  );
});
