/**
 * JSON as a tree that opens and closes.
 * @module
 */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { JsonValue } from "../../api.ts";
import { formatHex } from "../format.ts";

/** A tree of a device's state. */
export function Tree({ label, value }: {
  readonly label: string;
  readonly value: JsonValue;
}): JSX.Element {
  const closed = useSignal<ReadonlySet<string>>(new Set());
  const active = useSignal("");
  const host = useRef<HTMLUListElement>(null);
  const entries = childrenOf(value);
  const paths = visiblePaths("", value, closed.value);
  const current = paths.includes(active.value) ? active.value : paths[0] ?? "";

  function toggle(path: string): void {
    const next = new Set(closed.value);
    if (!next.delete(path)) next.add(path);
    closed.value = next;
  }

  function focus(path: string | undefined): void {
    if (path === undefined) return;
    active.value = path;
    for (const item of host.current!.querySelectorAll<HTMLElement>("[role=treeitem]")) {
      if (item.dataset["path"] === path) item.focus();
    }
  }

  function onKeyDown(event: KeyboardEvent): void {
    // As it is now, and not when it was last drawn: keys come faster than frames.
    const paths = visiblePaths("", value, closed.value);
    const current = paths.includes(active.value) ? active.value : paths[0] ?? "";
    const at = paths.indexOf(current);
    const branch = host.current!.querySelector(`[data-path="${CSS.escape(current)}"]`);
    const expanded = branch?.hasAttribute("aria-expanded")
      ? String(!closed.value.has(current))
      : undefined;
    if (event.key === "ArrowDown") focus(paths[at + 1]);
    else if (event.key === "ArrowUp") focus(paths[at - 1]);
    else if (event.key === "Home") focus(paths[0]);
    else if (event.key === "End") focus(paths[paths.length - 1]);
    else if (event.key === "ArrowRight" && expanded === "false") toggle(current);
    else if (event.key === "ArrowRight" && expanded === "true") focus(paths[at + 1]);
    else if (event.key === "ArrowLeft" && expanded === "true") toggle(current);
    else if (event.key === "ArrowLeft") focus(parentOf(current));
    else if (event.key === "Enter" && expanded) toggle(current);
    else return;
    event.preventDefault();
  }

  function branch(name: string, child: JsonValue, parent: string, level: number): JSX.Element {
    const path = `${parent}/${name.replaceAll("/", "~")}`;
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
      {entries.map(([name, child]) => branch(name, child, "", 1))}
    </ul>
  );
}

function childrenOf(value: JsonValue): [string, JsonValue][] {
  return value !== null && typeof value === "object" ? Object.entries(value) : [];
}

function visiblePaths(parent: string, value: JsonValue, closed: ReadonlySet<string>): string[] {
  return childrenOf(value).flatMap(([name, child]) => {
    const path = `${parent}/${name.replaceAll("/", "~")}`;
    return closed.has(path) ? [path] : [path, ...visiblePaths(path, child, closed)];
  });
}

function parentOf(path: string): string | undefined {
  const at = path.lastIndexOf("/");
  return at > 0 ? path.slice(0, at) : undefined;
}

function leaf(value: JsonValue): string {
  if (typeof value === "number" && Number.isInteger(value) && value > 9) {
    return `${value} (${formatHex(value)})`;
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}
