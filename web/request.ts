/**
 * What requests may say: queries and bodies, checked before anything looks at them.
 * @module
 */

import type { Context } from "hono";
import * as v from "valibot";
import { Access, MAX_ADDRESS } from "../core/address.ts";
import { parseRequesterId } from "../devices/pci/bdf.ts";
import { MODES, VIAS } from "../harness/scenario.ts";
import type { StartRun } from "./api.ts";
import { HttpProblem } from "./problem.ts";

/** Longest body. */
const MAX_BODY = 16 * 1024;
/** Milliseconds a body may take to arrive. */
const BODY_MS = 5000;

const StartSchema: v.GenericSchema<StartRun> = v.strictObject({
  scenario: v.pipe(v.string(), v.maxLength(100)),
  mode: v.picklist(MODES),
  via: v.picklist(VIAS),
  seed: v.exactOptional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2 ** 32 - 1))),
  trace: v.exactOptional(v.picklist(["on", "off"])),
});

/** The body of `POST /api/runs`. @throws {HttpProblem} */
export async function readStart(request: Request): Promise<StartRun> {
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  // A form of another site can send what it likes, but not as this type.
  if (type !== "application/json") throw new HttpProblem("unsupported-media-type");
  let value: unknown;
  try {
    value = JSON.parse(await readBody(request));
  } catch (error) {
    if (error instanceof HttpProblem) throw error;
    throw new HttpProblem("bad-request", "The body is not JSON");
  }
  const parsed = v.safeParse(StartSchema, value);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  const path = v.getDotPath(issue);
  throw new HttpProblem(
    "bad-request",
    `Cannot start a run: ${path === null ? "" : `${path}: `}${issue.message}`,
  );
}

/** The body, as far as it may be long and late. */
async function readBody(request: Request): Promise<string> {
  const declared = Number(request.headers.get("content-length") ?? "0");
  if (!(declared <= MAX_BODY)) throw tooLarge();
  const reader = request.body?.getReader();
  if (reader === undefined) return "";
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    reader.cancel().catch(() => {});
  }, BODY_MS);
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (late) throw new HttpProblem("request-timeout");
      if (done) return text + decoder.decode();
      length += value.length;
      if (length > MAX_BODY) {
        reader.cancel().catch(() => {});
        throw tooLarge();
      }
      text += decoder.decode(value, { stream: true });
    }
  } finally {
    clearTimeout(timer);
  }
}

function tooLarge(): HttpProblem {
  return new HttpProblem("too-large", `A body has at most ${MAX_BODY} bytes`);
}

/** An integer in decimal or hexadecimal, or null when `text` is none in [min, max]. */
function integerOf(text: string, min: number, max: number): number | null {
  if (!/^(?:\d{1,16}|0x[0-9a-f]{1,13})$/i.test(text)) return null;
  const value = Number(text);
  return Number.isSafeInteger(value) && value >= min && value <= max ? value : null;
}

/** An integer of the query, or `fallback` without one. @throws {HttpProblem} */
export function queryInteger<Fallback>(
  c: Context,
  name: string,
  min: number,
  max: number,
  fallback: Fallback,
): number | Fallback {
  const text = c.req.query(name);
  if (text === undefined || text === "") return fallback;
  const value = integerOf(text, min, max);
  if (value !== null) return value;
  throw new HttpProblem("bad-request", `${name} is an integer from ${min} to ${max}`);
}

/** An address of the query, or `fallback` without one. @throws {HttpProblem} */
export function queryAddress<Fallback>(
  c: Context,
  name: string,
  fallback: Fallback,
): number | Fallback {
  const text = c.req.query(name);
  if (text === undefined || text === "") return fallback;
  const value = integerOf(text.replaceAll("_", ""), 0, MAX_ADDRESS);
  if (value !== null) return value;
  throw new HttpProblem("bad-request", `${name} is an address below 2^52: 0x1000 or 4096`);
}

/** An access of the query, READ without one. @throws {HttpProblem} */
export function queryAccess(c: Context): number {
  switch (c.req.query("access")) {
    case undefined:
    case "":
    case "r":
      return Access.READ;
    case "w":
      return Access.WRITE;
    case "rw":
      return Access.READ_WRITE;
    default:
      throw new HttpProblem("bad-request", "access is r, w or rw");
  }
}

/** An endpoint by number or BDF. @throws {HttpProblem} */
export function endpointId(text: string): number {
  const value = integerOf(text, 0, 2 ** 32 - 1);
  if (value !== null) return value;
  try {
    return parseRequesterId(text);
  } catch {
    throw new HttpProblem("bad-request", "An endpoint is a number, or a BDF like 00:01.0");
  }
}

/** The endpoint of the query, or null without one. @throws {HttpProblem} */
export function queryEndpoint(c: Context): number | null {
  const text = c.req.query("endpoint");
  return text === undefined || text === "" ? null : endpointId(text);
}

/** A number in the path, like that of a run. @throws {HttpProblem} */
export function pathNumber(c: Context, name: string): number {
  const value = integerOf(c.req.param(name) ?? "", 0, 2 ** 32 - 1);
  if (value === null) throw new HttpProblem("not-found", `${name} is a number`);
  return value;
}
