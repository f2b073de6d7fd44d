/**
 * Reads the child's stdin in a thread of its own. A scenario may keep the main
 * thread busy for ever; when the parent is gone this thread still ends the process.
 * @module
 */

/** The worker's end of its message port. */
interface Port {
  postMessage(line: string): void;
}

const port = self as unknown as Port;
const decoder = new TextDecoder();
const chunk = new Uint8Array(65536);
let rest = "";
for (;;) {
  let length: number | null;
  try {
    length = Deno.stdin.readSync(chunk);
  } catch {
    length = null;
  }
  if (length === null) {
    // Deno.exit() would end this worker alone.
    Deno.kill(Deno.pid, "SIGKILL");
    break;
  }
  rest += decoder.decode(chunk.subarray(0, length), { stream: true });
  const lines = rest.split("\n");
  rest = lines.pop()!;
  for (const line of lines) port.postMessage(line);
}
