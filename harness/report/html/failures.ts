/**
 * The runs that failed, in full: what was checked, what was thrown, what it said, and how to
 * repeat it.
 * @module
 */

import type { CheckReport, RunReport, StepReport } from "../../run/run_report.ts";
import { viaLabel } from "../../via/variant.ts";
import { duration } from "../text.ts";
import type { NumberedRun } from "./grid.ts";
import { counted } from "./numbers.ts";
import { Room, shortName } from "./room.ts";
import { runAnchor, statusMark } from "./run_link.ts";
import { type Html, html } from "./template.ts";

/** Characters of one text, and of all texts of one run. */
const MOST_OF_TEXT = 32 * 1024, MOST_OF_RUN = 192 * 1024;
/** Characters that all runs in full may come to. */
const MOST_OF_ALL = 6 * 1024 * 1024;
/** Checks, errors and steps of a run that are listed. */
const MOST_CHECKS = 200, MOST_ERRORS = 50, MOST_STEPS = 200;
/** Failed runs that are told of with reason and command alone, once there is no room for more. */
const MOST_BRIEF = 1000;
/** From so many on, those out of sight are not laid out. */
const MANY = 50;
const NAME = 200;

/** A block of text that scrolls by itself, and can be reached by keyboard to do so. */
function block(label: string, text: string): Html {
  return html`<pre class="scroll" tabindex="0" role="group" aria-label="${label}">${text}</pre>`;
}

/** The command on one line: a line feed in it would run what comes before as soon as it is pasted. */
function commandMarkup(label: string, command: string): Html {
  return html`
    <p
      class="command"><code>${command.replaceAll(
        "\n",
        "\\u000a",
      )}</code> <button type="button" class="copy" hidden aria-label="${label}">Copy</button></p>
  `;
}

function checkMarkup({ name, detail }: CheckReport, room: Room): Html {
  return html`<li><span class="failed">${statusMark("failed")}</span> ${room.take(name, 2048)}${
    detail === undefined ? null : html`<pre>${room.take(detail, MOST_OF_TEXT)}</pre>`
  }</li>`;
}

function checksMarkup(checks: readonly CheckReport[], room: Room): Html | null {
  const failed = checks.filter(({ ok }) => !ok);
  if (failed.length === 0) return null;
  const shown = failed.slice(0, MOST_CHECKS);
  return html`<h4>Failed checks, ${failed.length} of ${checks.length}</h4>
<ul class="checks">
${shown.map((check) => checkMarkup(check, room))}</ul>
${
    shown.length === failed.length
      ? null
      : html`<p class="note">${
        counted(failed.length - shown.length, "failed check")
      } more left out</p>`
  }`;
}

function errorsMarkup(errors: readonly string[], room: Room): Html {
  const shown = errors.slice(0, MOST_ERRORS);
  return html`<h4>Errors</h4>
${shown.map((error) => html`<pre>${room.take(error, MOST_OF_TEXT)}</pre>`)}${
    shown.length === errors.length
      ? null
      : html`<p class="note">${counted(errors.length - shown.length, "error")} more left out</p>`
  }`;
}

function stepsMarkup(steps: readonly StepReport[], room: Room): Html {
  const shown = steps.slice(0, MOST_STEPS);
  return html`
    <details><summary>Steps, ${steps.length}</summary>
    <ol class="steps">
    ${shown.map(({ name, depth, ok, durationMs }) => {
      const status = ok ? "passed" : "failed";
      return html`
        <li
          class="depth-${Math.min(depth, 8)}"><span class="${status}">${statusMark(
            status,
          )}<span class="unseen"> ${status}</span></span> ${room.take(
            name,
            512,
          )} <span class="small">${duration(durationMs)}</span></li>
      `;
    })}</ol>
    ${shown.length === steps.length
      ? null
      : html`<p class="note">${
        counted(steps.length - shown.length, "step")
      } more left out</p>`}</details>
  `;
}

/** What one run is called: `edu-dma-scatter remap via vfio-user (messages)`. */
function where({ mode, via, variant }: RunReport): string {
  return `${mode} via ${viaLabel(via, variant)}`;
}

function article({ number, report }: NumberedRun, body: Html): Html {
  const { scenario, mode, via, seed, durationMs } = report;
  const anchor = runAnchor(number);
  return html`
    <article id="${anchor}" class="panel run item" aria-labelledby="${anchor}-title"
      data-status="${report.status}" data-mode="${mode}" data-via="${via}">
    <h3 id="${anchor}-title"><span class="failed">${statusMark("failed")}</span> ${shortName(
      scenario,
      NAME,
    )} <span class="where">${where(report)}</span></h3>
    <p class="small">Run ${number}, seed ${seed}, ${duration(durationMs)}</p>
    ${body}</article>
  `;
}

function briefMarkup({ number, report: { reason, rerun } }: NumberedRun, room: Room): Html {
  return html`${
    reason === undefined ? null : html`<p class="reason">${room.take(reason, 2048)}</p>`
  }${
    rerun === undefined
      ? null
      : html`${
        commandMarkup(`Copy the command that repeats run ${number}`, room.take(rerun, 4096))
      }`
  }`;
}

function fullMarkup(run: NumberedRun): Html {
  const { checks, errors, log, output, steps } = run.report;
  const room = new Room(MOST_OF_RUN);
  return html`${briefMarkup(run, room)}${checksMarkup(checks, room)}${
    errors === undefined ? null : errorsMarkup(errors, room)
  }${
    log === undefined
      ? null
      : html`<details open><summary>Log, ${counted(log.length, "line")}</summary>${
        block(`Log of run ${run.number}`, room.take(log.join("\n"), MOST_OF_TEXT))
      }</details>`
  }${
    output === undefined
      ? null
      : html`<details open><summary>Output</summary>${
        block(`Output of run ${run.number}`, room.take(output, MOST_OF_TEXT))
      }</details>`
  }${steps === undefined ? null : stepsMarkup(steps, room)}`;
}

/** The section, and which runs have a place in it. */
export interface Failures {
  readonly section: Html;
  /** Numbers of the runs. */
  readonly shown: ReadonlySet<number>;
}

/** Of the runs that failed, in their order. */
export function failuresOf(runs: readonly NumberedRun[]): Failures {
  const failed = runs.filter(({ report }) => report.status === "failed");
  const articles: Html[] = [];
  const shown = new Set<number>();
  let used = 0;
  let brief = 0;
  for (const run of failed) {
    let markup: Html;
    if (used < MOST_OF_ALL) {
      markup = article(run, fullMarkup(run));
      used += markup.text.length;
    } else {
      if (brief === MOST_BRIEF) break;
      markup = article(run, briefMarkup(run, new Room(1024)));
      brief++;
    }
    articles.push(markup);
    shown.add(run.number);
  }
  const cut = brief === 0 ? null : html`
    <p
      class="note">This page has no room for more: ${counted(
        articles.length - brief,
        "run",
      )} in full, ${counted(brief, "run")} with the reason alone, ${counted(
        failed.length - articles.length,
        "run",
      )} in the list below alone. --json writes them all.</p>
  `;
  const section = html`
    <section id="failures" class="${articles.length > MANY
      ? "many"
      : "few"}" aria-labelledby="failures-title">
    <h2 id="failures-title">${failed.length === 0
      ? "No run failed"
      : `Failed, ${counted(failed.length, "run")}`}</h2>
    ${cut}${articles}<p class="note filtered" hidden>No failed run passes the filter</p>
    </section>
  `;
  return { section, shown };
}
