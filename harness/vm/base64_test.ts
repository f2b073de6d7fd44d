import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { decodeBase64, encodeBase64 } from "./base64.ts";

Deno.test("decodeBase64() undoes encodeBase64(), also of a view into a buffer", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(5), (bytes, skip) => {
    const view = bytes.subarray(Math.min(skip, bytes.length));
    assertEquals(decodeBase64(encodeBase64(view)), new Uint8Array(view));
  }));
});

Deno.test("decodeBase64() gives null for what is no base64", () => {
  for (const text of ["A", "AAA", "AA=A", "A===", "AA A", "AAAA\n", "AA-_", "%%%%"]) {
    assertEquals(decodeBase64(text), null, text);
  }
});
