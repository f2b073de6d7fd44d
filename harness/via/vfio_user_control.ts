/**
 * What the harness and a server process say to each other beside the vfio-user sockets:
 * JSON lines over a UNIX socket of their own. Time, fault records, counters and a look into
 * models are the harness's business; vfio-user has no commands for them, and gets none.
 *
 * The harness asks, and the server answers each request once, in order, when all that the
 * devices did before has left the process.
 *
 * @module
 */

import { join } from "@std/path";
import * as v from "valibot";
import type { EndpointFigures } from "../observe/endpoint_figures.ts";
import { MetricsSchema } from "../run/run_report.ts";

/** What both ends announce: scenarios map more than the 65 535 ranges of the specification's default. */
export const MAX_DMA_MAPS: number = 2 ** 20;

/** Where a server process whose sockets are in `directory` listens for the harness. */
export function controlSocket(directory: string): string {
  return join(directory, "control.sock");
}

/** What the harness asks for. */
export type ControlRequest =
  /** Makes the machine of a run: no device yet, time as it is elsewhere. */
  | {
    readonly kind: "begin";
    readonly seed: number;
    readonly nowNs: number;
    readonly trace: "on" | "off";
    /** Whether answers bring the messages of the devices' connections: for who is not their client. */
    readonly messages: "on" | "off";
  }
  /** Makes a device and a socket for it at `path`. Answered by {@linkcode PlugResult}. */
  | {
    readonly kind: "plug";
    readonly type: string;
    readonly module: string;
    readonly options: unknown;
    /** For messages about it: `edu at 00:01.0`. */
    readonly name: string;
    readonly path: string;
  }
  /** Takes a device away; its counters stay. */
  | { readonly kind: "unplug"; readonly endpoint: number }
  /** Moves time on by `ms`. */
  | { readonly kind: "advance"; readonly ms: number }
  /** Does nothing, after all that went before. */
  | { readonly kind: "sync" }
  /** As `sync`, and errors that nobody has caught have surfaced. */
  | { readonly kind: "settle" }
  /** Answered by {@linkcode InspectResult}. */
  | { readonly kind: "inspect"; readonly endpoint: number }
  /** Answered by {@linkcode CountersResult}. */
  | { readonly kind: "counters" }
  /** Answered by {@linkcode LookResult}. Begins the next sample of DMA. */
  | { readonly kind: "look" }
  /**
   * From now until the machine's end a thread of its own tells the counters at the socket `path`, also
   * while the devices keep theirs busy: see `vfio_user_teller.ts`.
   */
  | { readonly kind: "tell"; readonly path: string }
  /** Takes the machine down. Answered by {@linkcode EndResult}. */
  | { readonly kind: "end" };

/** A request as it is sent. */
export interface ControlMessage {
  readonly id: number;
  readonly request: ControlRequest;
}

/** A fault as the server recorded it: endpoint, PASID or -1, IOVA, access, reason, time. */
export type FaultTuple = readonly [number, number, number, number, number, number];
/** An event of the trace: time, kind, endpoint, PASID or -1, IOVA, length, fault or 0. */
export type TraceTuple = readonly [number, number, number, number, number, number, number];

/** A message: endpoint, nanoseconds since the machine began, direction, descriptors, header and body in Base64. */
export type MessageTuple = readonly [number, number, ">" | "<", number, string];

/** What an answer brings with it: all that has happened since the last one. */
export interface Happened {
  /** In the order in which they happened. */
  readonly faults: readonly FaultTuple[];
  /** Errors of device models: which device, the error as text, and how many it stands for. */
  readonly errors: readonly (readonly [string, string, number])[];
  /** Accesses, and pins that began or ended; of a run that is traced. */
  readonly dma: readonly TraceTuple[];
  /** All of them, of a run that is traced or watched. */
  readonly invalidations: readonly TraceTuple[];
  /** Events of both that were overwritten. */
  readonly dropped: number;
  /** Oldest first, of a run whose client is another; {@linkcode messagesLost} more had no room. */
  readonly messages: readonly MessageTuple[];
  /** See {@linkcode messages}. */
  readonly messagesLost: number;
}

/** An answer. */
export interface ControlReply extends Happened {
  readonly id: number;
  /** The request's result, when it was done. */
  readonly result?: unknown;
  /** Why it was not. */
  readonly error?: { readonly name: string; readonly message: string };
}

/** Of `plug`. */
export interface PlugResult {
  /** The device's number in the server's IOMMU. */
  readonly endpoint: number;
}

/** Of `inspect`. */
export interface InspectResult {
  readonly state: Record<string, unknown>;
}

/** Of `counters`: each device by its number in the server's IOMMU, those that went included. */
export interface CountersResult {
  readonly endpoints: readonly EndpointFigures[];
}

