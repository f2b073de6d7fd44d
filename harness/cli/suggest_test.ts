import { assertEquals } from "@std/assert";
import { didYouMean, suggest } from "./suggest.ts";

const NAMES = ["edu-identify", "edu-dma-both-ways", "edu-reset", "two-domains"];

Deno.test("suggest() finds slips: a letter missing, wrong, swapped", () => {
  assertEquals(suggest("edu-identfy", NAMES), ["edu-identify"]);
  assertEquals(suggest("edu-resat", NAMES), ["edu-reset"]);
  assertEquals(suggest("edu-erset", NAMES)[0], "edu-reset");
});

Deno.test("suggest() finds a part of a name", () => {
  assertEquals(suggest("dma", NAMES), ["edu-dma-both-ways"]);
});

Deno.test("suggest() keeps quiet when nothing is near", () => {
  assertEquals(suggest("zzzzzz", NAMES), []);
  assertEquals(suggest("", NAMES), []);
  assertEquals(didYouMean("zzzzzz", NAMES), "");
});

Deno.test("didYouMean() reads as the end of a sentence", () => {
  assertEquals(didYouMean("edu-identfy", NAMES), "; did you mean edu-identify?");
});
