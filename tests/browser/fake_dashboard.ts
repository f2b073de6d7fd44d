/**
 * A server with the dashboard's addresses and made-up numbers, as many as a test asks
 * for: what the page does with a thousand endpoints, 64 Ki mappings and ten thousand
 * faults must not hang on a machine that makes them.
 * @module
 */

import type {
  DomainState,
  EndpointDetail,
  EndpointState,
  FaultRow,
  FaultsPage,
  MappingRow,
  MappingsPage,
  MessageRow,
  MessagesPage,
  RunDetail,
  RunInfo,
  RunList,
  ScenarioList,
  Snapshot,
  TimelineEvent,
  TimelineKind,
  TimelinePage,
  TranslateResult,
} from "../../web/api.ts";
import { formatRequesterId } from "../../devices/pci/bdf.ts";
import { type Bundle, bundleClient } from "../../web/bundle.ts";
import { pageHtml } from "../../web/page.ts";

/** How much there is. */
export interface FakeSizes {
  readonly endpoints: number;
  readonly mappings: number;
  readonly faults: number;
  readonly messages: number;
  /** Faults that come with each snapshot. */
  readonly faultsPerSnapshot: number;
}

const SMALL: FakeSizes = {
  endpoints: 3,
  mappings: 40,
  faults: 12,
  messages: 0,
  faultsPerSnapshot: 0,
};

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const REASONS = ["unmapped", "permission", "no-domain"];
/** Bytes of a message: a header and the body of DMA_MAP. */
const MESSAGE_LENGTH = 48;
const COMMANDS = [{ name: "DMA_MAP", number: 2 }, { name: "DMA_UNMAP", number: 3 }] as const;
const KINDS: readonly TimelineKind[] = ["map", "map", "map", "unmap", "invalidate", "map"];

/** The server. */
export class FakeDashboard implements AsyncDisposable {
  readonly #sizes: FakeSizes;
  readonly #bundle: Bundle;
  readonly #started = Date.now() - 1000;
  #instance = crypto.randomUUID();
  readonly #streams = new Set<ReadableStreamDefaultController<Uint8Array>>();
  #server: Deno.HttpServer<Deno.NetAddr> | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #sequence = 0;
  #faults: number;
  readonly #events: TimelineEvent[] = [];
  #aheadMs = 0;
  #runId = 1;
  #turnsAway = false;
  #translations = new Map<number, number>();
  #latest: Snapshot | null = null;

  private constructor(sizes: FakeSizes, bundle: Bundle) {
    this.#sizes = sizes;
    this.#bundle = bundle;
    this.#faults = sizes.faults;
  }

