import { assertEquals } from "@std/assert";
import { parseScenarioCommand } from "./scenario_options.ts";

Deno.test("parseScenarioCommand() lets vias fetch what they lack, and not with --offline", () => {
  assertEquals(parseScenarioCommand([], () => {})!.network, "allowed");
  assertEquals(parseScenarioCommand(["--offline"], () => {})!.network, "never");
});
