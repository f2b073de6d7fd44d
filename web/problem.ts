/**
 * Errors as the page gets them: problem details (RFC 9457).
 * @module
 */

import type { Problem } from "./api.ts";

const TITLES = {
  "bad-request": [400, "The request makes no sense"],
  unauthorized: [401, "This needs the token of the link that was printed at start"],
  forbidden: [403, "This request comes from somewhere else"],
  "not-found": [404, "There is no such thing here"],
  "method-not-allowed": [405, "This address does not take this method"],
  "request-timeout": [408, "The request took too long to arrive"],
  conflict: [409, "This cannot be done now"],
  "too-large": [413, "The request's body is too long"],
  "unsupported-media-type": [415, "The request's body must be JSON"],
  internal: [500, "The dashboard failed"],
  busy: [503, "Try again in a moment"],
} as const;

/** Codes of problems. */
export type ProblemCode = keyof typeof TITLES;

/** What a handler throws to answer with a problem. */
export class HttpProblem extends Error {
  override readonly name = "HttpProblem";

  /**
   * @param detail what was wrong and what would be right
   * @param headers that go along: `Allow`, `Retry-After`
   */
  constructor(
    readonly code: ProblemCode,
    readonly detail?: string,
    readonly headers: Readonly<Record<string, string>> = {},
    readonly position?: number,
  ) {
    super(detail ?? TITLES[code][1]);
  }

  /** The answer. */
  response(): Response {
    const [status, title] = TITLES[this.code];
    const body: Problem = {
      type: "about:blank",
      status,
      code: this.code,
      title,
      ...(this.detail === undefined ? {} : { detail: this.detail }),
      ...(this.position === undefined ? {} : { position: this.position }),
    };
    return new Response(JSON.stringify(body) + "\n", {
      status,
      headers: { "Content-Type": "application/problem+json", ...this.headers },
    });
  }
}
