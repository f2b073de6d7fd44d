/**
 * Runs whose devices are in another process, as the dashboard shows them: no less than of a run
 * whose devices are at hand.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { assertLively, dashboardWith, shown } from "./_shown.ts";

Deno.test({
  name:
    "a run via vfio-user is shown as one via direct: live, by endpoint, with the report's numbers",
  // The bundle of the page is made, and children run, beyond the test.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async (t) => {
    const { dashboard, client } = await dashboardWith("two-domains", "edu-migrate");
    for (const via of ["direct", "vfio-user"] as const) {
      await t.step(`lively via ${via}`, async () => {
        await assertLively(client, await shown(client, "lively", via));
      });
    }
    await t.step("two devices in two domains", async () => {
      const { last } = await shown(client, "two-domains", "vfio-user");
      assertEquals(last.endpoints.length, 2);
      assert(last.endpoints.every(({ counters }) => counters.translations > 0));
    });
    await t.step("a device that moves to another process", async () => {
      await shown(client, "edu-migrate", "vfio-user");
    });
    await dashboard.close();
  },
});
