/**
 * One line on a terminal that says how far the runs are.
 * @module
 */

import type { PlannedRun } from "../run/plan.ts";
import type { Terminal } from "./terminal.ts";

const CLEAR_LINE = "\r\x1b[K";

/** The progress line. Does nothing when the stream is no terminal, or there is none. */
export class ProgressLine {
  readonly #running = new Map<PlannedRun, string>();
  #done = 0;

  constructor(
    private readonly terminal: Terminal | null,
    private readonly total: number,
    private readonly columns: () => number,
  ) {}

  started(run: PlannedRun): void {
    this.#running.set(run, "");
    this.#draw();
  }

  progress(run: PlannedRun, done: number, total: number): void {
    const percent = total > 0 ? Math.min(100, Math.max(0, Math.floor(100 * done / total))) : 0;
    this.#running.set(run, ` ${percent} %`);
    this.#draw();
  }

  finished(run: PlannedRun): void {
    this.#running.delete(run);
    this.#done++;
    this.#draw();
  }

  /** Takes the line away, so that results can be written. It comes back with the next change. */
  clear(): void {
    if (this.terminal?.isTerminal) this.terminal.write(CLEAR_LINE);
  }

  #draw(): void {
    if (!this.terminal?.isTerminal) return;
    const running = [...this.#running].map(([{ entry, mode }, part]) =>
      `${entry.name} ${mode}${part}`
    );
    const line = `[${this.#done}/${this.total}] ${running.join(", ")}`;
    this.terminal.write(CLEAR_LINE + line.slice(0, Math.max(0, this.columns() - 1)));
  }
}
