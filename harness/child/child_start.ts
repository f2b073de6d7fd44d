/**
 * Starts child processes, and waits until they listen.
 * @module
 */

import { ChildProcess } from "./child_process.ts";

/** Milliseconds a process may take to start. Generous: a loaded machine is no error. */
const START_MS = 30_000;

/**
 * A child that is ready. `started` gets it at once, while it is still starting.
 * @throws {Error} when it ends or stays silent instead
 */
export function startChild(started?: (child: ChildProcess) => void): Promise<ChildProcess> {
  const child = new ChildProcess();
  started?.(child);
  let printed = "";
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      clearTimeout(timer);
      child.listener = null;
      child.kill();
      const rest = printed === "" ? "" : `\n${printed}`;
      reject(new Error(`Cannot start a child process of the runner: ${why}${rest}`));
    };
    const timer = setTimeout(() => fail(`it said nothing for ${START_MS} ms`), START_MS);
    child.listener = {
      message(message) {
        if (message.kind !== "ready") return fail(`its first message was ${message.kind}`);
        clearTimeout(timer);
        child.listener = null;
        resolve(child);
      },
      text(_stream, text) {
        printed += text;
      },
      stderrMark() {},
      garbled(line) {
        fail(`it wrote ${line}`);
      },
      exited(how) {
        fail(`it ended with ${how}`);
      },
    };
  });
}
