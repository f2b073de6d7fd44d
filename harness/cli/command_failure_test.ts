import { assertEquals, assertMatch } from "@std/assert";
import {
  type FailingCommand,
  tellFailure,
  tellInternalError,
  tellUnwritten,
} from "./command_failure.ts";
import { ServingError } from "./serving_error.ts";
import { UsageError } from "./usage_error.ts";

function told(tell: (command: FailingCommand) => number): { code: number; text: string } {
  let text = "";
  const stderr = { write: (more: string) => void (text += more) };
  const code = tell({ task: "serve", culprit: "the server", stderr });
  return { code, text };
}

Deno.test("tellFailure() repeats what the user did wrong, and points to the help", () => {
  const error = new UsageError("There is no device ude");
  assertEquals(told((command) => tellFailure(command, error)), {
    code: 2,
    text: "There is no device ude\nSee deno task serve --help\n",
  });
});

Deno.test("tellFailure() says where anything else was thrown", () => {
  const { code, text } = told((command) => tellFailure(command, new TypeError("no such thing")));
  assertEquals(code, 3);
  assertMatch(text, /^Internal error of the server: TypeError: no such thing\n +at .*_test\.ts/);
});

Deno.test("tellFailure() gives the words of a thread that failed as they are", () => {
  const error = new ServingError("TypeError: over there\n    at device.ts:1:1");
  assertEquals(told((command) => tellFailure(command, error)), {
    code: 3,
    text: "Internal error of the server: TypeError: over there\n    at device.ts:1:1\n",
  });
});

Deno.test("tellInternalError() takes nothing for the user's fault", () => {
  const { code, text } = told((command) => tellInternalError(command, new UsageError("late")));
  assertEquals(code, 3);
  assertMatch(text, /^Internal error of the server: UsageError: late\n/);
});

Deno.test("tellUnwritten() gives the exit code as it is while all is written, and 3 for what seems done", () => {
  let text = "";
  const stderr = { write: (more: string) => void (text += more) };
  for (const code of [0, 1, 2, 3, 130]) {
    assertEquals(tellUnwritten({ failure: null }, stderr, code), code);
  }
  assertEquals(text, "");
  const failure = "No space left on device";
  const codes = [0, 1, 2, 3, 130].map((code) => tellUnwritten({ failure }, stderr, code));
  assertEquals(codes, [3, 3, 2, 3, 130]);
  assertEquals(text, "Cannot write all of it to stdout: No space left on device\n".repeat(5));
});
