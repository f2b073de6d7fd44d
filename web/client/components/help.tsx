/**
 * The keys that the page knows.
 * @module
 */

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

const KEYS: readonly (readonly [keys: string, what: string])[] = [
  ["Space", "pause, or go on"],
  ["/", "go to the filter"],
  ["1 to 6", "Overview, Endpoint, Domains, Faults, Messages, Runs"],
  ["[ and ]", "a shorter or longer time range"],
  ["↑ ↓", "choose a row of a list; also Page Up, Page Down, Home, End"],
  ["← →", "scroll a list or table that is too wide"],
  ["Escape", "let go of the row, or leave the filter"],
  ["t", "dark or light"],
  ["?", "this list"],
];

/** The list of keys, over the page. */
export function Help({ isOpen, onClose }: {
  readonly isOpen: boolean;
  readonly onClose: () => void;
}): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (isOpen) dialog.current!.showModal();
    else dialog.current!.close();
  }, [isOpen]);
  return (
    <dialog ref={dialog} aria-labelledby="help-title" onClose={onClose}>
      <h1 id="help-title">Keys and filters</h1>
      <dl class="keys">
        {KEYS.map(([keys, what]) => (
          <>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </>
        ))}
      </dl>
      <p>
        A filter is words that must all hold: <code>reason:unmapped</code>,{" "}
        <code>faults:&gt;0</code>, <code>errno:!0</code>,{" "}
        <code>command:DMA_*</code>. A word without a colon is looked for in every column.
      </p>
      <p class="dialog-foot">
        <button type="button" class="primary" onClick={onClose}>Close</button>
      </p>
    </dialog>
  );
}
