/**
 * The share of IOTLB lookups that hit, as a counter a device: of those since the sample before.
 * @module
 */

import type { HitSample } from "../run/hit_samples.ts";
import type { ChromeEvent } from "./chrome_event.ts";

/** The events. A device that has looked nothing up since the sample before has none for it. */
export function hitRatioEvents(
  samples: readonly HitSample[],
  placeOf: (endpoint: number) => { readonly pid: number; readonly tid: number } | null,
): ChromeEvent[] {
  const before = new Map<number, { readonly hits: number; readonly misses: number }>();
  const events: ChromeEvent[] = [];
  for (const { timeNs, endpoints } of samples) {
    for (const { endpoint, hits, misses } of endpoints) {
      const last = before.get(endpoint) ?? { hits: 0, misses: 0 };
      before.set(endpoint, { hits, misses });
      const hit = hits - last.hits, lookups = hit + misses - last.misses;
      const place = placeOf(endpoint);
      if (lookups <= 0 || place === null) continue;
      events.push({
        ph: "C",
        name: "IOTLB hit ratio",
        cat: "iommu",
        ...place,
        ts: timeNs / 1000,
        args: { ratio: hit / lookups },
      });
    }
  }
  return events;
}
