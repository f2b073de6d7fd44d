import { assertEquals, assertThrows } from "@std/assert";
import { InvalidArgumentError } from "@commander-js/extra-typings";
import { dashboardPort, withPort } from "./dashboard_port.ts";

Deno.test("dashboardPort() takes ports, and 0 for any that is free", () => {
  for (const port of [0, 1, 8080, 65_535]) assertEquals(dashboardPort(String(port)), port);
  for (const text of ["65536", "-1", "1.5", "0x10", "http", "", " 1", "1e3"]) {
    assertThrows(() => dashboardPort(text), InvalidArgumentError, "from 0 to 65535");
  }
});

Deno.test("withPort() keeps --dashboard from taking the argument after it", () => {
  assertEquals(["--dashboard", "edu", "--dashboard=8080", "x--dashboard"].map(withPort), [
    "--dashboard=0",
    "edu",
    "--dashboard=8080",
    "x--dashboard",
  ]);
});
