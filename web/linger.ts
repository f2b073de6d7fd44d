/**
 * How long a dashboard stays when all that it shows is over: whoever was given its link may only be
 * about to open it.
 * @module
 */

/** Milliseconds between two looks whether a page is still open. */
const LOOK_MS = 200;
/** Looks without a page after which it has been closed, and is not just being loaded again. */
const GONE_LOOKS = 8;

/** The pages of a dashboard. */
export interface Onlookers {
  /** Pages that are open. */
  readonly streams: number;
  /** Pages that were ever opened, those that are open as well. */
  readonly opened: number;
}

/**
 * Resolves when a page was open and none is any more, or when `interrupted` does; `wait` waits that
 * many milliseconds.
 */
export async function lingered(
  onlookers: Onlookers,
  interrupted: Promise<void>,
  wait: (ms: number) => Promise<void> = (ms) => new Promise((done) => setTimeout(done, ms)),
): Promise<void> {
  let isOver = false;
  const over = interrupted.then(() => {
    isOver = true;
  });
  // It may have been interrupted already.
  await Promise.race([over, Promise.resolve()]);
  let gone = 0;
  while (!isOver && gone < GONE_LOOKS) {
    await Promise.race([over, wait(LOOK_MS)]);
    gone = onlookers.opened > 0 && onlookers.streams === 0 ? gone + 1 : 0;
  }
}
