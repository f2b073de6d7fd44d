/**
 * A table that can be sorted by any of its columns, by mouse and keyboard.
 * @module
 */

import type { ComponentChildren, JSX } from "preact";
import { plural } from "../format.ts";
import { route, setExtra } from "../state/store.ts";
import { ScrollBox } from "./scroll_box.tsx";

/** One column. */
export interface SortColumn<Row> {
  /** In the address: `sort=faults`. */
  readonly key: string;
  readonly title: string;
  readonly kind?: "num" | "mono";
  /** What rows are ordered by. */
  readonly value: (row: Row) => number | string;
  readonly cell: (row: Row) => ComponentChildren;
}

/**
 * A table; its order is kept in the address, `name` in front: `endpoints-sort=-faults`. Rows beyond
 * `most` are counted, not shown.
 */
export function SortTable<Row>(
  { name, label, columns, rows, keyOf, selected, onOpen, most = 50 }: {
    readonly name: string;
    readonly label: string;
    readonly columns: readonly SortColumn<Row>[];
    readonly rows: readonly Row[];
    readonly keyOf: (row: Row) => string;
    readonly selected?: string;
    readonly onOpen?: (row: Row) => void;
    readonly most?: number;
  },
): JSX.Element {
  const parameter = `${name}-sort`;
  const order = route.value.extra[parameter] ?? "";
  const descending = order.startsWith("-");
  const sorting = columns.find(({ key }) => key === order.replace(/^-/, ""));
  const sorted = sorting === undefined
    ? rows
    : [...rows].sort((a, b) => compare(sorting.value(a), sorting.value(b)) * (descending ? -1 : 1));

  function sortBy({ key, kind }: SortColumn<Row>): void {
    const first = kind === "num" ? `-${key}` : key;
    const second = kind === "num" ? key : `-${key}`;
    setExtra(parameter, order === first ? second : order === second ? "" : first, "replace");
  }

  return (
    <ScrollBox label={`${label}, table`} kind="tall">
      <table>
        <caption class="unseen">{label}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th
                key={column.key}
                scope="col"
                class={column.kind === "num" ? "num" : ""}
                aria-sort={column !== sorting ? undefined : descending ? "descending" : "ascending"}
              >
                <button type="button" onClick={() => sortBy(column)}>
                  {column.title}
                  <span aria-hidden="true" class="arrow">
                    {column !== sorting ? "" : descending ? " ↓" : " ↑"}
                  </span>
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.slice(0, most).map((row) => (
            <tr
              key={keyOf(row)}
              class={onOpen === undefined ? "" : "link"}
              aria-current={keyOf(row) === selected ? "true" : undefined}
              onClick={(event) => {
                if (!(event.target as Element).closest("a, button")) onOpen?.(row);
              }}
            >
              {columns.map(({ key, kind, cell }) => (
                <td key={key} class={kind === "num" ? "num" : kind === "mono" ? "mono" : ""}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {sorted.length > most && (
        <p class="note">
          {plural(sorted.length - most, "more row")}: sort or filter to see them.
        </p>
      )}
    </ScrollBox>
  );
}

function compare(a: number | string, b: number | string): number {
  return typeof a === "string" || typeof b === "string"
    ? String(a).localeCompare(String(b))
    : (Number.isNaN(a) ? -Infinity : a) - (Number.isNaN(b) ? -Infinity : b);
}
