/**
 * What a server has of its device, and lends to one client after the other.
 * @module
 */

import type { Completion } from "../../../core/iommu/completion.ts";
import type { PciFunction } from "../../../devices/pci/pci_function.ts";
import type { Capabilities } from "../capabilities.ts";
import type { FrameObserver } from "../connection.ts";
import type { DmaRegions } from "./dma_regions.ts";
import type { Features } from "./features.ts";
import type { Irqs } from "./irqs.ts";
import type { ServerMetrics } from "./metrics.ts";
import type { Migration } from "./migration.ts";
import type { Patience } from "./patience.ts";
import type { Regions } from "./regions.ts";
import type { ServerMachine } from "./server_machine.ts";

/** Bytes of the largest dirty bitmap that is sent: it has to fit into what may wait for a client. */
export const MAX_BITMAP = 0x20_0000;

/** The device as a session sees it. */
export interface ServerParts {
  readonly machine: ServerMachine;
  readonly hosted: PciFunction;
  readonly regions: Regions;
  readonly irqs: Irqs;
  readonly dma: DmaRegions;
  readonly migration: Migration;
  readonly features: Features;
  readonly metrics: ServerMetrics;
  /** What we say of ourselves. */
  readonly capabilities: Capabilities;
  /** How long accesses by message may take. */
  readonly patience: Patience;
  /** Milliseconds that a client may leave replies unread. */
  readonly stallTimeoutMs: number;
  readonly observer: FrameObserver | null;
  /** Ends when no DMA of the device is in flight that has begun before. */
  settle(): Completion;
}
