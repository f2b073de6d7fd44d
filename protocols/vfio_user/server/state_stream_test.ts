import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { decodeStream, encodeIdentity, encodeState } from "./state_stream.ts";

const snapshot = {
  config: new Uint8Array([1, 2, 255]),
  msix: new Uint8Array(0),
  state: { a: [1, "b", null] },
};

function stream(): Uint8Array {
  const identity = encodeIdentity("edu"), state = encodeState(snapshot);
  const bytes = new Uint8Array(identity.length + state.length);
  bytes.set(identity);
  bytes.set(state, identity.length);
  return bytes;
}

Deno.test("decodeStream() gives back what was encoded", () => {
  assertEquals(decodeStream(stream(), "edu"), snapshot);
});

Deno.test("decodeStream() says what is wrong, and never throws, for any bytes", () => {
  const whole = stream();
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
    assertEquals(typeof decodeStream(bytes, "edu"), "string");
  }));
  for (let length = 0; length < whole.length; length++) {
    assertEquals(typeof decodeStream(whole.subarray(0, length), "edu"), "string");
  }
  fc.assert(fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
    const result = decodeStream(whole.with(at, value), "edu");
    assert(typeof result === "string" || typeof result === "object");
  }));
  assertEquals(decodeStream(whole, "streamer"), "it is not of a device of type streamer");
});
