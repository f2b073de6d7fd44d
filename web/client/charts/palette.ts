/**
 * The colours of series, as the style sheet has them for the theme that is on, and
 * the dashes that go with them: no series is told apart by colour alone.
 * @module
 */

import { type Signal, signal } from "@preact/signals";

/** Colours there are. */
export const SERIES_COLORS = 8;
/** The colour of what is not shown by itself. */
export const OTHERS = -1;

const DASHES: readonly (readonly number[])[] = [
  [],
  [7, 3],
  [2, 3],
  [9, 3, 2, 3],
  [4, 2],
  [1, 2],
  [12, 4],
  [7, 2, 2, 2, 2, 2],
];

/** `dark` or `light`. */
export type Theme = "dark" | "light";

const KEY = "viaduct-theme";

/** The theme that is on. */
export const theme: Signal<Theme> = signal(startTheme());

function startTheme(): Theme {
  const kept = keptTheme();
  if (kept === "dark" || kept === "light") return kept;
  return matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
}

function keptTheme(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    // A reader may have told the browser that pages keep nothing.
    return null;
  }
}

/** Turns to the other theme, and stays there. */
export function toggleTheme(): void {
  theme.value = theme.value === "dark" ? "light" : "dark";
  try {
    localStorage.setItem(KEY, theme.value);
  } catch {
    // As above: until the page is loaded again, then.
  }
}

/** Puts the theme on the document, now and whenever it changes. */
export function applyTheme(): void {
  theme.subscribe((value) => {
    document.documentElement.dataset["theme"] = value;
  });
}

/** The value of a colour variable of the style sheet: `line` for `--line`. */
export function colorOf(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** The variable of a series' colour. `index` is 0..7, or {@linkcode OTHERS}. */
export function seriesVariable(index: number): string {
  return index === OTHERS ? "series-others" : `series-${index % SERIES_COLORS}`;
}

/** Lengths of strokes and gaps of a series' line; empty for a whole line. */
export function dashOf(index: number): readonly number[] {
  return index === OTHERS ? [1, 4] : DASHES[index % SERIES_COLORS]!;
}