  /** Serves on a free port of loopback. */
  static async start(sizes: Partial<FakeSizes> = {}): Promise<FakeDashboard> {
    const fake = new FakeDashboard({ ...SMALL, ...sizes }, await bundleClient());
    fake.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      (request) => fake.#answer(request),
    );
    fake.#timer = setInterval(() => fake.tick(), 250);
    return fake;
  }

  /** Where the page is. */
  get url(): string {
    return `http://127.0.0.1:${this.#server!.addr.port}/`;
  }

  /** Faults so far. */
  get faults(): number {
    return this.#faults;
  }

  /** Number of the newest snapshot. */
  get sequence(): number {
    return this.#sequence;
  }

  /** From now on snapshots come with {@linkcode tick} alone: nothing on the page moves by itself. */
  stand(): void {
    clearInterval(this.#timer);
  }

  /** Sends a snapshot, `passedMs` later by the clock that snapshots have. */
  tick(passedMs = 0): void {
    this.#aheadMs += passedMs;
    this.#faults += this.#sizes.faultsPerSnapshot;
    this.#latest = this.#snapshot();
    const { instance, sequence } = this.#latest;
    const text = `id: ${instance}.${sequence}\nevent: snapshot\ndata: ${
      JSON.stringify(this.#latest)
    }\n\n`;
    const bytes = new TextEncoder().encode(text);
    for (const stream of this.#streams) stream.enqueue(bytes);
  }

  /** From the next snapshot on it is another run that goes on. */
  startRun(): void {
    this.#runId++;
  }

  /** From the next snapshot on it is another server, at the same address. */
  startAnew(): void {
    this.#instance = crypto.randomUUID();
    this.#sequence = 0;
  }

  /** Ends every stream, and lets none in: whoever comes is told to come again in a minute. */
  turnAway(): void {
    this.#turnsAway = true;
    this.#endStreams();
  }

  /** Lets streams in again. */
  letIn(): void {
    this.#turnsAway = false;
  }

  /** Loses `count` snapshots. */
  skip(count: number): void {
    this.#sequence += count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stand();
    this.#endStreams();
    await this.#server?.shutdown();
  }

  #nowMs(): number {
    return Date.now() + this.#aheadMs;
  }

  #endStreams(): void {
    for (const stream of this.#streams) stream.close();
    this.#streams.clear();
  }

  #run(): RunInfo {
    return {
      id: this.#runId,
      scenario: "made-up",
      title: "Numbers of no machine",
      mode: "remap",
      via: "direct",
      variant: null,
      seed: 71633,
      state: "running",
      reason: null,
      startedMs: this.#started,
      durationMs: this.#nowMs() - this.#started,
      progress: { done: this.#sequence % 1000, total: 1000 },
      checks: { passed: 4, failed: 1 },
      kept: true,
    };
  }

  #endpoint(index: number): EndpointState {
    const id = 8 * (index + 1);
    const wave = 1.2 + Math.sin(this.#sequence / 12 + index);
    const rate = Math.round(90_000 / (1 + index) * wave);
    const translations = (this.#translations.get(id) ?? 0) + rate;
    this.#translations.set(id, translations);
    const hits = Math.round(translations * (0.97 - 0.02 * (index % 5)));
    const own = index === 0 ? this.#faults : 0;
    return {
      id,
      bdf: formatRequesterId(id),
      device: index % 3 === 2 ? "streamer" : "edu",
      domain: index === 1 ? 2 : 1,
      bypass: false,
      counters: {
        translations,
        iotlbHits: hits,
        iotlbMisses: translations - hits,
        faults: own,
        pageRequests: 0,
        invalidations: this.#sequence,
        dmaReadBytes: translations * 210,
        dmaWriteBytes: translations * 90,
      },
      latency: {
        samples: translations,
        p50Ns: 120 + 20 * Math.sin(this.#sequence / 9),
        p99Ns: 1400 + 600 * Math.sin(this.#sequence / 17 + index),
      },
      faultsByReason: own > 0 ? { unmapped: own } : {},
      heat: index < 4
        ? {
          start: 0x10_0000,
          width: 4096,
          buckets: Array.from(
            { length: 64 },
            (_, i) => Math.max(0, Math.round(30 * Math.cos((i - this.#sequence) / 9))),
          ),
        }
        : null,
    };
  }

  #domains(): DomainState[] {
    const { mappings, endpoints } = this.#sizes;
    return [1, 2].map((id) => ({
      id,
      kind: "mapped" as const,
      mappings: id === 1 ? mappings : 3,
      mappedBytes: 4096 * (id === 1 ? mappings : 3),
      maps: this.#sequence * 40 + mappings,
      unmaps: this.#sequence * 39,
      members: Array.from({ length: Math.min(64, endpoints) }, (_, i) => i)
        .filter((i) => (i === 1) === (id === 2))
        .map((i) => ({ endpoint: 8 * (i + 1), pasid: null })),
      membersLeftOut: 0,
    }));
  }

  #snapshot(): Snapshot {
    this.#sequence++;
    const endpoints = Array.from({ length: this.#sizes.endpoints }, (_, i) => this.#endpoint(i));
    const events: TimelineEvent[] = [];
    for (let i = 0; i < 6; i++) events.push(this.#event(KINDS[i]!));
    for (let i = 0; i < Math.min(400, this.#sizes.faultsPerSnapshot); i++) {
      events.push(this.#event("fault"));
    }
    const sum = (key: keyof EndpointState["counters"]) =>
      endpoints.reduce((total, { counters }) => total + counters[key], 0);
    return {
      instance: this.#instance,
      sequence: this.#sequence,
      timeMs: this.#nowMs(),
      state: "live",
      run: this.#run(),
      scenarioNs: this.#sequence * 1e6,
      endpoints,
      endpointsLeftOut: 0,
      domains: this.#domains(),
      domainsLeftOut: 0,
      totals: {
        translations: sum("translations"),
        iotlbHits: sum("iotlbHits"),
        iotlbMisses: sum("iotlbMisses"),
        faults: this.#faults,
        pageRequests: 0,
        invalidations: sum("invalidations"),
        dmaReadBytes: sum("dmaReadBytes"),
        dmaWriteBytes: sum("dmaWriteBytes"),
      },
      timeline: { events, dropped: 0 },
      droppedSnapshots: 0,
    };
  }

  #event(kind: TimelineKind): TimelineEvent {
    const sequence = this.#events.length;
    const isMapping = kind === "map" || kind === "unmap";
    const event: TimelineEvent = {
      sequence,
      timeNs: sequence * 40_000,
      kind,
      endpoint: isMapping ? null : 8,
      domain: 1,
      pasid: null,
      iova: 0x10_0000 + (sequence % 64) * 4096,
      length: kind === "fault" ? 0 : 4096,
      result: kind === "map"
        ? "0x1_2345_6000".replaceAll("_", "")
        : kind === "unmap"
        ? "4096"
        : kind === "fault"
        ? "unmapped"
        : "",
      access: kind === "map" ? "rw" : kind === "fault" ? "r" : "",
    };
    this.#events.push(event);
    return event;
  }

  #mapping(index: number): MappingRow {
    const iova = 0x10_0000 + index * 0x3000;
    return {
      iova,
      last: iova + 0xfff,
      gpa: 0x1_0000_0000 + (index * 7919 % 65536) * 4096,
      length: 4096,
      access: ["rw", "r", "w"][index % 3]!,
      mappedNs: index * 1000,
      hits: index % 50,
    };
  }

  #fault(sequence: number): FaultRow {
    return {
      sequence,
      timeNs: sequence * 5000,
      endpoint: 8,
      bdf: "00:01.0",
      device: "edu",
      pasid: null,
      iova: 0x10_1000 + sequence * 4096,
      access: sequence % 2 === 0 ? "r" : "w",
      reason: REASONS[sequence % 3]!,
      domain: 1,
      nearest: { mapping: this.#mapping(sequence % 40), distance: 0x1000, side: "below" },
    };
  }

  #message(number: number): MessageRow {
    const isReply = number % 2 === 1;
    const id = (0x9167 + (number >> 1)) & 0xffff;
    const command = COMMANDS[(number >> 1) % COMMANDS.length]!;
    const errno = number % 27 === 1 ? 22 : 0;
    const bytes = new Uint8Array(MESSAGE_LENGTH);
    const view = new DataView(bytes.buffer);
    // Header and DMA_MAP body as vfio-user has them.
    view.setUint16(0, id, true);
    view.setUint16(2, command.number, true);
    view.setUint32(4, MESSAGE_LENGTH, true);
    view.setUint32(8, isReply ? errno === 0 ? 1 : 0x21 : 0, true);
    view.setUint32(12, isReply ? errno : 0, true);
    view.setUint32(16, 32, true);
    view.setUint32(20, 3, true);
    view.setUint32(32, 0x10_0000, true);
    view.setUint32(40, 0x1000, true);
    return {
      number,
      timeMs: number * 0.127,
      direction: isReply ? "<" : ">",
      type: isReply ? "reply" : "command",
      id,
      connection: "edu at 00:01.0",
      command: command.name,
      length: MESSAGE_LENGTH,
      tookMs: isReply ? 0.041 : null,
      errno: isReply ? errno : null,
      descriptors: 0,
      fields: [
        { name: "addr", value: "0x100000" },
        { name: "size", value: "0x1000" },
        { name: "flags", value: "rw" },
      ],
      bytes: bytes.toHex(),
    };
  }

  #answer(request: Request): Response {
    const url = new URL(request.url);
    const path = url.pathname;
    const limit = Number(url.searchParams.get("limit") ?? 100);
    const cursor = Number(url.searchParams.get("cursor") ?? 0);
    if (path === "/") {
      return new Response(pageHtml(this.#bundle), {
        headers: { "Content-Type": "text/html", "Content-Security-Policy": POLICY },
      });
    }
    for (const asset of [this.#bundle.script, this.#bundle.style]) {
      if (asset?.path === path) {
        return new Response(asset.bytes, { headers: { "Content-Type": asset.mediaType } });
      }
    }
    if (path === "/api/stream") {
      return this.#turnsAway
        ? new Response(null, { status: 503, headers: { "Retry-After": "60" } })
        : this.#stream();
    }
    if (path === "/api/state") return Response.json(this.#latest ?? this.#snapshot());
    if (path === "/api/timeline") {
      const events = this.#events.slice(cursor, cursor + limit);
      const next = cursor + limit < this.#events.length ? String(cursor + limit) : null;
      return json<TimelinePage>({ run: this.#run(), events, next, dropped: 0 });
    }
    if (path === "/api/faults") {
      const first = cursor === 0 ? this.#faults - 1 : cursor;
      const count = Math.max(0, Math.min(limit, first + 1));
      return json<FaultsPage>({
        run: this.#run(),
        total: this.#faults,
        faults: Array.from({ length: count }, (_, i) => this.#fault(first - i)),
        next: first - count < 0 ? null : String(first - count),
        groups: REASONS.map((reason) => ({
          reason,
          endpoint: 8,
          bdf: "00:01.0",
          count: Math.floor(this.#faults / 3),
          firstNs: 0,
          lastNs: this.#faults * 5000,
        })),
        dropped: 0,
      });
    }
    if (path === "/api/messages") {
      const all = this.#sizes.messages;
      const count = Math.max(0, Math.min(limit, all - cursor));
      return json<MessagesPage>({
        run: this.#run(),
        total: all,
        messages: Array.from({ length: count }, (_, i) => this.#message(cursor + i)),
        next: cursor + count >= all ? null : String(cursor + count),
        dropped: 0,
      });
    }
    const mappings = /^\/api\/domains\/(\d+)\/mappings$/.exec(path);
    if (mappings !== null) {
      const all = mappings[1] === "1" ? this.#sizes.mappings : 3;
      const count = Math.max(0, Math.min(limit, all - cursor));
      return json<MappingsPage>({
        domain: Number(mappings[1]),
        total: all,
        mappedBytes: all * 4096,
        mappings: Array.from({ length: count }, (_, i) => this.#mapping(cursor + i)),
        next: cursor + count >= all ? null : String(cursor + count),
        leftOut: 0,
      });
    }
    if (path.endsWith("/translate")) return json<TranslateResult>(this.#translate(url));
    const endpoint = /^\/api\/endpoints\/([^/]+)$/.exec(path);
    if (endpoint !== null) return json<EndpointDetail>(this.#detail());
    if (path === "/api/runs") {
      return json<RunList>({
        runs: [this.#run()],
        totals: { passed: 0, failed: 0, skipped: 0 },
        forgotten: 0,
        canStart: true,
      });
    }
    if (path === "/api/runs/1") return json<RunDetail>(this.#runDetail());
    if (path === "/api/scenarios") return json<ScenarioList>(scenarioList());
    return Response.json({ type: "about:blank", status: 404, code: "not-found", title: path }, {
      status: 404,
    });
  }

  #stream(): Response {
    let mine: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        mine = controller;
        this.#streams.add(controller);
      },
      cancel: () => {
        this.#streams.delete(mine);
      },
    });
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  }

  #translate(url: URL): TranslateResult {
    const iova = Number(url.searchParams.get("iova"));
    const index = Math.floor((iova - 0x10_0000) / 0x3000);
    const row = this.#mapping(index);
    const covers = index >= 0 && index < this.#sizes.mappings && iova <= row.last;
    const wanted = url.searchParams.get("access") ?? "r";
    const allows = [...wanted].every((right) => row.access.includes(right));
    return {
      endpoint: 8,
      iova,
      access: wanted,
      gpa: covers && allows ? row.gpa + iova - row.iova : null,
      fault: !covers ? "unmapped" : allows ? null : "permission",
      walk: [
        { step: "endpoint", ok: true, endpoint: 8, bdf: "00:01.0" },
        { step: "domain", ok: true, domain: 1, kind: "mapped" },
        {
          step: "mapping",
          ok: covers,
          mapping: covers ? row : null,
          cache: covers ? "page-cache" : null,
          below: covers || index < 0 ? null : row,
          above: covers ? null : this.#mapping(Math.max(0, index + 1)),
        },
        ...(covers
          ? [
            { step: "permission" as const, ok: allows, allowed: row.access, wanted },
          ]
          : []),
        ...(covers && allows
          ? [
            {
              step: "region" as const,
              ok: true,
              gpa: row.gpa,
              region: "ram-high",
              readOnly: false,
            },
          ]
          : []),
      ],
      ended: false,
    };
  }

  #detail(): EndpointDetail {
    return {
      state: this.#latest!.endpoints[0]!,
      config: {
        vendorId: 0x1234,
        deviceId: 0x11e8,
        revisionId: 0x10,
        classCode: 0xff0000,
        subsystemVendorId: 0x1af4,
        subsystemId: 0x1100,
        command: 6,
        status: 0x10,
        commandFlags: ["memory", "bus-master"],
        capabilities: [{ offset: 0x40, id: 5, name: "MSI" }, {
          offset: 0x60,
          id: 17,
          name: "MSI-X",
        }],
      },
      bars: [
        { index: 0, kind: "mmio32", address: 0xfe00_0000, size: 1 << 20, prefetchable: false },
        { index: 2, kind: "mmio64", address: null, size: 16384, prefetchable: true },
      ],
      msix: {
        enabled: true,
        functionMasked: false,
        vectors: 4,
        bar: 2,
        rows: [0, 1, 2, 3].map((vector) => ({
          vector,
          address: 0xfee0_0000,
          data: 0x40 + vector,
          masked: vector === 3,
          pending: vector === 3,
        })),
      },
      inspect: {
        status: 0x80,
        factorial: 3_628_800,
        dma: { source: "0x100000", destination: "0x40000", count: 4096, running: true },
        queue: [1, 2, 3],
      },
      latencyBuckets: [{ belowNs: 128, count: 12 }, { belowNs: 256, count: 3 }],
      lspci: "00:01.0 Class ff00: 1234:11e8 (rev 10)",
    };
  }

  #runDetail(): RunDetail {
    return {
      run: this.#run(),
      steps: [
        { name: "map the buffer", depth: 0, ok: true, durationMs: 12.5, running: false },
        { name: "transfer", depth: 0, ok: true, durationMs: 340, running: true },
        { name: "second half", depth: 1, ok: true, durationMs: 100, running: true },
      ],
      thresholds: [
        { metric: "faults", wanted: "value==0", met: false, actual: this.#faults, problem: null },
        {
          metric: "translationSeconds",
          wanted: "p(99)<50e-6",
          met: true,
          actual: 3.1e-6,
          problem: null,
        },
      ],
      checks: [
        { name: "no fault", ok: true },
        { name: "the bytes are there", ok: false, detail: "actual   00\nexpected 01" },
      ],
      log: ["mapped 16 pages", "started the transfer"],
      errors: [],
      output: "",
      metrics: null,
      rerun: "npx -y deno@2.9.6 task scenario made-up --mode remap --via direct --seed 71633",
      artifacts: [{
        name: "trace.json",
        href: "/api/runs/1/trace.json",
        mediaType: "application/json",
        description: "Perfetto opens it",
      }],
    };
  }
}

function scenarioList(): ScenarioList {
  return {
    scenarios: ["made-up", "edu-unmapped"].map((name, i) => ({
      name,
      title: "Each byte that the device reads is the one that was written",
      tags: ["dma"],
      modes: ["identity", "remap"],
      vias: ["direct", "vfio-user"],
      timeoutMs: 10_000,
      history: Array.from({ length: 12 * i }, (_, run) => ({
        run,
        state: run % 5 === 4 ? "failed" as const : "passed" as const,
        durationMs: 20 + run * 3,
      })),
    })),
    modes: ["identity", "remap"],
    vias: ["direct", "vfio-user"],
  };
}

function json<T>(body: T): Response {
  return Response.json(body);
}
