/**
 * `deno task vm`: the command line of a guest with devices plugged in, and the dashboard for
 * `--dashboard`, which is loaded when it is asked for.
 * @module
 */

import { vmCommand } from "../harness/cli/vm.ts";

if (import.meta.main) {
  await vmCommand(Deno.args, async (...watched) => {
    const { openMachineDashboard } = await import("./machine_dashboard.ts");
    return await openMachineDashboard(...watched);
  });
}
