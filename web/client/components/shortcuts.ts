/**
 * Single keys, for the whole page. They rest while someone types.
 * @module
 */

import { toggleTheme } from "../charts/palette.ts";
import { PAGES, RANGES } from "../state/route.ts";
import { go, placeOf, route, setRange, togglePause } from "../state/store.ts";

/** Listens. `onHelp` shows the list of keys. Called once. */
export function listenToKeys(onHelp: () => void): void {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target as HTMLElement;
    if (target.closest("input:not([type=range]), select, textarea, dialog") !== null) return;
    // Space is also the key that presses what has the focus.
    if (event.key === " " && target.closest("button, a, summary, [role=treeitem]") !== null) return;
    if (!act(event.key, onHelp)) return;
    event.preventDefault();
  });
}

function act(key: string, onHelp: () => void): boolean {
  const page = PAGES[Number(key) - 1];
  if (key === " ") togglePause();
  else if (key === "/") document.getElementById("filter")?.focus();
  else if (key === "t") toggleTheme();
  else if (key === "?") onHelp();
  else if (key === "[" || key === "]") stepRange(key === "[" ? -1 : 1);
  else if (page !== undefined) go(placeOf(page));
  else return false;
  return true;
}

function stepRange(step: number): void {
  const { range } = route.value;
  const at = range.kind === "last" ? RANGES.indexOf(range.seconds) : RANGES.length - 1;
  const seconds = RANGES[Math.min(RANGES.length - 1, Math.max(0, at + step))]!;
  setRange({ kind: "last", seconds });
}
