/**
 * A list of any length, of which only the rows in sight are there. Its rows are
 * chosen with the arrow keys, like those of a list box.
 * @module
 */

import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { useEdges } from "./scroll_box.tsx";

/** Pixels of a row; the style sheet has the same number. */
const ROW = 28;
const SPARE = 12;
/** Browsers clip boxes beyond some 33 million pixels. */
const MAX_ROWS = 1_000_000;

/** One column. */
export interface GridColumn<Row> {
  readonly title: string;
  /** A track of `grid-template-columns`. */
  readonly width: string;
  /** A number, or text in monospace. */
  readonly kind?: "num" | "mono";
  /** What the title alone does not say. */
  readonly hint?: string;
  readonly cell: (row: Row) => ComponentChildren;
}

/** A list. */
export interface VirtualGridProps<Row> {
  readonly label: string;
  readonly columns: readonly GridColumn<Row>[];
  readonly count: number;
  /** Null while the row is not there yet. */
  readonly rowAt: (index: number) => Row | null;
  readonly keyOf: (row: Row) => string;
  /** Key of the chosen row; empty when none is. */
  readonly selected: string;
  /** Index of a key's row; -1 when it is not there. */
  readonly indexOf: (key: string) => number;
  readonly onSelect: (key: string) => void;
  /** Most pixels high. */
  readonly height: number;
  /** Told which rows are in sight. */
  readonly onView?: (first: number, last: number) => void;
  /** New rows come first: what is in sight stays where it is. */
  readonly growsAtTop?: true;
}

/** The list as a grid of rows. */
export function VirtualGrid<Row>(props: VirtualGridProps<Row>): JSX.Element {
  const { columns, selected, label } = props;
  const host = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const count = Math.min(props.count, MAX_ROWS);
  const body = Math.min(props.height, (count + 1) * ROW + 2);
  const first = Math.max(0, Math.floor(top.value / ROW) - SPARE);
  const last = Math.min(count - 1, Math.ceil((top.value + body) / ROW) + SPARE);
  const chosen = selected === "" ? -1 : props.indexOf(selected);
  const id = `grid-${label.replaceAll(/\W+/g, "-")}`;
  const template = columns.map(({ width }) => width).join(" ");
  const before = useRef(count);
  useEdges(host);

  useLayoutEffect(() => {
    const grown = count - before.current;
    before.current = count;
    if (props.growsAtTop && grown > 0 && host.current!.scrollTop > 0) {
      host.current!.scrollTop += grown * ROW;
    }
  }, [count]);

  useEffect(() => props.onView?.(first, last), [first, last, count]);

  // A row that a link names is brought into sight.
  useEffect(() => {
    if (chosen >= 0) show(chosen);
  }, [selected, chosen >= 0]);

  function show(index: number): void {
    const element = host.current!;
    const y = index * ROW;
    if (y < element.scrollTop) element.scrollTop = y;
    const bottom = y + 2 * ROW - element.clientHeight;
    if (bottom > element.scrollTop) element.scrollTop = bottom;
    // The browser tells of it a frame later, and what is chosen by then must not be missing.
    top.value = element.scrollTop;
  }

  function onKeyDown(event: KeyboardEvent): void {
    const page = Math.max(1, Math.floor(body / ROW) - 2);
    const moves: Readonly<Record<string, number>> = {
      ArrowDown: chosen + 1,
      ArrowUp: chosen < 0 ? 0 : chosen - 1,
      PageDown: chosen + page,
      PageUp: chosen - page,
      Home: 0,
      End: count - 1,
    };
    const to = moves[event.key];
    if (event.key === "Escape" && selected !== "") {
      event.preventDefault();
      props.onSelect("");
    }
    if (to === undefined || count === 0) return;
    event.preventDefault();
    const index = Math.min(count - 1, Math.max(0, to));
    const row = props.rowAt(index);
    show(index);
    if (row !== null) props.onSelect(props.keyOf(row));
  }

  const rows: JSX.Element[] = [];
  for (let i = first; i <= last; i++) {
    const row = props.rowAt(i);
    const key = row === null ? "" : props.keyOf(row);
    rows.push(
      <div
        key={i}
        id={`${id}-${i}`}
        role="row"
        aria-rowindex={i + 2}
        aria-selected={i === chosen}
        class="grid-row"
        style={{ top: `${i * ROW}px`, gridTemplateColumns: template }}
        onClick={() => row !== null && props.onSelect(key)}
      >
        {columns.map(({ title, kind, cell }) => (
          <span role="gridcell" class={kindClass(kind)} key={title}>
            {row === null ? "…" : cell(row)}
          </span>
        ))}
      </div>,
    );
  }
  return (
    <div class="scroller">
      <div
        ref={host}
        class="grid"
        role="grid"
        tabIndex={0}
        aria-label={label}
        aria-rowcount={count + 1}
        aria-activedescendant={chosen >= first && chosen <= last ? `${id}-${chosen}` : undefined}
        style={{ height: `${body}px` }}
        onKeyDown={onKeyDown}
        onScroll={(event) => top.value = event.currentTarget.scrollTop}
      >
        <div class="grid-inner">
          <div
            role="row"
            aria-rowindex={1}
            class="grid-row grid-head"
            style={{ gridTemplateColumns: template }}
          >
            {columns.map(({ title, kind, hint }) => (
              <span
                role="columnheader"
                class={kind === "num" ? "num" : ""}
                key={title}
                title={hint}
              >
                {title}
              </span>
            ))}
          </div>
          <div class="grid-body" role="rowgroup" style={{ height: `${count * ROW}px` }}>{rows}</div>
        </div>
      </div>
    </div>
  );
}

function kindClass(kind: "num" | "mono" | undefined): string {
  return kind === undefined ? "" : kind === "num" ? "num mono" : "mono";
}
