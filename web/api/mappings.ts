/**
 * Mappings of a domain.
 * @module
 */

/**
 * `/api/endpoints/ID/mappings` and `/api/domains/ID/mappings`, with `?cursor=&limit=` (limit 1 to
 * 1000, 100 unless told) or `?from=IOVA` to begin at an address.
 */
export interface MappingsPage {
  /** Null for an endpoint in no domain: then there are none. */
  readonly domain: number | null;
  /** Mappings of the domain. */
  readonly total: number;
  readonly mappedBytes: number;
  /** Ascending by IOVA. */
  readonly mappings: readonly MappingRow[];
  /** For the next page; null at the end. */
  readonly next: string | null;
  /** Of an ended run: mappings that were too many to keep. They are the highest. */
  readonly leftOut: number;
}

/** One mapping. */
export interface MappingRow {
  readonly iova: number;
  /** The last IOVA, inclusive. */
  readonly last: number;
  /**
   * Where it leads. Of devices that are served ({@linkcode RunInfo.machine}) an address of the
   * server's own: a client's DMA_MAP names a file and an offset and no guest address, and the server
   * has a window on each such file.
   */
  readonly gpa: number;
  readonly length: number;
  /** `r`, `w`, `rw` or `none`. */
  readonly access: string;
  /** When it was made, in scenario time; null when that was not seen. */
  readonly mappedNs: number | null;
  /**
   * Sampled accesses of devices that went through it: of each device up to a few hundred, several
   * times a second, by the address of the first byte. For comparing mappings: it is no count of
   * all accesses. Null when there are too many mappings to count for each.
   */
  readonly hits: number | null;
}
