/**
 * "Did you mean": the nearest of the names there are.
 * @module
 */

/** Insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b`. */
function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, beforeLast[j - 2]! + 1);
      }
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}

/** The names that `wrong` may have meant, nearest first: at most three, often none. */
export function suggest(wrong: string, names: readonly string[]): string[] {
  // Nothing longer is anyone's slip, and the cost grows with the product of the lengths.
  const typed = wrong.slice(0, 100).toLowerCase();
  const limit = Math.max(1, Math.floor(typed.length / 3));
  return names
    .map((name) => {
      const candidate = name.toLowerCase();
      const part = typed.length >= 3 && candidate.includes(typed);
      return { name, far: part ? 0.5 : distance(typed, candidate) };
    })
    .filter(({ far }) => far <= limit)
    .sort((a, b) => a.far - b.far || (a.name < b.name ? -1 : 1))
    .slice(0, 3)
    .map(({ name }) => name);
}

/** `; did you mean a or b?`, or nothing when no name is near. */
export function didYouMean(wrong: string, names: readonly string[]): string {
  const near = suggest(wrong, names);
  return near.length === 0 ? "" : `; did you mean ${near.join(" or ")}?`;
}
