import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { UNSHOWABLE } from "../../core/thrown.ts";
import { describeBriefly, describeError, describeScenarioError } from "./describe_error.ts";

function thrower(): never {
  throw 1;
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable(new Error("x"), {});
  revoke();
  return proxy;
}

Deno.test("describeError() gives the stack of an error, with its cause", () => {
  const text = describeError(new Error("outer", { cause: new Error("inner") }));
  assertStringIncludes(text, "Error: outer\n    at ");
  assertStringIncludes(text, "\nCaused by: Error: inner\n    at ");
  assertEquals(describeError({ code: 5 }), "{ code: 5 }");
  assertEquals(describeError(Symbol("s")), "Symbol(s)");
});

Deno.test("describeError() shows what of an error can be shown", () => {
  const noStack = Object.defineProperty(new Error("told"), "stack", { get: thrower });
  assertEquals(describeError(noStack), "Error: told");
  assertEquals(describeError(Object.assign(new Error("told"), { stack: 5 })), "Error: told");
  const neither = Object.defineProperty(noStack, "message", { get: thrower });
  assertEquals(describeError(neither), `Error: ${UNSHOWABLE}`);
  const cause = describeError(new Error("outer", { cause: revoked() }));
  assertStringIncludes(cause, "Error: outer\n");
  assertStringIncludes(cause, `\nCaused by: ${UNSHOWABLE}`);
  const getter = Object.defineProperty(new Error("outer"), "cause", { get: thrower });
  assertStringIncludes(describeError(getter), "Error: outer\n");
});

Deno.test("describeScenarioError() throws for nothing that a scenario can throw", () => {
  const hostile = [
    revoked(),
    new Proxy({}, { get: thrower, getPrototypeOf: thrower, ownKeys: thrower }),
    new Proxy(new Error("x"), { get: thrower }),
    { toString: thrower, [Symbol.for("Deno.customInspect")]: thrower },
    { [Symbol.for("Deno.customInspect")]: () => 5 },
    Object.create(null),
    Object.assign(new Error("x"), { stack: { toString: thrower } }),
    Object.assign(new Error("x"), { name: Symbol("n"), stack: undefined }),
    undefined,
  ];
  for (const thrown of hostile) assert(typeof describeScenarioError(thrown) === "string");
});

Deno.test("describeBriefly() gives the message of an error, and shows anything else", () => {
  assertEquals(describeBriefly(new TypeError("told")), "told");
  assertEquals(describeBriefly({ code: 5 }), "{ code: 5 }");
  assertEquals(describeBriefly(revoked()), UNSHOWABLE);
});

Deno.test("describeError() cuts what is huge", () => {
  assert(describeError(new Error("x".repeat(1e7))).length < 200_000);
  assert(describeError("x".repeat(1e7)).length < 200_000);
});
