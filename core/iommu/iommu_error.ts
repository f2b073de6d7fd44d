/**
 * What can be wrong with a call that programs the IOMMU.
 * @module
 */

/** Stable reason of an {@linkcode IommuError}. */
export type IommuErrorCode =
  /** A range is empty, not integer, beyond 2^52 - 1, or cuts a mapping in two. */
  | "range"
  /** What was to be made is there already: a mapping, a domain, an endpoint. */
  | "exists"
  /** No such domain. */
  | "no-domain"
  /** No such endpoint. */
  | "no-endpoint"
  /** The domain is in bypass and holds no mappings. */
  | "bypass"
  /** A domain with endpoints in it cannot go. */
  | "busy";

/** A call that programs the IOMMU was refused. Nothing has changed. */
export class IommuError extends Error {
  /** Tells it from other errors. */
  override readonly name = "IommuError";

  /** Says what was refused. @param code stable; `message` is for people */
  constructor(readonly code: IommuErrorCode, message: string) {
    super(message);
  }
}
