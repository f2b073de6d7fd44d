/**
 * Errors.
 * @module
 */

/**
 * Body of every answer of 400 and above (RFC 9457, `application/problem+json`). Codes: `bad-request`,
 * `unauthorized` (401: no token, or not the one), `forbidden` (403: Host or Origin), `not-found`,
 * `method-not-allowed`, `request-timeout` (408), `conflict` (409), `too-large` (413), `unsupported-media-type` (415), `busy` (503,
 * with `Retry-After`: too many streams, or the run did not answer in time), `internal`.
 */
export interface Problem {
  readonly type: "about:blank";
  /** HTTP status. */
  readonly status: number;
  /** Stable, kebab-case. */
  readonly code: string;
  /** One line for people. */
  readonly title: string;
  /** What was wrong, and what would be right; left out when the title says it. */
  readonly detail?: string;
  /** For a filter that cannot be read: index of the first character that is wrong. */
  readonly position?: number;
}
