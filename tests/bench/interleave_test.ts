import { assert, assertEquals, assertRejects } from "@std/assert";
import type { BenchContext } from "./benchmark.ts";
import { interleave } from "./interleave.ts";
import type { LaneSpec } from "./lane.ts";

const context: BenchContext = {
  seed: 1,
  rounds: 3,
  roundMs: 0.2,
  warmUpMs: 1,
  reduction: 1000,
  progress: () => {},
};

function lane(name: string, parameters: LaneSpec["parameters"] = {}): LaneSpec {
  return { worker: new URL("./testing/worker.ts", import.meta.url), lane: name, parameters };
}

Deno.test("interleave() takes one sample of each subject a round, over all lanes", async () => {
  const samples = await interleave(context, [lane("counter"), lane("pair")], { results: "own" });
  assertEquals(samples.names, ["counter", "left", "right"]);
  for (const name of samples.names) {
    assertEquals(samples.of(name).length, 3);
    assert(samples.of(name).every((ns) => ns > 0 && ns < 1e6));
  }
});

Deno.test("interleave() refuses to compare subjects that compute different things", async () => {
  await interleave(context, [lane("counter"), lane("counter-too")], { results: "same" });
  await assertRejects(
    () => interleave(context, [lane("counter"), lane("wrong")], { results: "same" }),
    Error,
    "Cannot compare wrong with counter: one pass of the same accesses gave 9 and 8",
  );
});

Deno.test("interleave() refuses two subjects of one name", async () => {
  await assertRejects(
    () => interleave(context, [lane("counter"), lane("counter")], { results: "own" }),
    Error,
    "Two subjects are called counter",
  );
});

Deno.test("interleave() says why a lane failed, while it is built and while it runs", async () => {
  const run = (name: string) => interleave(context, [lane(name)], { results: "own" });
  await assertRejects(() => run("missing"), Error, "There is no lane missing");
  await assertRejects(() => run("fails-to-build"), Error, "no memory for this lane");
  await assertRejects(() => run("fails-to-run"), Error, "out of order");
});
