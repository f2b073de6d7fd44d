/** The arithmetic of edu's factorial register. @module */

import { EDU_FACTORIAL_ZERO_FROM } from "./spec.ts";

/** `n`! modulo 2^32. Takes at most 33 steps, whatever operand a guest writes. */
export function factorial(n: number): number {
  if (n >= EDU_FACTORIAL_ZERO_FROM) return 0;
  let product = 1;
  for (let factor = 2; factor <= n; factor++) product = Math.imul(product, factor);
  return product >>> 0;
}
