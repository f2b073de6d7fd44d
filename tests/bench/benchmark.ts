/**
 * What a group of benchmarks exports, and what running one yields.
 * @module
 */

import type { Bar } from "./bar.ts";

/** What a value counts. Less is better for all of them. */
export type Unit = "ns" | "bytes" | "entries";

/** How a run measures. */
export interface BenchContext {
  /** Of everything random: access orders, targets, contents. */
  readonly seed: number;
  /** Samples taken of each subject. */
  readonly rounds: number;
  /** What one sample should last. */
  readonly roundMs: number;
  /** What warming up one subject should last, at least. */
  readonly warmUpMs: number;
  /** Divides counts that are part of a benchmark's definition; 1 in a full run, more in a quick one. */
  readonly reduction: number;
  /** Tells how far it is, for people; at most one short line. */
  progress(text: string): void;
}

/** One subject's samples, in the order of the rounds. */
export interface Measurement {
  /** Unique within the benchmark: `read-u64`. */
  readonly name: string;
  /** The benchmark's unit unless told. */
  readonly unit?: Unit;
  readonly samples: readonly number[];
  /** Bytes that one operation moves, where it moves any: shown as throughput. */
  readonly bytesMoved?: number;
}

/** A comparison of two measurements of one run. */
export interface Comparison {
  /** What is divided by what: `read-u64 / map-bigint-read`. */
  readonly name: string;
  readonly value: number;
  /** What the value must be; null for information. */
  readonly bar: Bar | null;
}

/** What running a benchmark yields. */
export interface Outcome {
  readonly measurements: readonly Measurement[];
  readonly comparisons: readonly Comparison[];
}

/** A comparison of subjects under one workload. */
export interface Benchmark {
  /** Kebab-case, unique: `translate-64k`. Results are called `translate-64k/read-u64`. */
  readonly name: string;
  readonly group: string;
  readonly unit: Unit;
  /** One line for `--list`. */
  readonly about: string;
  /** Left out of `--quick` unless it is named: too long for it. */
  readonly slow?: true;
  /** Left out unless it or its group is named: it needs what not every machine has. */
  readonly onDemand?: true;
  run(context: BenchContext): Promise<Outcome>;
}

/** Figures of another program, measured elsewhere: shown beside ours, never compared by a program. */
export interface PeerFigure {
  /** `vm-memory (Rust) Iotlb, random 8-byte lookup, 64 k pages`. */
  readonly name: string;
  readonly value: number;
  readonly unit: Unit;
  /** The result of ours that does the same: `translate-64k/bare`. */
  readonly ours: string;
}

/** Benchmarks that measure one part of the house. */
export interface BenchmarkGroup {
  readonly name: string;
  readonly benchmarks: readonly Benchmark[];
  readonly peers: readonly PeerFigure[];
}
