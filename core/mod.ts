/**
 * The core: addresses, guest memory, the IOMMU and its IOTLB, faults, dirty
 * pages, counters and the trace ring. No I/O, nothing asynchronous, and no BigInt
 * per access: an access has happened, or faulted, when the call returns.
 * @module
 */

export {
  Access,
  accessName,
  Fault,
  faultName,
  type Gpa,
  hex,
  hexRange,
  type Iova,
  isFault,
  type KIND,
  MAX_ADDRESS,
  PAGE_SIZE,
  pageOf,
  pageOffset,
  type Status,
} from "./address.ts";
export { AddressSpace, type Mapping } from "./iommu/address_space.ts";
export { Completion } from "./iommu/completion.ts";
export { Domain, type DomainId, type DomainKind } from "./iommu/domain.ts";
export { DmaContext, Endpoint, type EndpointId, NO_PASID } from "./iommu/endpoint.ts";
export { FaultLog, type FaultRecord, FaultSequence } from "./iommu/fault_log.ts";
export { DmaPin, InFlight } from "./iommu/in_flight.ts";
export { IntervalMap, type Slot } from "./iommu/interval_map.ts";
export { type InvalidationObserver, Iommu, type IommuOptions } from "./iommu/iommu.ts";
export { IommuError, type IommuErrorCode } from "./iommu/iommu_error.ts";
export { IommuMemory } from "./iommu/iommu_memory.ts";
export {
  type Fragment,
  Iotlb,
  type IotlbHit,
  type IotlbMiss,
  type IotlbSource,
  type IovaRange,
} from "./iommu/iotlb.ts";
export { type Answerer, TranslationTable } from "./iommu/translation_table.ts";
export { DirtyBitmap } from "./memory/dirty_bitmap.ts";
export { type GuestMemory } from "./memory/guest_memory.ts";
export { GuestRam } from "./memory/guest_ram.ts";
export { type Memory, type Pin, type ScalarSize } from "./memory/memory.ts";
export { WordView } from "./memory/word_view.ts";
export { RamRegion, type RamRegionSpec } from "./memory/ram_region.ts";
export { type Clock, type Timer } from "./observe/clock.ts";
export { Counter, EndpointCounters, type EndpointMetrics } from "./observe/counters.ts";
export { Histogram } from "./observe/histogram.ts";
export { type TraceEvent, TraceKind, TraceRing } from "./observe/trace.ts";
export { VirtualClock } from "./observe/virtual_clock.ts";
