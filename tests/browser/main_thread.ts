/**
 * What the main thread of a page does, from Chromium's own trace.
 * @module
 */

import type { Browser, Page } from "playwright-core";

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds by the clock on the wall, and of the processor. */
  readonly dur?: number;
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
}

/** A task of the main thread. */
export interface Task {
  readonly wallMs: number;
  /**
   * Processor time. A page's own long-task entries are by the clock on the wall, and on a machine
   * with other work they tell of that.
   */
  readonly cpuMs: number;
}

/** From now on tasks are noted. */
export async function startNoting(browser: Browser, page: Page): Promise<void> {
  await browser.startTracing(page, {
    categories: ["toplevel", "disabled-by-default-devtools.timeline"],
  });
}

/** The tasks since {@linkcode startNoting}, those that took the processor longest first. */
export async function stopNoting(browser: Browser): Promise<readonly Task[]> {
  const trace = JSON.parse(new TextDecoder().decode(await browser.stopTracing())) as {
    readonly traceEvents: readonly TraceEvent[];
  };
  const threads = new Set(
    trace.traceEvents
      .filter(({ name, args }) => name === "thread_name" && args?.name === "CrRendererMain")
      .map(({ pid, tid }) => `${pid}/${tid}`),
  );
  return trace.traceEvents
    .filter(({ name, ph, pid, tid }) =>
      name === "RunTask" && ph === "X" && threads.has(`${pid}/${tid}`)
    )
    .map(({ dur = 0, tdur }) => ({ wallMs: dur / 1000, cpuMs: (tdur ?? dur) / 1000 }))
    .sort((a, b) => b.cpuMs - a.cpuMs);
}
