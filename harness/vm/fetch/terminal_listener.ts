/**
 * Fetching's progress for people: one line that moves on a terminal, a line a
 * stage elsewhere.
 * @module
 */

import type { Terminal } from "../../cli/terminal.ts";
import type { FetchListener } from "./listener.ts";

const CLEAR_LINE = "\r\x1b[K";

/** Writes to a terminal or a log, which is stderr. */
export class TerminalListener implements FetchListener {
  #stage = "";
  #percent = -1;

  constructor(private readonly terminal: Terminal) {}

  stage(what: string): void {
    this.#stage = what;
    this.#percent = -1;
    this.terminal.write(this.terminal.isTerminal ? `${CLEAR_LINE}${what}` : `${what}\n`);
  }

  progress(done: number): void {
    const percent = Math.min(100, Math.max(0, Math.floor(100 * done)));
    if (!this.terminal.isTerminal || percent === this.#percent) return;
    this.#percent = percent;
    this.terminal.write(`${CLEAR_LINE}${this.#stage} ${percent} %`);
  }

  notice(text: string): void {
    this.terminal.write(this.terminal.isTerminal ? `${CLEAR_LINE}${text}\n` : `${text}\n`);
  }

  /** Takes the moving line away. */
  end(): void {
    if (this.terminal.isTerminal) this.terminal.write(CLEAR_LINE);
  }
}
