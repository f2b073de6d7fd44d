import { assertEquals } from "@std/assert";
import { linesOf } from "./connection_lines.ts";

/** Gives `parts` one read after the other, then ends, or breaks. */
function connection(parts: readonly (string | Uint8Array)[], end: "ends" | "breaks" = "ends") {
  const encoder = new TextEncoder();
  const left = parts.map((part) => typeof part === "string" ? encoder.encode(part) : part);
  return {
    left,
    read(into: Uint8Array): Promise<number | null> {
      const part = left.shift();
      if (part === undefined) {
        return end === "ends" ? Promise.resolve(null) : Promise.reject(new Error("Broken"));
      }
      into.set(part);
      return Promise.resolve(part.length);
    },
  };
}

async function all(
  from: ReturnType<typeof connection>,
  limit = 100,
): Promise<readonly (readonly string[])[]> {
  return await Array.fromAsync(linesOf(from, { chunk: 64, limit }));
}

Deno.test("linesOf() gives the lines of each read, and puts together what reads have parted", async () => {
  const batches = await all(connection(["one\ntwo\nthr", "e", "e\n\nfour\nrest"]));
  assertEquals(batches, [["one", "two"], [], ["three", "", "four"]]);
});

Deno.test("linesOf() puts together a character that reads have parted", async () => {
  const bytes = new TextEncoder().encode("ä\n");
  assertEquals(await all(connection([bytes.subarray(0, 1), bytes.subarray(1)])), [[], ["ä"]]);
});

Deno.test("linesOf() ends without an error when the connection breaks", async () => {
  assertEquals(await all(connection(["one\ntw"], "breaks")), [["one"]]);
});

Deno.test("linesOf() reads no further at a line that is too long, and gives those before it", async () => {
  const from = connection(["one\n1234", "5678", "9\ntwo\n"]);
  assertEquals(await all(from, 7), [["one"], []]);
  assertEquals(from.left.length, 1);
  assertEquals(await all(connection(["one\n1234", "5678", "9\ntwo\n"]), 8), [["one"], [], [
    "123456789",
    "two",
  ]]);
});
