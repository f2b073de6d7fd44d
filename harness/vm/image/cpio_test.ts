import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { CpioWriter, readCpio } from "./cpio.ts";

Deno.test("CpioWriter.finish() pads names and contents to four bytes", () => {
  const writer = new CpioWriter();
  writer.file("a", new Uint8Array([1, 2, 3]), 0o600);
  const archive = writer.finish();
  assertEquals(
    new TextDecoder().decode(archive.subarray(0, 110)),
    "070701" + "00000001" + "00008180" + "00000000" + "00000000" + "00000001" + "00000000" +
      "00000003" + "00000000" + "00000000" + "00000000" + "00000000" + "00000002" + "00000000",
  );
  assertEquals([...archive.subarray(110, 116)], [0x61, 0, 1, 2, 3, 0]);
  assertEquals(archive.length % 4, 0);
});

Deno.test("CpioWriter and readCpio() are each other's inverse", () => {
  const name = fc.stringMatching(/^[a-z]{1,9}$/);
  fc.assert(fc.property(
    fc.uniqueArray(name, { maxLength: 8 }),
    fc.array(fc.uint8Array({ maxLength: 70 }), { minLength: 8, maxLength: 8 }),
    (names, contents) => {
      const writer = new CpioWriter();
      writer.directory("d");
      names.forEach((name, i) => writer.file(`d/${name}`, contents[i]!, 0o755));
      assertEquals(readCpio(writer.finish()), [
        { path: "d", mode: 0o040755, bytes: new Uint8Array() },
        ...names.map((name, i) => ({ path: `d/${name}`, mode: 0o100755, bytes: contents[i]! })),
      ]);
    },
  ));
});

Deno.test("CpioWriter refuses what the kernel would drop in silence", () => {
  const writer = new CpioWriter();
  writer.directory("a");
  const none = new Uint8Array();
  assertThrows(() => writer.file("b/c", none), RangeError, "folder b");
  assertThrows(() => writer.file("/a/c", none), RangeError, "root");
  assertThrows(() => writer.directory("a"), RangeError, "second time");
  assertThrows(() => writer.file("TRAILER!!!", none), RangeError);
});
