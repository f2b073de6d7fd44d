/**
 * `deno task serve`: the command line of devices on sockets, and the dashboard for `--dashboard`,
 * which is loaded when it is asked for.
 * @module
 */

import { serveCommand } from "../harness/cli/serve.ts";

if (import.meta.main) {
  await serveCommand(Deno.args, async (...watched) => {
    const { openMachineDashboard } = await import("./machine_dashboard.ts");
    return await openMachineDashboard(...watched);
  });
}
