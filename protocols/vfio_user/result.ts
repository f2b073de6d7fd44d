/**
 * What decoders answer: 0, or a negative errno that goes into the reply. Negative, so that a result
 * needs one compare.
 * @module
 */

import { Errno } from "../linux/errno.ts";

/** The answer to every malformed body. */
export const EINVAL_RESULT: number = -Errno.EINVAL;
