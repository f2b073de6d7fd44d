/**
 * A run in a guest on the dashboard: no less is shown of it than of one whose devices are at hand.
 * @module
 */

import { assertEquals } from "@std/assert";
import type { EndpointDetail } from "../../web/api.ts";
import { assertLively, dashboardWith, shown } from "../web/_shown.ts";
import { vmTest } from "./_machine.ts";

vmTest(
  "a run via qemu is shown live, by endpoint, and with the report's numbers",
  async () => {
    const { dashboard, client } = await dashboardWith();
    try {
      const seen = await shown(client, "lively", "qemu");
      await assertLively(client, seen);
      for (const { id } of seen.last.endpoints) {
        const { bars } = await client.json<EndpointDetail>(`/api/endpoints/${id}`);
        assertEquals(bars?.map(({ index, size }) => [index, size]), [[0, 0x10_0000]]);
      }
    } finally {
      await dashboard.close();
    }
  },
);
