/**
 * The timeline of a run, from its first event to its last.
 * @module
 */

import { assertEquals, assertGreater } from "@std/assert";
import type { TimelineEvent, TimelinePage } from "../../web/api.ts";
import type { Client } from "./_command.ts";
import { dashboardWith, shown } from "./_shown.ts";

/** All events that are kept, page by page. */
async function timelineOf(client: Client): Promise<TimelineEvent[]> {
  const all: TimelineEvent[] = [];
  for (let cursor: string | null = "0"; cursor !== null;) {
    const page: TimelinePage = await client.json(`/api/timeline?limit=5000&cursor=${cursor}`);
    all.push(...page.events);
    cursor = page.next;
  }
  return all;
}

Deno.test({
  name:
    "the timeline of a run has an invalidate event for each invalidation that its metrics count",
  // The bundle of the page is made, and children run, beyond the test.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async (t) => {
    const { dashboard, client } = await dashboardWith(
      "remap-same-iova",
      "detach-reattach",
      "edu-migrate",
    );
    for (
      const [scenario, via] of [
        ["remap-same-iova", "direct"],
        ["remap-same-iova", "vfio-user"],
        ["detach-reattach", "direct"],
        ["detach-reattach", "vfio-user"],
        ["edu-migrate", "vfio-user"],
      ] as const
    ) {
      await t.step(`${scenario} via ${via}`, async () => {
        const { last } = await shown(client, scenario, via);
        const events = await timelineOf(client);
        const invalidated = events.filter(({ kind }) => kind === "invalidate");
        assertEquals(invalidated.length, last.totals.invalidations);
        // And of each endpoint as many as it counts.
        for (const { id, counters } of last.endpoints) {
          const own = invalidated.filter(({ endpoint }) => endpoint === id);
          assertEquals(own.length, counters.invalidations);
        }
        if (scenario !== "remap-same-iova") return;
        // One endpoint, so one invalidation for each unmap; a server is also told to forget what
        // it has before the endpoint gets its first domain.
        const unmaps = events.filter(({ kind }) => kind === "unmap").length;
        assertGreater(unmaps, 30);
        assertEquals(invalidated.length, unmaps + (via === "direct" ? 0 : 1));
      });
    }
    await dashboard.close();
  },
});
