/**
 * Subjects in other processes, measured in turns as those in lanes are.
 * @module
 */

import type { BenchContext } from "../benchmark.ts";
import { Samples } from "../interleave.ts";
import type { LineProcess } from "./line_process.ts";

/** One thing that is timed: a command of a process, whose answer is a time. */
export interface RemoteSubject {
  /** Unique within the benchmark. */
  readonly name: string;
  readonly process: LineProcess;
  /** The command without its last word, the number of exchanges. */
  readonly command: string;
  /** Exchanges of a sample in a full run. */
  readonly exchanges: number;
  /** Exchanges before the first sample in a full run. */
  readonly warmUp: number;
}

/** A quick run has that many times less of everything, as long as something is left. */
const QUICK = 20;

/** Warms up every subject, and samples them in turns. */
export async function inTurns(
  context: BenchContext,
  subjects: readonly RemoteSubject[],
): Promise<Samples> {
  const divisor = context.reduction === 1 ? 1 : QUICK;
  const count = (exchanges: number): number => Math.max(2, Math.round(exchanges / divisor));
  const series = new Map<string, number[]>(subjects.map(({ name }) => [name, []]));
  if (series.size !== subjects.length) throw new Error("Two subjects have the same name");
  for (const { name, process, command, warmUp } of subjects) {
    context.progress(`warms up ${name}`);
    await process.measure(`${command} ${count(warmUp)}`);
  }
  for (let round = 0; round < context.rounds; round++) {
    context.progress(`round ${round + 1} of ${context.rounds}`);
    for (let turn = 0; turn < subjects.length; turn++) {
      // Each round begins with another one.
      const { name, process, command, exchanges } = subjects[(turn + round) % subjects.length]!;
      series.get(name)!.push(await process.measure(`${command} ${count(exchanges)}`));
    }
  }
  return new Samples(series);
}
