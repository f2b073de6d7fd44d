/**
 * The way of one access.
 * @module
 */

import type { Answerer } from "../../core/iommu/translation_table.ts";
import type { MappingRow } from "./mappings.ts";

/** `/api/endpoints/ID/translate?iova=0x…&access=r|w|rw` (`r` unless told). */
export interface TranslateResult {
  readonly endpoint: number;
  readonly iova: number;
  /** What was asked for. */
  readonly access: string;
  /** The address the access goes to, as in {@linkcode MappingRow.gpa}; null when it would fault. */
  readonly gpa: number | null;
  /** Why it would fault, as `faultName()` spells it; null when it would not. */
  readonly fault: string | null;
  /** In the order in which the access takes them; the last is where it ends. */
  readonly walk: readonly WalkStep[];
  /** True when this is what an ended run left. */
  readonly ended: boolean;
}

/** What answers for a translation: `tree` when none of the caches before it does. */
export type TranslationCache = Answerer;

/** One step of the way of an access. */
export type WalkStep =
  /** Whose access it is. */
  | {
    readonly step: "endpoint";
    readonly ok: true;
    readonly endpoint: number;
    readonly bdf: string;
  }
  /** Which domain it goes through. `bypass`: none, untranslated. Not ok: none, and it faults. */
  | {
    readonly step: "domain";
    readonly ok: boolean;
    readonly domain: number | null;
    readonly kind: "mapped" | "bypass" | "none";
  }
  /**
   * Which mapping covers the address. Not ok: none, with its neighbours. `cache` is who would answer
   * now, seen without a trace of the look; null where the device translates in another process, and
   * once the run has ended.
   */
  | {
    readonly step: "mapping";
    readonly ok: boolean;
    readonly mapping: MappingRow | null;
    readonly cache: TranslationCache | null;
    readonly below: MappingRow | null;
    readonly above: MappingRow | null;
  }
  /** Whether the mapping allows the access. */
  | {
    readonly step: "permission";
    readonly ok: boolean;
    readonly allowed: string;
    readonly wanted: string;
  }
  /** Which part of guest memory the GPA is in, or which kind of window on it. Not ok: none. */
  | {
    readonly step: "region";
    readonly ok: boolean;
    readonly gpa: number;
    readonly region: string | null;
    readonly readOnly: boolean;
  };