/** Of `look`: also a sample of DMA since the last one, with page requests. */
export interface LookResult extends CountersResult {
  readonly events: readonly TraceTuple[];
}

/** Of `end`: what is left that was not there at the beginning, one text each; none when all is well. */
export interface EndResult {
  readonly left: readonly string[];
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const integer = v.pipe(v.number(), v.safeInteger());
const text = v.string();

const RequestSchema: v.GenericSchema<ControlRequest> = v.variant("kind", [
  v.strictObject({
    kind: v.literal("begin"),
    seed: count,
    nowNs: count,
    trace: v.picklist(["on", "off"]),
    messages: v.picklist(["on", "off"]),
  }),
  v.strictObject({
    kind: v.literal("plug"),
    type: text,
    module: v.pipe(text, v.startsWith("file:")),
    options: v.unknown(),
    name: text,
    path: text,
  }),
  v.strictObject({ kind: v.literal("unplug"), endpoint: count }),
  v.strictObject({ kind: v.literal("advance"), ms: v.pipe(v.number(), v.minValue(0)) }),
  v.strictObject({ kind: v.literal("sync") }),
  v.strictObject({ kind: v.literal("settle") }),
  v.strictObject({ kind: v.literal("inspect"), endpoint: count }),
  v.strictObject({ kind: v.literal("counters") }),
  v.strictObject({ kind: v.literal("look") }),
  v.strictObject({ kind: v.literal("tell"), path: text }),
  v.strictObject({ kind: v.literal("end") }),
]);

const MessageSchema: v.GenericSchema<ControlMessage> = v.strictObject({
  id: count,
  request: RequestSchema,
});

const TraceSchema = v.array(
  v.strictTuple([count, count, count, integer, count, count, integer]),
);

const ReplySchema: v.GenericSchema<ControlReply> = v.strictObject({
  id: count,
  result: v.exactOptional(v.unknown()),
  error: v.exactOptional(v.strictObject({ name: text, message: text })),
  faults: v.array(v.strictTuple([count, integer, count, count, integer, count])),
  errors: v.array(v.strictTuple([text, text, count])),
  dma: TraceSchema,
  invalidations: TraceSchema,
  dropped: count,
  messages: v.array(
    v.strictTuple([count, count, v.picklist([">", "<"]), count, v.pipe(text, v.base64())]),
  ),
  messagesLost: count,
});

const PlugSchema: v.GenericSchema<PlugResult> = v.strictObject({ endpoint: count });
const InspectSchema: v.GenericSchema<InspectResult> = v.strictObject({
  state: v.record(v.string(), v.unknown()),
});
const FiguresSchema: v.GenericSchema<EndpointFigures> = v.strictObject({
  endpoint: count,
  metrics: MetricsSchema,
  latencies: v.array(v.strictObject({ belowNs: count, count })),
  latencySumNs: v.pipe(v.number(), v.finite(), v.minValue(0)),
  faultsLost: count,
});
const CountersSchema: v.GenericSchema<CountersResult> = v.strictObject({
  endpoints: v.array(FiguresSchema),
});
const LookSchema: v.GenericSchema<LookResult> = v.strictObject({
  endpoints: v.array(FiguresSchema),
  events: TraceSchema,
});
const EndSchema: v.GenericSchema<EndResult> = v.strictObject({ left: v.array(text) });

/** Results by the request's kind. */
export interface Results {
  readonly plug: PlugResult;
  readonly inspect: InspectResult;
  readonly counters: CountersResult;
  readonly look: LookResult;
  readonly end: EndResult;
}

const RESULTS: { readonly [Kind in keyof Results]: v.GenericSchema<Results[Kind]> } = {
  plug: PlugSchema,
  inspect: InspectSchema,
  counters: CountersSchema,
  look: LookSchema,
  end: EndSchema,
};

/** @throws {Error} when `value` does not fit `schema` */
function parse<T>(what: string, schema: v.GenericSchema<T>, value: unknown): T {
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new Error(`Cannot read a ${what}: ${v.getDotPath(issue) ?? "it"}: ${issue.message}`);
}

/** The request in a line. @throws {Error} when it is none */
export function parseRequest(line: string): ControlMessage {
  return parse("request of the harness", MessageSchema, JSON.parse(line));
}

/** The answer in a line. @throws {Error} when it is none */
export function parseReply(line: string): ControlReply {
  return parse("reply of the server process", ReplySchema, JSON.parse(line));
}

/** The result of a request. @throws {Error} when it is none */
export function parseResult<Kind extends keyof Results>(
  kind: Kind,
  value: unknown,
): Results[Kind] {
  return parse(`result of ${kind}`, RESULTS[kind] as v.GenericSchema<Results[Kind]>, value);
}
