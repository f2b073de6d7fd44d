/**
 * Commands to be pasted into a POSIX shell.
 * @module
 */

/** The Deno that this project is built with; npx fetches it where there is none. */
const DENO = "npx -y deno@2.9.6";

/** `text` as one word of a shell. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The command line of a task: good on a machine that has Node alone. */
export function taskCommand(task: string, words: readonly string[]): string {
  return [DENO, "task", task, ...words.map(shellWord)].join(" ");
}
