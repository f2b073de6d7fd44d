/**
 * Where the reader is: page, row, time range and filter, all in the URL's
 * fragment, so that every view and every row has an address of its own.
 * @module
 */

/** The pages, in the order of the navigation. */
export const PAGES = ["overview", "endpoint", "domains", "faults", "messages", "runs"] as const;

/** One page. */
export type Page = typeof PAGES[number];

/** The stretch of time that charts show. */
export type Range =
  /** The last so many seconds. */
  | { readonly kind: "last"; readonly seconds: number }
  /** Between two instants, in milliseconds from 1970. */
  | { readonly kind: "between"; readonly fromMs: number; readonly toMs: number };

/** The live ranges that are offered, in seconds. */
export const RANGES: readonly number[] = [60, 300, 900];

const DEFAULT_RANGE: Range = { kind: "last", seconds: 300 };

/** A place in the dashboard. */
export interface Route {
  readonly page: Page;
  /** What the page is about, where there is more than one: an endpoint, a domain, a run. Empty otherwise. */
  readonly subject: string;
  readonly range: Range;
  readonly filter: string;
  /** The chosen row of the page's list; empty when none is. */
  readonly selected: string;
  /** What else a page keeps in its address, by name. */
  readonly extra: Readonly<Record<string, string>>;
}

/** Where one starts. */
export const HOME: Route = {
  page: "overview",
  subject: "",
  range: DEFAULT_RANGE,
  filter: "",
  selected: "",
  extra: {},
};

/** Reads a fragment, with or without its `#`. What makes no sense is left at its default. */
export function parseRoute(fragment: string): Route {
  const [path = "", query = ""] = split(fragment.replace(/^#/, ""), "?");
  const [, name = "", subject = ""] = /^\/?([^/]*)\/?(.*)$/.exec(path) ?? [];
  const params = new URLSearchParams(query);
  const extra: Record<string, string> = {};
  for (const [key, value] of params) {
    if (key !== "range" && key !== "filter" && key !== "row") extra[key] = value;
  }
  return {
    page: PAGES.find((page) => page === name) ?? "overview",
    subject: decode(subject),
    range: parseRange(params.get("range") ?? ""),
    filter: params.get("filter") ?? "",
    selected: params.get("row") ?? "",
    extra,
  };
}

/** The fragment of a place, with its `#`; defaults are left out. */
export function formatRoute(route: Route): string {
  const params = new URLSearchParams();
  const range = formatRange(route.range);
  if (range !== formatRange(DEFAULT_RANGE)) params.set("range", range);
  if (route.filter !== "") params.set("filter", route.filter);
  if (route.selected !== "") params.set("row", route.selected);
  for (const key of Object.keys(route.extra).sort()) {
    if (route.extra[key] !== "") params.set(key, route.extra[key]!);
  }
  const subject = route.subject === "" ? "" : `/${encodeURIComponent(route.subject)}`;
  const query = params.toString();
  return `#/${route.page}${subject}${query === "" ? "" : `?${query}`}`;
}

/** `5m`, `90s`, or `from-to` in milliseconds from 1970. */
export function formatRange(range: Range): string {
  if (range.kind === "between") return `${range.fromMs}-${range.toMs}`;
  return range.seconds % 60 === 0 ? `${range.seconds / 60}m` : `${range.seconds}s`;
}

function parseRange(text: string): Range {
  const between = /^(\d{1,15})-(\d{1,15})$/.exec(text);
  if (between !== null) {
    const fromMs = Number(between[1]);
    const toMs = Number(between[2]);
    if (fromMs < toMs) return { kind: "between", fromMs, toMs };
  }
  const last = /^(\d{1,4})([sm])$/.exec(text);
  if (last !== null) {
    const seconds = Number(last[1]) * (last[2] === "m" ? 60 : 1);
    if (seconds > 0) return { kind: "last", seconds: Math.min(900, seconds) };
  }
  return DEFAULT_RANGE;
}

function split(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
