/**
 * What the runner and its child processes say to each other: JSON lines over
 * the child's stdin and stdout. A child's lines begin with a nonce that its
 * parent chose, which tells them from whatever a scenario prints. Types alone, so
 * that a child starts fast; the parent checks them with `child_schema.ts`.
 * @module
 */

import type { ObserveRequest } from "../observe/observation.ts";
import type { RunEvent } from "../run/run_events.ts";
import type { Mode, Via } from "../scenario.ts";
import type { Variant } from "../via/variant.ts";

/** One run, as the child is asked for it. */
export interface RunRequest {
  readonly kind: "run";
  /** Comes back with every event of the run. */
  readonly id: number;
  /** URL of the scenario's file. */
  readonly file: string;
  readonly mode: Mode;
  readonly via: Via;
  /** How the via's protocol is used; as it is by itself unless told. */
  readonly variant?: Variant;
  readonly seed: number;
  /** Whether DMA and steps are traced. */
  readonly trace: "on" | "off";
  /** Whether messages of the via's protocol are told. */
  readonly messages: "on" | "off";
  /** Whether what the via lacks may be fetched; it may unless told. */
  readonly network?: "allowed" | "never";
  /** Who watches it; absent when nobody does. */
  readonly observe?: ObserveRequest;
}

/** Parent to child. */
export type ParentMessage =
  | { readonly kind: "hello"; readonly nonce: string }
  | { readonly kind: "load"; readonly files: readonly string[] }
  | RunRequest;

/** What a scenario file says about its scenario, defaults filled in. */
export interface ScenarioInfo {
  readonly name: string;
  readonly title: string;
  readonly tags: readonly string[];
  readonly modes: readonly Mode[];
  readonly vias: readonly Via[];
  readonly timeoutMs: number;
}

/** Child to parent. */
export type ChildMessage =
  | { readonly kind: "ready" }
  /** About to import the file: named in case it never comes back. */
  | { readonly kind: "loading"; readonly file: string }
  /** `definition` is the default export as JSON, for the parent to judge. */
  | { readonly kind: "loaded"; readonly file: string; readonly definition: unknown }
  | { readonly kind: "refused"; readonly file: string; readonly reason: string }
  | { readonly kind: "load-end" }
  | { readonly kind: "event"; readonly id: number; readonly event: RunEvent };

/** Characters of the longest line that can be a message of a child. */
export const MAX_LINE: number = 16 * 2 ** 20;

/** Follows the nonce on stderr once a run has ended: all it printed there stands before it. */
export const STDERR_MARK = "end";
