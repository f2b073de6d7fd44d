/**
 * Counters of one endpoint: always on, a few nanoseconds each, in shared memory
 * so that a reader in another thread is never in the way of the data path.
 * @module
 */

/** Index of each counter in {@linkcode EndpointCounters.values}. */
export const Counter = {
  /** Addresses that DMA asked for, one a contiguous fragment, faults and bypass included. */
  TRANSLATIONS: 0,
  /** Translations answered without a walk of the mappings. */
  IOTLB_HITS: 1,
  /** Translations that needed a walk. */
  IOTLB_MISSES: 2,
  /** Accesses refused. */
  FAULTS: 3,
  /** Page requests sent by the endpoint. */
  PAGE_REQUESTS: 4,
  /** Invalidations of cached translations that reached the endpoint's mappings. */
  INVALIDATIONS: 5,
  /** Bytes the device read from guest memory. */
  DMA_READ_BYTES: 6,
  /** Bytes the device wrote to guest memory. */
  DMA_WRITE_BYTES: 7,
} as const;

/** The counters by name, as reports and the JSON contract print them. */
export interface EndpointMetrics {
  /** As `Counter.TRANSLATIONS`. */
  readonly translations: number;
  /** As `Counter.IOTLB_HITS`. */
  readonly iotlbHits: number;
  /** As `Counter.IOTLB_MISSES`. */
  readonly iotlbMisses: number;
  /** As `Counter.FAULTS`. */
  readonly faults: number;
  /** As `Counter.PAGE_REQUESTS`. */
  readonly pageRequests: number;
  /** As `Counter.INVALIDATIONS`. */
  readonly invalidations: number;
  /** As `Counter.DMA_READ_BYTES`. */
  readonly dmaReadBytes: number;
  /** As `Counter.DMA_WRITE_BYTES`. */
  readonly dmaWriteBytes: number;
}

const COUNTERS = 8;

/** Bytes of one endpoint's counters in shared memory. */
export const COUNTERS_SIZE: number = COUNTERS * Float64Array.BYTES_PER_ELEMENT;

/**
 * One writer, the thread that runs the device; any number of readers. A counter
 * is a double, exact to 2^53, and an aligned double is loaded whole.
 */
export class EndpointCounters {
  /** Indexed by {@linkcode Counter}. */
  readonly values: Float64Array;

  /** Counts into `buffer` at `offset`, a multiple of 8; into memory of its own unless told. */
  constructor(
    buffer: ArrayBufferLike = new SharedArrayBuffer(COUNTERS_SIZE),
    offset = 0,
  ) {
    this.values = new Float64Array(buffer, offset, COUNTERS);
  }

  /** The counters now, by name. */
  snapshot(): EndpointMetrics {
    const v = this.values;
    return {
      translations: v[Counter.TRANSLATIONS]!,
      iotlbHits: v[Counter.IOTLB_HITS]!,
      iotlbMisses: v[Counter.IOTLB_MISSES]!,
      faults: v[Counter.FAULTS]!,
      pageRequests: v[Counter.PAGE_REQUESTS]!,
      invalidations: v[Counter.INVALIDATIONS]!,
      dmaReadBytes: v[Counter.DMA_READ_BYTES]!,
      dmaWriteBytes: v[Counter.DMA_WRITE_BYTES]!,
    };
  }
}
