import { assertEquals, assertThrows } from "@std/assert";
import { Command } from "@commander-js/extra-typings";
import { readCommandLine } from "./command_line.ts";
import { integer } from "./integer.ts";
import { UsageError } from "./usage_error.ts";

function parser() {
  return new Command("deno task thing")
    .option("--port <N>", "port", integer("A port", 1, 9))
    .allowExcessArguments(false);
}

function never(text: string): never {
  throw new Error(`Printed ${text}`);
}

Deno.test("readCommandLine() leaves what it read with the parser", () => {
  const thing = parser();
  assertEquals(readCommandLine(thing, ["--port", "7"], never), "read");
  assertEquals(thing.opts(), { port: 7 });
});

Deno.test("readCommandLine() gives help to whoever prints it, and does not end the process", () => {
  let printed = "";
  assertEquals(readCommandLine(parser(), ["--help"], (text) => printed += text), "help");
  assertEquals(printed.includes("Usage: deno task thing"), true);
});

Deno.test("readCommandLine() throws what is wrong, without commander's prefix, and prints nothing", () => {
  for (
    const [args, message] of [
      [["--port", "10"], "option '--port <N>' argument '10' is invalid. A port is an integer"],
      [["--prot", "1"], "unknown option '--prot'"],
      [["extra"], "too many arguments"],
    ] as const
  ) {
    const error = assertThrows(() => readCommandLine(parser(), args, never), UsageError, message);
    assertEquals(error.message.startsWith("error:"), false);
  }
});
