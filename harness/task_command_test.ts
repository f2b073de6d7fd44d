import { assertEquals } from "@std/assert";
import { shellWord, taskCommand } from "./task_command.ts";

Deno.test("shellWord() quotes what a shell would not take as it stands", () => {
  const words: readonly (readonly [string, string])[] = [
    ["--socket-dir", "--socket-dir"],
    ["./run/edu.sock", "./run/edu.sock"],
    ["", "''"],
    ["two words", "'two words'"],
    ["$(reboot)", "'$(reboot)'"],
    ["it's", `'it'\\''s'`],
    ["~", "'~'"],
  ];
  for (const [text, word] of words) assertEquals(shellWord(text), word);
});

Deno.test("taskCommand() is what a shell takes, without a Deno of one's own", () => {
  assertEquals(
    taskCommand("scenario", ["--grep", "a b", "it's", "--seed", "7"]),
    "npx -y deno@2.9.6 task scenario --grep 'a b' 'it'\\''s' --seed 7",
  );
  assertEquals(taskCommand("dashboard", []), "npx -y deno@2.9.6 task dashboard");
});
