import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { shortened, thrownMessage, thrownName, UNSHOWABLE } from "./thrown.ts";

function thrower(): never {
  throw 1;
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

const HOSTILE = new Proxy({}, { get: thrower, getPrototypeOf: thrower, has: thrower });
const GETTER = Object.defineProperty(new Error("x"), "message", { get: thrower });

Deno.test("thrownMessage() says what an error says, and shows anything else as a string", () => {
  const cases: [unknown, string][] = [
    [new Error("boom"), "boom"],
    [new TypeError(""), "TypeError"],
    [{ message: "from elsewhere" }, "from elsewhere"],
    ["text", "text"],
    ["", "an empty string"],
    [undefined, "undefined"],
    [null, "null"],
    [5n, "5"],
    [-0, "0"],
    [Symbol("s"), "Symbol(s)"],
    [{ message: 5 }, "[object Object]"],
    [Object.assign(new Error("x"), { message: { toString: thrower } }), UNSHOWABLE],
    [Object.assign(new Error("x"), { message: { toString: () => "odd" } }), "Error: odd"],
    [{ toString: thrower }, UNSHOWABLE],
    [{ toString: () => ({}) }, UNSHOWABLE],
    [{ [Symbol.toPrimitive]: thrower }, UNSHOWABLE],
    [Object.create(null), UNSHOWABLE],
    [GETTER, UNSHOWABLE],
    [HOSTILE, UNSHOWABLE],
    [revoked(), UNSHOWABLE],
  ];
  for (const [thrown, expected] of cases) assertEquals(thrownMessage(thrown), expected);
});

Deno.test("thrownMessage() cuts what is huge, and says how much there was", () => {
  for (const thrown of [new Error("x".repeat(1e7)), "x".repeat(1e7)]) {
    const text = thrownMessage(thrown);
    assert(text.length < 5000);
    assert(text.endsWith("x… (10000000 characters)"), text.slice(-40));
  }
});

Deno.test("shortened() parts no surrogate pair", () => {
  assert(shortened("a😀b", 2).isWellFormed());
  assertEquals(shortened("a😀b", 4), "a😀b");
});

Deno.test("thrownName() gives a name whatever was thrown", () => {
  assertEquals(thrownName(new RangeError("x")), "RangeError");
  for (const thrown of [null, undefined, 5, HOSTILE, revoked(), { name: 5 }, { name: "" }]) {
    assertEquals(thrownName(thrown), "Error");
  }
});

Deno.test("thrownMessage() gives a string for any value", () => {
  fc.assert(fc.property(fc.anything({ withNullPrototype: true }), (thrown) => {
    const text = thrownMessage(thrown);
    assert(typeof text === "string" && text !== "");
  }));
});
