/**
 * What a handful of samples says. Whatever else the machine does only ever adds
 * to a sample, so the least one is nearest to what the code costs, and how far
 * the middle one lies above it says how far to trust that.
 * @module
 */

/** The least sample. NaN for none. */
export function best(samples: readonly number[]): number {
  return samples.length === 0 ? NaN : Math.min(...samples);
}

/** The middle sample, or the mean of the two in the middle. NaN for none. */
export function median(samples: readonly number[]): number {
  if (samples.length === 0) return NaN;
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >>> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** By how much the middle sample exceeds the best: half of the rounds came at least this near to it. */
export function spread(samples: readonly number[]): number {
  return median(samples) - best(samples);
}

/** The best of the one over the best of the other. @throws {Error} when either has no samples */
export function bestRatio(ours: readonly number[], theirs: readonly number[]): number {
  if (ours.length === 0 || theirs.length === 0) {
    throw new Error(`Cannot compare ${ours.length} samples with ${theirs.length}`);
  }
  return best(ours) / best(theirs);
}
