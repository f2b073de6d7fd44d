/// <reference lib="dom" />
/**
 * Asks the server.
 * @module
 */

import { type Problem, TOKEN_KEY, TOKEN_PARAMETER } from "../../api.ts";

/** The server refused, or cannot be reached. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  /** `status` is 0 when nobody answered. */
  constructor(readonly status: number, message: string, readonly problem: Problem | null) {
    super(message);
  }
}

/** JSON of `path`. @throws {RequestError} */
export function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return ask<T>(path, signal === undefined ? {} : { signal });
}

/** Posts `body` with the token. @throws {RequestError} */
export function postJson<T>(path: string, body?: unknown): Promise<T> {
  return ask<T>(path, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${token() ?? ""}`,
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

/** The token of this page's own link, for a browser that lets pages keep nothing. */
let taken: string | null = null;

/** The token that came with the link, or null without one. */
export function token(): string | null {
  try {
    return taken ?? sessionStorage.getItem(TOKEN_KEY);
  } catch {
    return null;
  }
}

/** Takes the token out of the address, so that a copied link does not carry it. */
export function takeToken(): void {
  const url = new URL(location.href);
  const value = url.searchParams.get(TOKEN_PARAMETER);
  if (value === null) return;
  taken = value;
  try {
    sessionStorage.setItem(TOKEN_KEY, value);
  } catch {
    // Loaded again, the page is without it.
  }
  url.searchParams.delete(TOKEN_PARAMETER);
  history.replaceState(null, "", url);
}

async function ask<T>(path: string, init: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { cache: "no-store", ...init });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new RequestError(0, "The server cannot be reached", null);
  }
  if (response.ok) return await response.json() as T;
  const problem = await response.json().catch(() => null) as Problem | null;
  const message = problem === null
    ? `The server answered ${response.status}`
    : problem.detail ?? problem.title;
  throw new RequestError(response.status, message, problem);
}
