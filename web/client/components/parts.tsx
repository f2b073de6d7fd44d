/**
 * Small parts of pages: addresses, commands, and what stands where there is nothing.
 * @module
 */

import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import type { RunState } from "../../api.ts";
import { formatHex } from "../format.ts";
import { announcement } from "../state/store.ts";
import type { RequestError } from "../state/request.ts";

const ICONS = {
  pages: "M5.5 5.5h7v8h-7zM10.5 5.5v-3h-7v8h2",
  link:
    "M6.8 9.2l2.4-2.4M7 4.6l1.4-1.4a3 3 0 0 1 4.4 4.4L11.4 9M9 11.4l-1.4 1.4a3 3 0 0 1-4.4-4.4L4.6 7",
} as const;

/** Copies `text`, and says so. */
export function CopyButton({ text, what, icon = "pages" }: {
  readonly text: string;
  readonly what: string;
  readonly icon?: "pages" | "link";
}): JSX.Element {
  const done = useSignal(false);
  const copy = async (event: Event) => {
    event.stopPropagation();
    try {
      await navigator.clipboard.writeText(text);
      done.value = true;
      announcement.value = `Copied ${what}`;
      setTimeout(() => done.value = false, 1500);
    } catch {
      announcement.value = "The browser does not let this page copy";
    }
  };
  return (
    <button
      type="button"
      class="copy"
      title={`Copy ${what}`}
      aria-label={`Copy ${what}`}
      onClick={copy}
    >
      <svg
        width="14"
        height="14"
        viewBox="0 0 16 16"
        fill="none"
        stroke="currentColor"
        stroke-width="1.5"
        aria-hidden="true"
      >
        <path d={done.value ? "M3 8.5l3.2 3.2L13 5" : ICONS[icon]} />
      </svg>
    </button>
  );
}

/** An address, with a button to copy it. */
export function Address({ value }: { readonly value: number }): JSX.Element {
  const text = formatHex(value);
  return (
    <span class="address">
      <code>{text}</code>
      <CopyButton text={text} what={text} />
    </span>
  );
}

/** A command to run in a terminal. */
export function Command({ children }: { readonly children: string }): JSX.Element {
  return (
    <div class="command">
      <code>{children}</code>
      <CopyButton text={children} what="the command" />
    </div>
  );
}

/** What stands where there is nothing yet: why, and what would fill it. */
export function Empty({ title, children, command }: {
  readonly title: string;
  readonly children?: ComponentChildren;
  readonly command?: string;
}): JSX.Element {
  return (
    <div class="empty">
      <strong>{title}</strong>
      {children !== undefined && <p>{children}</p>}
      {command !== undefined && <Command>{command}</Command>}
    </div>
  );
}

/** The shape of what is on its way. */
export function Skeleton({ rows = 5 }: { readonly rows?: number }): JSX.Element {
  return (
    <div class="skeleton" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, i) => <i key={i} />)}
    </div>
  );
}

/** Why something could not be fetched. */
export function Failure({ error, onRetry }: {
  readonly error: RequestError;
  readonly onRetry?: () => void;
}): JSX.Element {
  return (
    <div class="empty" role="alert">
      <strong>Cannot show this</strong>
      <p class="error-text">{error.message}</p>
      {onRetry !== undefined && <button type="button" onClick={onRetry}>Try again</button>}
    </div>
  );
}

const PILLS: Readonly<Record<RunState, string>> = {
  queued: "",
  running: "busy",
  passed: "ok",
  failed: "bad",
  skipped: "",
};

/** How a run stands. */
export function RunPill({ state }: { readonly state: RunState }): JSX.Element {
  return <span class={`pill ${PILLS[state]}`}>{state}</span>;
}
