/**
 * How page numbers are handed from call to call on the access path: in a
 * Float64Array of the caller's, at these indices. V8 allocates for a number of 2^31 or
 * more that is an argument or a result of a call it has not inlined.
 * @module
 */

/** The page that is to be translated. */
export const SOUGHT_PAGE = 0;
/** The page it leads to. */
export const TARGET_PAGE = 1;
/** What a cache of translations keeps of it. */
export const CACHED_VALUE = 2;
/** How many there are. */
export const PAGE_REGISTERS = 3;
