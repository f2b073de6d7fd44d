/**
 * Reads the child's stdin in a thread of its own. A scenario may keep the main
 * thread busy for ever; when the parent is gone this thread still ends the process.
 * @module
 */

import { readUntilParentEnds } from "./parent_input.ts";

/** The worker's end of its message port. */
interface Port {
  postMessage(line: string): void;
}

const port = self as unknown as Port;
const decoder = new TextDecoder();
let rest = "";
readUntilParentEnds((bytes) => {
  rest += decoder.decode(bytes, { stream: true });
  const lines = rest.split("\n");
  rest = lines.pop()!;
  for (const line of lines) port.postMessage(line);
});
