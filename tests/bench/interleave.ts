/**
 * Measures subjects in turns: one sample of each, round after round, so that a
 * machine that slows down meanwhile slows down all of them.
 * @module
 */

import type { BenchContext } from "./benchmark.ts";
import { Lane, type LaneSpec } from "./lane.ts";

/** What {@linkcode interleave} found out, by subject. */
export class Samples {
  readonly #series: ReadonlyMap<string, readonly number[]>;

  constructor(series: ReadonlyMap<string, readonly number[]>) {
    this.#series = series;
  }

  /** Names of the subjects, in the order of the lanes. */
  get names(): readonly string[] {
    return [...this.#series.keys()];
  }

  /** Nanoseconds an operation, round by round. @throws {Error} for a subject that no lane had */
  of(name: string): readonly number[] {
    const samples = this.#series.get(name);
    if (samples === undefined) throw new Error(`No subject ${name} was measured`);
    return samples;
  }
}

/** How subjects of one workload stand to one another. */
export interface InterleaveOptions {
  /**
   * `same`: each subject computes the same from one pass, and one that does not is
   * an error, so that what is compared does the same work. `own`: subjects check
   * themselves.
   */
  readonly results: "same" | "own";
}

/** Opens the lanes, warms up every subject, and samples them in turns. */
export async function interleave(
  context: BenchContext,
  specs: readonly LaneSpec[],
  options: InterleaveOptions,
): Promise<Samples> {
  using lanes = new DisposableStack();
  const subjects: { readonly lane: Lane; readonly index: number; readonly name: string }[] = [];
  for (const spec of specs) {
    context.progress(`builds ${spec.lane}`);
    const lane = lanes.use(await Lane.open(spec));
    lane.subjects.forEach((name, index) => subjects.push({ lane, index, name }));
  }
  const series = new Map<string, number[]>();
  for (const { name } of subjects) {
    if (series.has(name)) throw new Error(`Two subjects are called ${name}`);
    series.set(name, []);
  }
  if (options.results === "same") await requireSameResults(subjects);
  for (const { lane, index, name } of subjects) {
    context.progress(`warms up ${name}`);
    await lane.warmUp(index, context.roundMs, context.warmUpMs);
  }
  for (let round = 0; round < context.rounds; round++) {
    context.progress(`round ${round + 1} of ${context.rounds}`);
    for (let turn = 0; turn < subjects.length; turn++) {
      // Each round begins with another one: nobody always runs after the same neighbour's garbage.
      const { lane, index, name } = subjects[(turn + round) % subjects.length]!;
      series.get(name)!.push(await lane.round(index));
    }
  }
  return new Samples(series);
}

async function requireSameResults(
  subjects: readonly { readonly lane: Lane; readonly index: number; readonly name: string }[],
): Promise<void> {
  let expected: { readonly name: string; readonly value: number } | null = null;
  for (const { lane, index, name } of subjects) {
    const value = await lane.checksum(index);
    expected ??= { name, value };
    if (value !== expected.value) {
      throw new Error(
        `Cannot compare ${name} with ${expected.name}: one pass of the same accesses gave ` +
          `${value} and ${expected.value}, so one of them does not do its work`,
      );
    }
  }
}
