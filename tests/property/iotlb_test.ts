/** Iotlb against an array of bytes: any set and invalidate, and every lookup complete. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { Gpa, Iova } from "../../core/address.ts";
import { Iotlb } from "../../core/iommu/iotlb.ts";

const SPAN = 300;
/** The last bytes of the address space, so that its end is among what is tried. */
const BASE = 2 ** 52 - SPAN;

type Step =
  | { kind: "set"; at: number; length: number; delta: number; access: number }
  | { kind: "invalidate"; at: number; length: number }
  | { kind: "invalidateAll" };

const at = fc.nat(SPAN - 1);
const length = fc.oneof(fc.nat(12), fc.nat(SPAN));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("set" as const),
      at,
      length,
      // Few differences, so that neighbours are often contiguous on both sides.
      delta: fc.constantFrom(0, 0, 0, 1000, 2 ** 40),
      access: fc.constantFrom(0, 1, 2, 3, 3, 3),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("invalidate" as const), at, length }) },
  { weight: 1, arbitrary: fc.constant({ kind: "invalidateAll" as const }) },
);

interface Byte {
  readonly gpa: number;
  readonly access: number;
}

type State = "hit" | "miss" | "permission";

Deno.test("Iotlb agrees with an array of bytes, merges all it can, and lists all that is lacking", () => {
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 5, maxLength: 60, size: "max" }),
      fc.array(fc.tuple(at, length, fc.constantFrom(1, 2, 3)), { minLength: 6, maxLength: 6 }),
      (steps, lookups) => {
        const iotlb = new Iotlb();
        const bytes = new Array<Byte | null>(SPAN).fill(null);
        for (const todo of steps) {
          if (todo.kind === "invalidateAll") {
            iotlb.invalidateAll();
            bytes.fill(null);
          } else {
            const length = Math.min(todo.length, SPAN - todo.at);
            const iova = (BASE + todo.at) as Iova;
            if (todo.kind === "set") {
              iotlb.set(iova, todo.at + todo.delta as Gpa, length, todo.access);
            } else iotlb.invalidate(iova, length);
            for (let i = todo.at; i < todo.at + length; i++) {
              bytes[i] = todo.kind === "set" ? { gpa: i + todo.delta, access: todo.access } : null;
            }
          }
          checkEntries(iotlb, bytes);
          for (const [from, length, access] of lookups) {
            checkLookup(iotlb, bytes, from, length, access);
          }
        }
      },
    ),
    { numRuns: 80 },
  );
});

/** The entries are the longest stretches of bytes that go on alike. */
function checkEntries(iotlb: Iotlb, bytes: readonly (Byte | null)[]): void {
  const expected: { iova: number; gpa: number; length: number; access: number }[] = [];
  bytes.forEach((byte, i) => {
    if (byte === null) return;
    const open = expected.at(-1);
    if (
      open !== undefined && open.iova + open.length === BASE + i &&
      open.gpa + open.length === byte.gpa && open.access === byte.access
    ) open.length++;
    else expected.push({ iova: BASE + i, gpa: byte.gpa, length: 1, access: byte.access });
  });
  assertEquals<unknown>([...iotlb.entries()], expected);
  assertEquals(iotlb.size, expected.length);
}

function checkLookup(
  iotlb: Iotlb,
  bytes: readonly (Byte | null)[],
  from: number,
  length: number,
  access: number,
): void {
  const states = Array.from({ length }, (_, i): State => {
    const byte = bytes[from + i] ?? null;
    if (byte === null) return "miss";
    return (byte.access & access) === access ? "hit" : "permission";
  });
  const result = iotlb.lookup(BASE + from as Iova, length, access);
  assertEquals(result.ok, states.every((state) => state === "hit"));
  if (result.ok) {
    let next = BASE + from;
    for (const { iova, gpa, length } of result.fragments) {
      assertEquals(iova as number, next);
      for (let i = 0; i < length; i++) assertEquals(gpa + i, bytes[iova - BASE + i]!.gpa);
      next += length;
    }
    assertEquals(next, BASE + from + length);
    return;
  }
  const found = new Array<State>(length).fill("hit");
  for (
    const [state, ranges] of [["miss", result.misses], [
      "permission",
      result.permissionFailures,
    ]] as const
  ) {
    let end = -1;
    for (const { iova, length } of ranges) {
      assert(length > 0 && iova > end, "ranges ascend, and those that touch are one");
      for (let i = 0; i < length; i++) found[iova - BASE - from + i] = state;
      end = iova + length;
    }
  }
  assertEquals(found, states);
}
