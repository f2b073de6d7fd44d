/**
 * Tuples of numbers that cross threads in one typed array.
 * @module
 */

/** The rows of `values`, of `fields` numbers each. */
export function rowsOf(values: Float64Array, fields: number): number[][] {
  const rows: number[][] = [];
  for (let at = 0; at < values.length; at += fields) {
    rows.push(Array.from(values.subarray(at, at + fields)));
  }
  return rows;
}
