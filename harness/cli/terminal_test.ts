import { assertEquals } from "@std/assert";
import { Terminal } from "./terminal.ts";

/** A stream whose writes are answered as `answers` say, and then in full. */
function stream(answers: readonly (number | Error)[]) {
  let at = 0;
  let written = "";
  return {
    get written() {
      return written;
    },
    isTerminal: () => false,
    writeSync(bytes: Uint8Array): number {
      const answer = answers[at++] ?? bytes.length;
      if (typeof answer !== "number") throw answer;
      written += new TextDecoder().decode(bytes.subarray(0, answer));
      return answer;
    },
  };
}

Deno.test("Terminal.write() writes all, in pieces and through a pipe that is full", () => {
  const target = stream([
    2,
    new Deno.errors.WouldBlock("full"),
    new Deno.errors.Interrupted("x"),
    1,
  ]);
  new Terminal(target).write("whole text");
  assertEquals(target.written, "whole text");
});

Deno.test("Terminal.write() drops text once the reader has gone", () => {
  const target = stream([3, new Deno.errors.BrokenPipe("gone")]);
  const terminal = new Terminal(target);
  terminal.write("whole text");
  terminal.write("more");
  assertEquals(target.written, "who");
});

Deno.test("Terminal.write() throws at nobody: it keeps what else goes wrong, and writes no more", () => {
  const target = stream([3, new Error("No space left on device"), 1]);
  const terminal = new Terminal(target);
  assertEquals(terminal.failure, null);
  terminal.write("whole text");
  terminal.write("more");
  assertEquals([target.written, terminal.failure], ["who", "No space left on device"]);
});

Deno.test("Terminal.failure is none when the reader has gone", () => {
  const terminal = new Terminal(stream([new Deno.errors.BrokenPipe("gone")]));
  terminal.write("text");
  assertEquals(terminal.failure, null);
});
