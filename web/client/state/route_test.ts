import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { formatRoute, HOME, PAGES, parseRoute, type Range, type Route } from "./route.ts";

Deno.test("formatRoute() leaves defaults out", () => {
  assertEquals(formatRoute(HOME), "#/overview");
});

Deno.test("parseRoute() reads back every route that formatRoute() writes", () => {
  const range: fc.Arbitrary<Range> = fc.oneof(
    fc.record({ kind: fc.constant("last" as const), seconds: fc.integer({ min: 1, max: 900 }) }),
    fc.tuple(fc.integer({ min: 0, max: 1e14 }), fc.integer({ min: 1, max: 1e9 })).map(
      ([fromMs, length]) => ({ kind: "between" as const, fromMs, toMs: fromMs + length }),
    ),
  );
  const text = fc.string({ unit: "grapheme" });
  const route: fc.Arbitrary<Route> = fc.record({
    page: fc.constantFrom(...PAGES),
    subject: text,
    range,
    filter: text,
    selected: text,
    extra: fc.dictionary(
      fc.constantFrom("iova", "sort", "group"),
      fc.string({ minLength: 1 }),
      { noNullPrototype: true },
    ),
  });
  fc.assert(fc.property(route, (there) => {
    assertEquals(parseRoute(formatRoute(there)), there);
  }));
});

Deno.test("parseRoute() takes any fragment, and falls back to the overview", () => {
  assertEquals(parseRoute(""), HOME);
  assertEquals(parseRoute("#/nowhere?range=x&range=9-1"), HOME);
  assertEquals(parseRoute("#/endpoint/%E0%A4%A"), { ...HOME, page: "endpoint" });
  fc.assert(fc.property(fc.string(), (text) => {
    parseRoute(text);
  }));
});
