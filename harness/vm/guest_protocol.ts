/**
 * Lines between the harness and the guest's agent (`guest/agent.c`).
 * @module
 */

import { decodeBase64 } from "./base64.ts";
import * as v from "valibot";

/** The version both sides must speak. */
export const AGENT_VERSION = 1;
/** Name of the virtio-serial port. */
export const AGENT_PORT = "viaduct.agent";
/** Bytes of stdin in one line. */
export const STDIN_CHUNK = 32768;
/** Bytes of the longest command; a line of the agent's holds 128 KiB. */
export const COMMAND_LIMIT = 65536;
/** Characters of the longest line the agent sends. */
export const AGENT_LINE_LIMIT = 131072;

const Id = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const Bytes = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const bytes = decodeBase64(dataset.value);
    if (bytes !== null) return bytes;
    addIssue({ message: "no base64" });
    return NEVER;
  }),
);

const AgentLine = v.variant("kind", [
  v.object({
    kind: v.literal("ready"),
    version: v.number(),
    boot: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
    uptimeMs: v.number(),
  }),
  v.object({ kind: v.literal("beat"), uptimeMs: v.number() }),
  v.object({
    kind: v.literal("output"),
    id: Id,
    stream: v.picklist([1, 2]),
    data: Bytes,
  }),
  v.object({ kind: v.literal("taken"), id: Id }),
  v.object({
    kind: v.literal("exit"),
    id: Id,
    code: v.optional(v.number()),
    signal: v.optional(v.number()),
  }),
  v.object({ kind: v.literal("error"), id: Id, what: v.string(), reason: v.string() }),
]);

/** What the agent says. */
export type AgentMessage = v.InferOutput<typeof AgentLine>;

/** What the agent is asked to do with a process. */
export type AgentOperation =
  | { readonly op: "start"; readonly command: string }
  | { readonly op: "stdin"; readonly data: string }
  | { readonly op: "close" }
  | { readonly op: "signal"; readonly signal: number };

/** A line to the agent. `boot` is the number of its hello, `id` that of the process. */
export type AgentRequest = { readonly boot: number; readonly id: number } & AgentOperation;

/** A line of the agent, or null when it is none: a guest's kernel can do what it likes. */
export function parseAgentLine(line: string): AgentMessage | null {
  try {
    const parsed = v.safeParse(AgentLine, JSON.parse(line));
    return parsed.success ? parsed.output : null;
  } catch {
    return null;
  }
}
