import { assertEquals, assertRejects } from "@std/assert";
import { LineProcess } from "./line_process.ts";

Deno.test("LineProcess.ask() returns the line that answers each command", async () => {
  await using echo = new LineProcess("cat", "cat", []);
  assertEquals(await echo.ask("one"), "one");
  assertEquals(await echo.measure("12.5"), 12.5);
});

Deno.test("LineProcess.ask() fails with what the process answers, and the process goes on", async () => {
  await using echo = new LineProcess("cat", "cat", []);
  await assertRejects(() => echo.ask("error: no such thing"), Error, "no such thing");
  assertEquals(await echo.ask("two"), "two");
});

Deno.test("LineProcess.measure() refuses what is no number", async () => {
  await using echo = new LineProcess("cat", "cat", []);
  await assertRejects(() => echo.measure("word"), Error, "answered no number to word");
});

Deno.test("LineProcess.line() fails with the last of stderr when the process has ended", async () => {
  await using shell = new LineProcess("the shell", "sh", ["-c", "echo why >&2; exit 3"]);
  await assertRejects(() => shell.line(), Error, "the shell has ended: why");
});

Deno.test("LineProcess.ask() fails when the process has ended before it is asked", async () => {
  await using shell = new LineProcess("the shell", "sh", ["-c", "exit 0"]);
  await assertRejects(() => shell.line(), Error, "has ended");
  await assertRejects(() => shell.ask("anything"), Error, "has ended");
});
