/**
 * Where one may stand in a tree of JSON, and where a key leads from there: the keys of
 * a tree view (WAI-ARIA Authoring Practices 1.2, Tree View), without a page.
 * @module
 */

import type { JsonValue } from "../../api.ts";

/** One item that is in sight. */
export interface TreeItem {
  /** Names from the root down, each after a `/`, escaped as in RFC 6901. */
  readonly path: string;
  /** Whether there is something inside. */
  readonly isBranch: boolean;
  /** Whether what is inside is in sight. False for what has nothing inside. */
  readonly isOpen: boolean;
}

/** What a key asks for. */
export type TreeStep =
  /** To stand on another item; on none when it leads nowhere. */
  | { readonly kind: "stand"; readonly path: string | null }
  /** To open the item, or to close it. */
  | { readonly kind: "toggle"; readonly path: string };

/** Members of an object or an array, by name. Empty for everything else. */
export function childrenOf(value: JsonValue): [string, JsonValue][] {
  return value !== null && typeof value === "object" ? Object.entries(value) : [];
}

/** The path of a member of the item at `parent`; the root's path is empty. */
export function pathOf(parent: string, name: string): string {
  return `${parent}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

/** All items that are in sight, from top to bottom. */
export function itemsInSight(value: JsonValue, closed: ReadonlySet<string>): readonly TreeItem[] {
  const items: TreeItem[] = [];
  const add = (parent: string, inside: JsonValue): void => {
    for (const [name, child] of childrenOf(inside)) {
      const path = pathOf(parent, name);
      const isBranch = childrenOf(child).length > 0;
      const isOpen = isBranch && !closed.has(path);
      items.push({ path, isBranch, isOpen });
      if (isOpen) add(path, child);
    }
  };
  add("", value);
  return items;
}

/**
 * The item to stand on: the one at `path`; the nearest around it that is in sight when that one
 * has gone, as a live device's state has it; else the first. Empty when there is none.
 */
export function standingOn(items: readonly TreeItem[], path: string): string {
  for (let at = path; at !== ""; at = parentOf(at)) {
    if (items.some((item) => item.path === at)) return at;
  }
  return items[0]?.path ?? "";
}

/** What `key` asks for on the item at `path`, which is in sight; null for a key that is not the tree's. */
export function stepOf(items: readonly TreeItem[], path: string, key: string): TreeStep | null {
  const at = items.findIndex((item) => item.path === path);
  const item = items[at];
  if (item === undefined) return null;
  const stand = (to: string | undefined): TreeStep => ({ kind: "stand", path: to || null });
  const toggle: TreeStep = { kind: "toggle", path };
  switch (key) {
    case "ArrowDown":
      return stand(items[at + 1]?.path);
    case "ArrowUp":
      return stand(items[at - 1]?.path);
    case "Home":
      return stand(items[0]?.path);
    case "End":
      return stand(items.at(-1)?.path);
    case "ArrowRight":
      if (!item.isBranch) return stand(undefined);
      return item.isOpen ? stand(items[at + 1]?.path) : toggle;
    case "ArrowLeft":
      return item.isOpen ? toggle : stand(parentOf(path));
    case "Enter":
      return item.isBranch ? toggle : null;
    default:
      return null;
  }
}

/** The path around `path`; empty for one of the top. */
function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
