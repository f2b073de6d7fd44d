import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { Mailbox } from "./mailbox.ts";

Deno.test("Mailbox delivers JSON values in order, round and round its ring", () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue(), { maxLength: 200 }), (values) => {
      const sender = Mailbox.create(256);
      const receiver = new Mailbox(sender.handle);
      const waiting: string[] = [];
      for (const value of values) {
        const text = JSON.stringify(value);
        if (new TextEncoder().encode(text).length > 252) continue;
        while (!sender.send(value)) {
          assertEquals(JSON.stringify(receiver.receive()), waiting.shift() ?? "");
        }
        waiting.push(text);
      }
      while (waiting.length > 0) {
        assertEquals(JSON.stringify(receiver.receive()), waiting.shift() ?? "");
      }
      assertEquals(receiver.receive(), undefined);
    }),
  );
});

Deno.test("Mailbox.send() refuses what does not fit, and takes it when there is room", () => {
  const box = Mailbox.create(16);
  assert(box.send("12345678"));
  assertEquals(box.send(1), false);
  assertEquals(box.receive(), "12345678");
  assert(box.send(1));
  assertEquals(box.send("x".repeat(20)), false);
  assertThrows(() => box.send(undefined), TypeError);
  assertThrows(() => Mailbox.create(100), RangeError);
});
