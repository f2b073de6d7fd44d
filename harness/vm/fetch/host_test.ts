import { assertEquals } from "@std/assert";
import { osReleaseValue } from "./host.ts";

Deno.test("osReleaseValue() reads bare and quoted values, and whole names only", () => {
  const text = `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID='12'\n`;
  assertEquals(osReleaseValue(text, "ID"), "debian");
  assertEquals(osReleaseValue(text, "VERSION_ID"), "12");
  assertEquals(osReleaseValue(text, "PRETTY_NAME"), "Debian GNU/Linux 12 (bookworm)");
  assertEquals(osReleaseValue(text, "VERSION_CODENAME"), "");
});
