/**
 * Guest memory as a watched run tells about it.
 * @module
 */

import type { GuestRam } from "../../core/memory/guest_ram.ts";
import type { RegionReport } from "./observation.ts";

/** The regions of RAM. */
export function regionReports(ram: GuestRam): RegionReport[] {
  return ram.regions.map(({ name, start, length, readOnly, dirty }) => ({
    name,
    start,
    length,
    readOnly,
    dirtyBytes: dirty === null ? null : dirty.count * dirty.pageSize,
  }));
}
