/**
 * Colours for terminals, and none for everything else.
 * @module
 */

import { bold, dim, green, red } from "@std/fmt/colors";
import type { Style } from "./reporter.ts";

/** Text as it is. */
export const PLAIN: Style = {
  good: (text) => text,
  bad: (text) => text,
  faint: (text) => text,
  strong: (text) => text,
};

/** ANSI colours. Whoever uses it has switched them on in `@std/fmt/colors`. */
export const COLOURED: Style = {
  good: green,
  bad: (text) => bold(red(text)),
  faint: dim,
  strong: bold,
};
