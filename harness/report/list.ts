/**
 * `--list`: the scenarios there are, as a table or as lines of JSON.
 * @module
 */

import type { ScenarioInfo } from "../child/child_protocol.ts";
import { printable } from "./text.ts";
import type { Style } from "./reporter.ts";

/** One JSON object a scenario. */
export function listAsJson(scenarios: readonly ScenarioInfo[]): string {
  return scenarios.map(({ name, title, modes, vias, tags }) =>
    JSON.stringify({ scenario: name, title, modes, vias, tags }) + "\n"
  ).join("");
}

/** A table: name, modes, vias, tags, and the title under each. */
export function listAsTable(scenarios: readonly ScenarioInfo[], style: Style): string {
  const rows = scenarios.map((info) => [
    info.name,
    info.modes.join(" "),
    info.vias.join(" "),
    printable(info.tags.join(" ")),
  ]);
  const heading = ["scenario", "modes", "vias", "tags"];
  const widths = heading.map((name, at) =>
    Math.max(name.length, ...rows.map((row) => row[at]!.length))
  );
  const line = (cells: readonly string[]) =>
    cells.map((text, at) => text.padEnd(widths[at]!)).join("  ").trimEnd();
  let text = style.faint(line(heading)) + "\n";
  scenarios.forEach((info, at) => {
    text += `${line(rows[at]!)}\n  ${style.faint(printable(info.title))}\n`;
  });
  return `${text}${scenarios.length} scenario${scenarios.length === 1 ? "" : "s"}\n`;
}
