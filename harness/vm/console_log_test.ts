import { assertEquals } from "@std/assert";
import { consoleTail, tailOf } from "./console_log.ts";

Deno.test("tailOf() keeps the last lines, without colours and cursor moves", () => {
  assertEquals(
    tailOf("one\r\n\x1b[2J\x1b[1;31mtwo\x1b[0m\r\n\n\tthree\x07\n", 2),
    "two\n  three",
  );
});

Deno.test("tailOf() keeps the kernel's last words ahead of the calls that led to them", () => {
  const trace = "a call\n".repeat(9);
  assertEquals(
    tailOf(`boot\nBUG: first\n${trace}Kernel panic - not syncing\n${trace}`, 2),
    "Kernel panic - not syncing\n…\na call\na call",
  );
  assertEquals(tailOf(`BUG: first\n${trace}Kernel panic\n`, 2), "a call\nKernel panic");
});

Deno.test("consoleTail() reads only the end of a long file, and nothing of none", async () => {
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, "early\n" + "x".repeat(99).concat("\n").repeat(1000) + "last\n");
  assertEquals(consoleTail(file, 1), "last");
  assertEquals(consoleTail(file, 5000).includes("early"), false);
  await Deno.remove(file);
  assertEquals(consoleTail(file, 5), "");
});
