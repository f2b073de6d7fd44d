/**
 * Signals that ask a command to end. One Ctrl-C comes more than once: the terminal sends it to each of
 * its processes, and `deno task` and `npx`, which are among them, pass theirs on.
 * @module
 */

/** A signal that asks for an end. */
export type EndSignal = "SIGINT" | "SIGTERM" | "SIGHUP";

const END_SIGNALS: readonly EndSignal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Milliseconds after the first signal in which others are its echoes: less than people take to ask again. */
const ECHO_MS = 500;

/** Tells who asks from what is passed on. */
export class EndRequests {
  #firstMs: number | null = null;

  /** What a signal at `nowMs` is: the first request, an echo of it, or somebody who asks again. */
  take(nowMs: number): "first" | "echo" | "again" {
    if (this.#firstMs === null) {
      this.#firstMs = nowMs;
      return "first";
    }
    return nowMs - this.#firstMs < ECHO_MS ? "echo" : "again";
  }
}

/** From now on `first` is called when an end is asked for, and `again` each time that somebody insists. */
export function onEndSignal(
  first: (signal: EndSignal) => void,
  again: (signal: EndSignal) => void,
): void {
  const requests = new EndRequests();
  for (const signal of END_SIGNALS) {
    Deno.addSignalListener(signal, () => {
      const request = requests.take(performance.now());
      if (request === "first") first(signal);
      else if (request === "again") again(signal);
    });
  }
}
