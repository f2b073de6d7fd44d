import { assert, assertEquals } from "@std/assert";
import { Room, shortName } from "./room.ts";

Deno.test("shortName() cuts in the middle, and puts all on one line", () => {
  assertEquals(shortName("short", 10), "short");
  assertEquals(shortName("a\nb", 10), "a b");
  assertEquals(shortName("0123456789abc", 8), "0123…abc");
  assertEquals(shortName("😀".repeat(10), 8).isWellFormed(), true);
});

Deno.test("Room.take() gives whole texts while there is room", () => {
  const room = new Room(1000);
  assertEquals(room.take("x".repeat(400), 500), "x".repeat(400));
  const cut = room.take("a".repeat(600) + "b".repeat(600), 500);
  assert(cut.startsWith("a".repeat(375) + "\n(700 characters left out)\n" + "b".repeat(125)), cut);
});

Deno.test("Room.take() leaves a line of each text once the room is used up", () => {
  const room = new Room(10);
  room.take("x".repeat(200), 1000);
  assertEquals(room.take("short", 1000), "short");
  const cut = room.take("y".repeat(100_000), 50_000);
  assert(cut.length < 250 && cut.includes("(99840 characters left out)"), cut);
});

Deno.test("Room.take() cuts no surrogate pair", () => {
  for (let length = 159; length < 163; length++) {
    const text = "x".repeat(length) + "😀".repeat(300);
    assert(new Room(0).take(text, 0).isWellFormed());
    assert(new Room(1000).take(text, 401).isWellFormed());
  }
});
