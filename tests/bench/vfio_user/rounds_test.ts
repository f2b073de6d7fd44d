import { assertEquals, assertRejects } from "@std/assert";
import type { BenchContext } from "../benchmark.ts";
import { LineProcess } from "./line_process.ts";
import { inTurns } from "./rounds.ts";

/** Answers each command with its second word. */
const LAST_WORD = 'while read -r _ count; do echo "$count"; done';

function context(reduction: number): BenchContext {
  return { seed: 1, rounds: 3, roundMs: 1, warmUpMs: 1, reduction, progress: () => {} };
}

Deno.test("inTurns() takes a sample of each subject a round", async () => {
  await using shell = new LineProcess("the shell", "sh", ["-c", LAST_WORD]);
  const subject = { process: shell, command: "count", warmUp: 7 };
  const samples = await inTurns(context(1), [
    { ...subject, name: "a", exchanges: 40 },
    { ...subject, name: "b", exchanges: 60 },
  ]);
  assertEquals(samples.names, ["a", "b"]);
  assertEquals(samples.of("a"), [40, 40, 40]);
  assertEquals(samples.of("b"), [60, 60, 60]);
});

Deno.test("inTurns() does less in a quick run, but something", async () => {
  await using shell = new LineProcess("the shell", "sh", ["-c", LAST_WORD]);
  const subject = { process: shell, command: "count", warmUp: 7 };
  const samples = await inTurns(context(1000), [
    { ...subject, name: "many", exchanges: 4000 },
    { ...subject, name: "few", exchanges: 3 },
  ]);
  assertEquals(samples.of("many"), [200, 200, 200]);
  assertEquals(samples.of("few"), [2, 2, 2]);
});

Deno.test("inTurns() refuses two subjects of one name", async () => {
  await using shell = new LineProcess("the shell", "sh", ["-c", LAST_WORD]);
  const subject = { name: "a", process: shell, command: "count", warmUp: 1, exchanges: 1 };
  await assertRejects(() => inTurns(context(1), [subject, subject]), Error, "the same name");
});
