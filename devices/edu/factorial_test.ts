import { assertEquals } from "@std/assert";
import { factorial } from "./factorial.ts";

Deno.test("factorial() is n! modulo 2^32", () => {
  let product = 1n;
  for (let n = 0; n <= 60; n++) {
    if (n > 0) product *= BigInt(n);
    assertEquals(BigInt(factorial(n)), product % 2n ** 32n, `${n}!`);
  }
});

Deno.test("factorial() is 0 for the largest operand, without taking as many steps", () => {
  assertEquals(factorial(0xffff_ffff), 0);
});
