/**
 * How a run and its outcome are told wherever they appear on the page.
 * @module
 */

import type { RunStatus } from "../../run/run_report.ts";
import { type Html, html } from "./template.ts";

/** Whether the run of this number has a place to link to. */
export type Linked = (number: number) => boolean;

/** The fragment of a run's own place. */
export function runAnchor(number: number): string {
  return `run-${number}`;
}

const MARKS: Readonly<Record<RunStatus, string>> = { passed: "✓", failed: "✗", skipped: "○" };

/** A sign beside the word: the outcome is never told by colour alone. */
export function statusMark(status: RunStatus): Html {
  return html`<span aria-hidden="true">${MARKS[status]}</span>`;
}
