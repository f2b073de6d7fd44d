/**
 * `deno task test`: everything a submission must pass. The last line of output is
 * `N passed, N failed`.
 * @module
 */

import { countScenarios, runGates, STATIC_GATES, testGate, UNIT_GATES } from "./gates.ts";
import { installMissing } from "./packages.ts";

const VM_FAULTS = "tests/vm/via_qemu_test.ts";

await installMissing();

Deno.exit(
  await runGates([
    ...STATIC_GATES,
    ...UNIT_GATES,
    testGate("house", ["tests/layering_test.ts", "tests/gates_test.ts", "tests/bench"]),
    testGate("conformance", ["tests/conformance", "tests/golden", "tests/web"]),
    testGate("property", ["tests/property"]),
    [
      testGate("vm", ["tests/vm"], `--ignore=${VM_FAULTS}`),
      // Mostly waits for machines that hang.
      testGate("vm faults", [VM_FAULTS]),
    ],
    testGate("browser", ["tests/browser"]),
    {
      name: "scenarios",
      args: ["task", "--quiet", "scenario", "--reporter", "dot", "--json", "{report}"],
      report: "json",
      count: countScenarios,
    },
    {
      name: "under QEMU",
      args: [
        ...["task", "--quiet", "scenario", "--via", "qemu"],
        ...["--reporter", "dot", "--json", "{report}"],
      ],
      report: "json",
      count: countScenarios,
    },
  ]),
);
