/**
 * The guest's console, as QEMU writes it to a file.
 * @module
 */

/** Bytes of the file's end that are looked at. */
const TAIL_BYTES = 16384;

/** The last `lines` lines of a console's file, without what would move a terminal's cursor. */
export function consoleTail(path: string, lines: number): string {
  let bytes: Uint8Array;
  try {
    using file = Deno.openSync(path);
    const { size } = file.statSync();
    file.seekSync(Math.max(0, size - TAIL_BYTES), Deno.SeekMode.Start);
    const buffer = new Uint8Array(TAIL_BYTES);
    bytes = buffer.subarray(0, file.readSync(buffer) ?? 0);
  } catch {
    return "";
  }
  return tailOf(new TextDecoder().decode(bytes), lines);
}

/** How a kernel begins to say that it is lost. */
const LAST_WORDS = /Kernel panic|BUG:|Oops:|general protection fault/;

/**
 * The last lines of a text, cleaned for a report. Where the kernel says what is
 * wrong with it in an earlier line, which a trace of calls has pushed away, that
 * line comes first.
 */
export function tailOf(text: string, lines: number): string {
  const all = text
    // deno-lint-ignore no-control-regex
    .replaceAll(/\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])/g, "")
    // deno-lint-ignore no-control-regex
    .replaceAll(/[\x00-\x09\x0b-\x1f\x7f]/g, (c) => c === "\t" ? "  " : "")
    .split("\n")
    .filter((line) => line.trim() !== "");
  const tail = all.slice(-lines);
  const earlier = all.slice(0, -lines).findLast((line) => LAST_WORDS.test(line));
  if (earlier === undefined || tail.some((line) => LAST_WORDS.test(line))) return tail.join("\n");
  return [earlier, "…", ...tail].join("\n");
}
