import { assertEquals, assertThrows } from "@std/assert";
import { NO_METRICS } from "../run/run_report.ts";
import { type ControlRequest, parseReply, parseRequest, parseResult } from "./vfio_user_control.ts";

const REQUESTS: readonly ControlRequest[] = [
  { kind: "begin", seed: 5, nowNs: 1e9, trace: "on", messages: "off" },
  {
    kind: "plug",
    type: "edu",
    module: "file:///devices/edu/mod.ts",
    options: { dmaMask: 1 },
    name: "edu at 00:01.0",
    path: "/tmp/0.sock",
  },
  { kind: "unplug", endpoint: 1 },
  { kind: "advance", ms: 0.5 },
  { kind: "sync" },
  { kind: "settle" },
  { kind: "inspect", endpoint: 1 },
  { kind: "counters" },
  { kind: "look" },
  { kind: "tell", path: "/tmp/1.sock" },
  { kind: "end" },
];

Deno.test("parseRequest() reads every request back", () => {
  for (const [id, request] of REQUESTS.entries()) {
    assertEquals(parseRequest(JSON.stringify({ id, request })), { id, request });
  }
});

Deno.test("parseRequest() refuses what is no request", () => {
  const plug = REQUESTS[1]!;
  for (
    const bad of [
      {},
      { id: 1, request: { kind: "explode" } },
      { id: -1, request: { kind: "sync" } },
      { id: 1, request: { kind: "advance", ms: -1 } },
      { id: 1, request: { kind: "advance", ms: "1" } },
      { id: 1, request: { ...plug, module: "https://example.com/x.ts" } },
      { id: 1, request: { ...plug, extra: 1 } },
    ]
  ) assertThrows(() => parseRequest(JSON.stringify(bad)), Error, "Cannot read a request");
  assertThrows(() => parseRequest("{"), SyntaxError);
});

const REPLY = {
  id: 0,
  faults: [[1, -1, 4096, 2, -1, 5]],
  errors: [["edu", "Error", 1]],
  dma: [],
  invalidations: [[5, 6, 1, -1, 0, 2 ** 52, 0]],
  dropped: 0,
  messages: [[1, 5, ">", 0, "AQID"]],
  messagesLost: 0,
};

Deno.test("parseReply() reads results, errors and what has happened", () => {
  assertEquals(parseReply(JSON.stringify({ ...REPLY, result: { a: 1 } })).result, { a: 1 });
  const error = { name: "RangeError", message: "no" };
  assertEquals(parseReply(JSON.stringify({ ...REPLY, error })).error, error);
  assertThrows(() => parseReply(JSON.stringify({ ...REPLY, faults: [[1]] })), Error, "faults");
  const invalidations = [[5, 6, 1, -1, 0, -1, 0]];
  assertThrows(() => parseReply(JSON.stringify({ ...REPLY, invalidations })), Error, "invalid");
  const messages = [[1, 5, ">", 0, "?"]];
  assertThrows(() => parseReply(JSON.stringify({ ...REPLY, messages })), Error, "messages");
  assertThrows(() => parseReply(JSON.stringify({ id: 0 })), Error, "Cannot read a reply");
});

Deno.test("parseResult() checks a result by its request", () => {
  assertEquals(parseResult("plug", { endpoint: 3 }), { endpoint: 3 });
  assertThrows(() => parseResult("plug", {}), Error, "Cannot read a result of plug");
  assertEquals(parseResult("end", { left: ["a file"] }).left, ["a file"]);
});

Deno.test("parseResult() reads figures by endpoint, and the sample of a look", () => {
  const figures = {
    endpoint: 1,
    metrics: NO_METRICS,
    latencies: [{ belowNs: 2 ** 48, count: 3 }],
    latencySumNs: 7.25,
    faultsLost: 0,
  };
  const counters = { endpoints: [figures] };
  const look = { ...counters, events: [[5, 0, 1, -1, 0x1000, 8, 0], [5, 1, 1, -1, 0, 0, -1]] };
  assertEquals<unknown>(parseResult("counters", counters), counters);
  assertEquals<unknown>(parseResult("look", look), look);
  for (
    const bad of [
      { endpoints: [{ ...figures, faultsLost: -1 }] },
      { endpoints: [{ ...figures, latencySumNs: "7" }] },
      { endpoints: [{ ...figures, metrics: { ...NO_METRICS, faults: 0.5 } }] },
    ]
  ) assertThrows(() => parseResult("counters", bad), Error, "Cannot read a result of counters");
  assertThrows(() => parseResult("look", counters), Error, "Cannot read a result of look");
});
