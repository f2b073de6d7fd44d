import { assertEquals } from "@std/assert";
import { ColorKeeper } from "./color_keeper.ts";

Deno.test("ColorKeeper.assign() keeps the colour of a source that stays", () => {
  const keeper = new ColorKeeper(4);
  assertEquals(keeper.assign(["a", "b"]), [0, 1]);
  assertEquals(keeper.assign(["b", "c", "a"]), [1, 2, 0]);
  assertEquals(keeper.assign(["d", "b"]), [0, 1]);
});

Deno.test("ColorKeeper.assign() gives no two sources the same colour while there are enough", () => {
  const keeper = new ColorKeeper(3);
  keeper.assign(["a"]);
  keeper.assign(["b"]);
  assertEquals(new Set(keeper.assign(["a", "b", "c"])).size, 3);
  assertEquals(keeper.assign(["a", "b", "c", "d"]).length, 4);
});
