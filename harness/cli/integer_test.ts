import { assertEquals, assertThrows } from "@std/assert";
import { InvalidArgumentError } from "@commander-js/extra-typings";
import { integer } from "./integer.ts";

Deno.test("integer() takes decimal integers in the range, both ends included", () => {
  const parse = integer("A size", 128, 16_384);
  for (const value of [128, 129, 16_384]) assertEquals(parse(String(value)), value);
});

Deno.test("integer() says what would be right instead of anything else", () => {
  const parse = integer("A size", 128, 16_384);
  for (
    const text of [
      "127",
      "16385",
      "-128",
      "1e3",
      "0x80",
      "128.0",
      " 128",
      "",
      "99999999999999999999",
    ]
  ) {
    assertThrows(
      () => parse(text),
      InvalidArgumentError,
      "A size is an integer from 128 to 16384.",
    );
  }
});
