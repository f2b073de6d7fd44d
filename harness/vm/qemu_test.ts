import { assertEquals } from "@std/assert";
import { isNewEnough, parseQemuVersion } from "./qemu.ts";

Deno.test("parseQemuVersion() reads releases and distributions' builds", () => {
  assertEquals(
    parseQemuVersion("QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1~bpo13+1)\nCopyright"),
    "11.1.3",
  );
  assertEquals(parseQemuVersion("QEMU emulator version 10.1"), "10.1");
  assertEquals(parseQemuVersion("error while loading shared libraries"), null);
});

Deno.test("isNewEnough() draws the line at 10.1, by numbers and not by letters", () => {
  assertEquals(
    ["7.2.19", "9.10", "10.0.13", "10.1", "10.1.0", "10.10.2", "11.0", "100.0"].map(isNewEnough),
    [false, false, false, true, true, true, true, true],
  );
});
