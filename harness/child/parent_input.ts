/**
 * The end of a parent, which a child sees at its stdin.
 * @module
 */

/**
 * Reads stdin until it ends, as it does with the parent; then calls `last`, and ends this process. For
 * a thread of its own, which ends the process whatever the others do. Never returns while it goes on.
 */
export function readUntilParentEnds(
  take: (bytes: Uint8Array) => void,
  last: () => void = () => {},
): void {
  const chunk = new Uint8Array(65536);
  for (;;) {
    let length: number | null;
    try {
      length = Deno.stdin.readSync(chunk);
    } catch {
      length = null;
    }
    if (length === null) break;
    take(chunk.subarray(0, length));
  }
  last();
  // Deno.exit() would end a worker alone.
  Deno.kill(Deno.pid, "SIGKILL");
}
