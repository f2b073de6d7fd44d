/**
 * Who may ask, and what a browser may do with the answer.
 *
 * A page of any site can make a browser send requests to 127.0.0.1, and can give its own name that
 * address (DNS rebinding). So the Host must be an address or the name that was told, which a foreign
 * name is not; the Origin, when there is one, must be ours; and what changes anything needs a token
 * that only the printed link carries.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";
import { HttpProblem } from "./problem.ts";

/** Nothing but what this server sends: no inline code, no other host, no frame round the page. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy": CONTENT_SECURITY_POLICY,
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
};

/** A fresh token: 256 random bits. */
export function newToken(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Adds the headers that every answer carries. */
export function securityHeaders(): MiddlewareHandler {
  return async (c, next) => {
    await next();
    for (const [name, value] of Object.entries(HEADERS)) c.res.headers.set(name, value);
    if (!c.res.headers.has("Cache-Control")) c.res.headers.set("Cache-Control", "no-store");
  };
}

/** Where the server is reached. */
export interface ServerAddress {
  /** As `--host` told it: a name or an address. */
  readonly host: string;
  /** The port it listens on; 0 while it does not, and then every port will do. */
  readonly port: number;
}

function isAddress(name: string): boolean {
  if (name.startsWith("[") && name.endsWith("]")) {
    return /^[0-9a-f:.]+$/i.test(name.slice(1, -1)) && name.includes(":");
  }
  const parts = name.split(".");
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256);
}

/** Whether `host`, of a Host header, is one that this server goes by. */
export function isOurHost(host: string, { host: own, port: ownPort }: ServerAddress): boolean {
  const match = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(host);
  const name = match?.[1]?.toLowerCase() ?? "";
  if (name === "") return false;
  // An address cannot be given to somebody else's name; `localhost` is never looked up elsewhere.
  const known = name === "localhost" || name === own.toLowerCase() || isAddress(name);
  const port = match?.[2] === undefined ? 80 : Number(match[2]);
  return known && (ownPort === 0 || port === ownPort);
}

/** Refuses requests under another name, and those that another site's page sent. */
export function sameOrigin(address: () => ServerAddress): MiddlewareHandler {
  return async (c, next) => {
    const host = c.req.header("host") ?? new URL(c.req.url).host;
    if (!isOurHost(host, address())) {
      throw new HttpProblem(
        "forbidden",
        "The Host of the request is not this server's: open the link that was printed at start",
      );
    }
    const origin = c.req.header("origin");
    if (origin !== undefined && origin !== `http://${host}`) {
      throw new HttpProblem("forbidden", "The Origin of the request is another site");
    }
    const site = c.req.header("sec-fetch-site");
    const navigates = c.req.header("sec-fetch-mode") === "navigate" && c.req.path === "/";
    if ((site === "cross-site" || site === "same-site") && !navigates) {
      throw new HttpProblem("forbidden", "Another site's page sent this request");
    }
    await next();
  };
}

/** Refuses what does not carry the token. */
export function needsToken(token: string): MiddlewareHandler {
  return async (c, next) => {
    const match = /^Bearer ([\x21-\x7e]{1,256})$/i.exec(c.req.header("authorization") ?? "");
    if (match === null || !await isSame(match[1]!, token)) {
      throw new HttpProblem("unauthorized", undefined, { "WWW-Authenticate": "Bearer" });
    }
    await next();
  };
}

/** Compares in a time that tells nothing: digests are compared, all bytes of them. */
async function isSame(given: string, wanted: string): Promise<boolean> {
  const encoder = new TextEncoder();
  const digest = async (text: string) =>
    new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(text)));
  const [a, b] = await Promise.all([digest(given), digest(wanted)]);
  let different = 0;
  for (let at = 0; at < a.length; at++) different |= a[at]! ^ b[at]!;
  return different === 0;
}
