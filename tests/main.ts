/**
 * `deno task test`: everything a submission must pass. The last line of output is
 * `N passed, N failed`.
 * @module
 */

import { countScenarios, runGates, STATIC_GATES, testGate, UNIT_GATES } from "./gates.ts";
import { installMissing } from "./packages.ts";

await installMissing();

Deno.exit(
  await runGates([
    ...STATIC_GATES,
    ...UNIT_GATES,
    testGate("house", ["tests/layering_test.ts", "tests/gates_test.ts", "tests/bench"]),
    testGate("conformance", ["tests/conformance", "tests/golden"]),
    testGate("property", ["tests/property"]),
    testGate("vm", ["tests/vm"]),
    {
      name: "scenarios",
      args: ["task", "--quiet", "scenario", "--reporter", "dot", "--json", "{report}"],
      report: "json",
      count: countScenarios,
    },
  ]),
);
