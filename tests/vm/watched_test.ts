/**
 * A run in a guest on the dashboard: no less is shown of it than of one whose devices are at hand.
 * @module
 */

import { assertLively, dashboardWith, shown } from "../web/_shown.ts";
import { vmTest } from "./_machine.ts";

vmTest(
  "a run via qemu is shown live, by endpoint, and with the report's numbers",
  async () => {
    const { dashboard, client } = await dashboardWith();
    try {
      await assertLively(client, await shown(client, "lively", "qemu"));
    } finally {
      await dashboard.close();
    }
  },
);
