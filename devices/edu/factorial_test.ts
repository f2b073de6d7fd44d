import { assertEquals } from "@std/assert";
import { factorial } from "./factorial.ts";

Deno.test("factorial() is n! modulo 2^32", () => {
  let product = 1n;
  for (let n = 0; n <= 60; n++) {
    if (n > 0) product *= BigInt(n);
    assertEquals(BigInt(factorial(n)), product % 2n ** 32n, `${n}!`);
  }
});

Deno.test("factorial() multiplies 34 times at most, also for the largest operand", () => {
  const { imul } = Math;
  let steps = 0;
  Math.imul = (a, b) => {
    // Not counted to the end: without a cap that would be 2^32.
    if (++steps > 34) throw new Error("more than 34 multiplications");
    return imul(a, b);
  };
  try {
    for (const n of [33, 34, 35, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
      steps = 0;
      assertEquals(factorial(n), n === 33 ? 2 ** 31 : 0, `${n}!`);
    }
  } finally {
    Math.imul = imul;
  }
});
