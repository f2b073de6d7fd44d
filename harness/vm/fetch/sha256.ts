/**
 * SHA-256 sums of files, in lower-case hexadecimal.
 * @module
 */

import { createHash } from "node:crypto";

/** The sum of a file, read piece by piece. */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash("sha256");
  const file = await Deno.open(path);
  for await (const bytes of file.readable) hash.update(bytes);
  return hash.digest("hex");
}

/** The sum of some parts; each is preceded by its length, so that no two lists share one. */
export function sha256Parts(parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) {
    const bytes = typeof part === "string" ? new TextEncoder().encode(part) : part;
    hash.update(`${bytes.length}:`);
    hash.update(bytes);
  }
  return hash.digest("hex");
}
