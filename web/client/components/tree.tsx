/// <reference lib="dom" />
/**
 * JSON as a tree that opens and closes.
 * @module
 */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { JsonValue } from "../../api.ts";
import { formatHex } from "../format.ts";
import { childrenOf, itemsInSight, pathOf, standingOn, stepOf } from "./tree_walk.ts";

/** A tree of a device's state. While it has the focus it keeps it, however the state changes. */
export function Tree({ label, value }: {
  readonly label: string;
  readonly value: JsonValue;
}): JSX.Element {
  const closed = useSignal<ReadonlySet<string>>(new Set());
  const active = useSignal("");
  const host = useRef<HTMLUListElement>(null);
  const current = standingOn(itemsInSight(value, closed.value), active.value);

  // Asked before the items change: a browser lets go of the focus with the item that had it.
  const hadFocus = host.current?.contains(document.activeElement) ?? false;
  useLayoutEffect(() => {
    const item = host.current!.querySelector<HTMLElement>(`[data-path="${CSS.escape(current)}"]`);
    if (hadFocus && item !== document.activeElement) item?.focus();
  });

  function toggle(path: string): void {
    const next = new Set(closed.value);
    if (!next.delete(path)) next.add(path);
    closed.value = next;
  }

  function onKeyDown(event: KeyboardEvent): void {
    // As it is now, and not when it was last drawn: keys may come faster than frames.
    const items = itemsInSight(value, closed.value);
    const step = stepOf(items, standingOn(items, active.value), event.key);
    if (step === null || event.ctrlKey || event.metaKey || event.altKey) return;
    if (step.kind === "toggle") toggle(step.path);
    else if (step.path !== null) active.value = step.path;
    event.preventDefault();
  }

  function branch(name: string, child: JsonValue, parent: string, level: number): JSX.Element {
    const path = pathOf(parent, name);
    const inner = childrenOf(child);
    const open = inner.length > 0 && !closed.value.has(path);
    return (
      <li
        key={name}
        role="treeitem"
        aria-level={level}
        aria-selected={path === current}
        aria-expanded={inner.length > 0 ? open : undefined}
        tabIndex={path === current ? 0 : -1}
        data-path={path}
        onFocus={(event) => {
          event.stopPropagation();
          active.value = path;
        }}
        onClick={(event) => {
          event.stopPropagation();
          if (inner.length > 0) toggle(path);
        }}
      >
        <span class="twist" aria-hidden="true">{inner.length === 0 ? "" : open ? "▾" : "▸"}</span>
        <span class="muted">{name}</span> {inner.length > 0
          ? <span class="muted">{Array.isArray(child) ? `[${inner.length}]` : ""}</span>
          : <span>{leaf(child)}</span>}
        {open && (
          <ul role="group">
            {inner.map(([key, value]) => branch(key, value, path, level + 1))}
          </ul>
        )}
      </li>
    );
  }

  return (
    <ul class="tree" role="tree" aria-label={label} ref={host} onKeyDown={onKeyDown}>
      {childrenOf(value).map(([name, child]) => branch(name, child, "", 1))}
    </ul>
  );
}

function leaf(value: JsonValue): string {
  if (typeof value === "number" && Number.isInteger(value) && value > 9) {
    return `${value} (${formatHex(value)})`;
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}
