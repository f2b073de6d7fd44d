/**
 * The sums of packages that were fetched though no lock names them: what a version was once it is
 * to be for ever. One a line in a file of the cache, which nothing there removes.
 * @module
 */

import { join } from "@std/path";
import { writeWhole } from "./cache.ts";

const FILE = "sums";
const LINE = /^(\S+=\S+) ([0-9a-f]{64})$/;

/** The sums by `name=version`; lines that are none are passed over. */
export async function readSums(cache: string): Promise<Map<string, string>> {
  const sums = new Map<string, string>();
  const text = await Deno.readTextFile(join(cache, FILE)).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  });
  for (const line of text.split("\n")) {
    const [, name, sum] = LINE.exec(line) ?? [];
    if (name !== undefined && sum !== undefined) sums.set(name, sum);
  }
  return sums;
}

/** Adds sums; those that are there stay as they are. Hold the cache's lock. */
export async function addSums(cache: string, sums: ReadonlyMap<string, string>): Promise<void> {
  const before = await readSums(cache);
  const all = new Map([...sums, ...before]);
  if (all.size === before.size) return;
  const lines = [...all].sort(([a], [b]) => a < b ? -1 : 1).map(([name, sum]) =>
    `${name} ${sum}\n`
  );
  await writeWhole(join(cache, FILE), lines.join(""));
}
