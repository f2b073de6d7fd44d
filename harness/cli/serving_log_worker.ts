/**
 * Writes the log of the thread that serves, and waits for its reader instead of it.
 * @module
 */

import { Terminal } from "./terminal.ts";

declare const self: {
  onmessage: ((event: MessageEvent<string>) => void) | null;
  postMessage(length: number): void;
};

const stderr = new Terminal(Deno.stderr);

self.onmessage = ({ data }) => {
  stderr.write(data);
  self.postMessage(data.length);
};
