/**
 * The dashboard's addresses (DESIGN.md, 5).
 * @module
 */

import { type Context, Hono, type MiddlewareHandler } from "hono";
import { thrownMessage } from "../core/thrown.ts";
import { lspciDump } from "../harness/export/lspci.ts";
import { htmlReport } from "../harness/report/html/html_report.ts";
import type {
  DomainList,
  DomainState,
  EndpointDetail,
  EndpointList,
  EndpointState,
  FaultsPage,
  MappingsPage,
  MessagesPage,
  TimelinePage,
} from "./api.ts";
import type { Bundle } from "./bundle.ts";
import { bytesOf, configSummary } from "./config_summary.ts";
import grafana from "./grafana/viaduct.json" with { type: "json" };
import { mappingRow } from "./mapping_row.ts";
import { FilterError, parseFilter } from "./message_filter.ts";
import { formatMessages } from "./message_text.ts";
import { makeMetrics } from "./metrics.ts";
import { failureHtml, pageHtml } from "./page.ts";
import { HttpProblem } from "./problem.ts";
import {
  endpointId,
  pathNumber,
  queryAccess,
  queryAddress,
  queryEndpoint,
  queryInteger,
  readStart,
} from "./request.ts";
import type { Run } from "./run.ts";
import type { Runs } from "./runs.ts";
import { needsToken, sameOrigin, securityHeaders, type ServerAddress } from "./security.ts";
import { type Snapshots, timelineEvent } from "./snapshots.ts";
import { BusyError, type LiveSource } from "./source.ts";
import { walk } from "./walk.ts";

/** Requests that may be under way at a time, streams apart. */
const MAX_REQUESTS = 128;
const MAX_PAGE = 1000;
const MAX_TIMELINE_PAGE = 5000;

/** What the server is made of. */
export interface ServerOptions {
  readonly runs: Runs;
  readonly snapshots: Snapshots;
  /** The page's code; rejects with what is wrong with it. */
  readonly bundle: () => Promise<Bundle>;
  /** What changes anything must carry. */
  readonly token: string;
  /** Where the server is reached. */
  readonly address: () => ServerAddress;
  /** Gets what went wrong in a handler. Never holds the token. */
  readonly onError: (error: unknown) => void;
}

/** The application, for `Deno.serve`, or for tests through `app.request()`. */
export function createApp(options: ServerOptions): Hono {
  const { runs, snapshots, bundle, token, address, onError } = options;
  const app = new Hono();
  const metrics = makeMetrics(() => runs.current?.source ?? null);

  app.use(securityHeaders(), sameOrigin(address), limitRequests());
  app.onError((error) => {
    if (error instanceof HttpProblem) return error.response();
    if (error instanceof BusyError) {
      return new HttpProblem("busy", "The run is busy and did not answer", { "Retry-After": "1" })
        .response();
    }
    onError(error);
    return new HttpProblem("internal").response();
  });
  app.notFound(() => new HttpProblem("not-found").response());

  const get = (path: string, handler: (c: Context) => Response | Promise<Response>): void => {
    // HEAD comes to the handlers of GET.
    app.get(path, handler);
    app.all(path, () => {
      throw new HttpProblem("method-not-allowed", undefined, { Allow: "GET, HEAD" });
    });
  };

  get("/", async (c) => {
    try {
      return c.html(pageHtml(await bundle()));
    } catch (error) {
      return c.html(failureHtml(thrownMessage(error)), 503);
    }
  });
  get("/assets/:name", async (c) => {
    const { script, style } = await bundle().catch(() => {
      throw new HttpProblem("not-found");
    });
    const asset = [script, style].find((asset) => asset?.path === c.req.path);
    if (asset === undefined || asset === null) throw new HttpProblem("not-found");
    return c.body(asset.bytes, 200, {
      "Content-Type": asset.mediaType,
      "Cache-Control": "public, max-age=31536000, immutable",
    });
  });
  get("/healthz", (c) => c.text("ok\n"));
  get(
    "/metrics",
    async (c) => c.body(await metrics.text(), 200, { "Content-Type": metrics.contentType }),
  );
  // For its import by hand: a machine's Grafana may be somewhere else.
  get("/grafana.json", (c) =>
    c.body(JSON.stringify(grafana, null, 2), 200, {
      "Content-Type": "application/json",
      "Content-Disposition": 'attachment; filename="viaduct-grafana.json"',
    }));

  get("/api/state", (c) => c.json(snapshots.state(runOf(c, runs))));
  get("/api/stream", (c) => {
    const headers = { "Content-Type": "text/event-stream; charset=utf-8" };
    if (c.req.method === "HEAD") return c.body(null, 200, headers);
    return c.body(snapshots.open(c.req.header("last-event-id") ?? null), 200, headers);
  });

  get("/api/endpoints", (c) => {
    const run = runOf(c, runs);
    const list: EndpointList = {
      run: run?.info() ?? null,
      endpoints: run?.source?.picture().endpoints ?? [],
    };
    return c.json(list);
  });
  get("/api/endpoints/:endpoint", async (c) => {
    const { source, endpoint } = endpointOf(c, runs);
    return c.json(await endpointDetail(source, endpoint));
  });
  get("/api/endpoints/:endpoint/mappings", async (c) => {
    const { source, endpoint } = endpointOf(c, runs);
    return c.json(await mappingsPage(c, source, endpoint.domain));
  });
  get("/api/endpoints/:endpoint/translate", async (c) => {
    const { source, endpoint } = endpointOf(c, runs);
    const iova = queryAddress(c, "iova", null);
    if (iova === null) throw new HttpProblem("bad-request", "Name an address: ?iova=0x1000");
    const access = queryAccess(c);
    const domain = domainOf(endpoint, source);
    const translates = domain !== null && domain.kind !== "bypass";
    return c.json(walk({
      endpoint,
      iova,
      access,
      domain,
      around: translates ? await source.around(domain.id, iova) : null,
      regions: source.regions,
      ended: source.state === "ended",
    }));
  });

  get("/api/timeline", (c) => {
    const run = runOf(c, runs);
    const from = queryInteger(c, "cursor", 0, Number.MAX_SAFE_INTEGER, 0);
    const limit = queryInteger(c, "limit", 1, MAX_TIMELINE_PAGE, 500);
    const rest = run?.source?.timeline(from, Infinity) ?? [];
    const page: TimelinePage = {
      run: run?.info() ?? null,
      events: rest.slice(0, limit).map(timelineEvent),
      next: rest.length > limit ? String(rest[limit]![0]) : null,
      dropped: rest.length === 0 ? 0 : rest[0]![0]! - from,
    };
    return c.json(page);
  });

  get("/api/domains", (c) => {
    const run = runOf(c, runs);
    const list: DomainList = {
      run: run?.info() ?? null,
      domains: run?.source?.picture().domains ?? [],
    };
    return c.json(list);
  });
  get("/api/domains/:domain/mappings", async (c) => {
    const source = sourceOf(runOf(c, runs));
    const id = pathNumber(c, "domain");
    if (!source.picture().domains.some((domain) => domain.id === id)) {
      throw new HttpProblem("not-found", `There is no domain ${id}`);
    }
    return c.json(await mappingsPage(c, source, id));
  });

  get("/api/faults", (c) => {
    const run = runOf(c, runs);
    const source = run?.source ?? null;
    const query = {
      before: queryInteger(c, "cursor", 0, Number.MAX_SAFE_INTEGER, null),
      limit: queryInteger(c, "limit", 1, MAX_PAGE, 100),
      endpoint: queryEndpoint(c),
      reason: c.req.query("reason") || null,
    };
    const devices = new Map(source?.picture().endpoints.map(({ id, device }) => [id, device]));
    const page: FaultsPage = {
      run: run?.info() ?? null,
      ...source?.faults.page(query, (id) => devices.get(id) ?? "unknown") ??
        { total: 0, faults: [], next: null },
      groups: source?.faults.groups() ?? [],
      dropped: source?.faults.dropped ?? 0,
    };
    return c.json(page);
  });

  get("/api/messages", (c) => {
    const run = runOf(c, runs);
    const messages = run?.source?.messages ?? [];
    const from = queryInteger(c, "cursor", 0, Number.MAX_SAFE_INTEGER, 0);
    const limit = queryInteger(c, "limit", 1, MAX_PAGE, 200);
    const matching = messages.filter(filterOf(c));
    const rest = matching.filter(({ number }) => number >= from);
    const page: MessagesPage = {
      run: run?.info() ?? null,
      total: matching.length,
      messages: rest.slice(0, limit),
      next: rest.length > limit ? String(rest[limit]!.number) : null,
      dropped: run?.source?.messagesDropped ?? 0,
    };
    return c.json(page);
  });

  get("/api/scenarios", (c) => c.json(runs.scenarios()));
  app.post("/api/runs", needsToken(token), async (c) => {
    const info = runs.start(await readStart(c.req.raw));
    return c.json(info, 201, { Location: `/api/runs/${info.id}` });
  });
  app.get("/api/runs", (c) => c.json(runs.list()));
  app.all("/api/runs", () => {
    throw new HttpProblem("method-not-allowed", undefined, { Allow: "GET, HEAD, POST" });
  });
  get("/api/runs/report.html", () => {
    const text = htmlReportOf(runs);
    if (text === null) throw new HttpProblem("not-found", "No run has ended yet");
    // To be kept, and opened from a file: there its own policy holds, and none of this origin's rights.
    return new Response(text, {
      headers: {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Disposition": 'attachment; filename="viaduct-runs.html"',
      },
    });
  });
  get("/api/runs/:run", (c) => c.json(pathRun(c, runs).detail()));
  app.post("/api/runs/:run/stop", needsToken(token), (c) => {
    const info = runs.stop(pathNumber(c, "run"));
    if (info === null) throw new HttpProblem("not-found", "There is no such run");
    return c.json(info, 202);
  });
  app.all("/api/runs/:run/stop", () => {
    throw new HttpProblem("method-not-allowed", undefined, { Allow: "POST" });
  });
  get("/api/runs/:run/report.json", (c) => {
    const run = pathRun(c, runs);
    return file(run, "report.json", "application/json", run.jsonReport());
  });
  get("/api/runs/:run/junit.xml", (c) => {
    const run = pathRun(c, runs);
    return file(run, "junit.xml", "application/xml", run.junitReport());
  });
  get("/api/runs/:run/trace.json", (c) => {
    const run = pathRun(c, runs);
    return file(run, "trace.json", "application/json", run.chromeTrace());
  });
  get("/api/runs/:run/messages.log", (c) => {
    const run = pathRun(c, runs);
    const messages = run.source?.messages ?? [];
    return file(
      run,
      "messages.log",
      "text/plain; charset=utf-8",
      messages.length === 0 ? null : formatMessages(messages),
    );
  });
  return app;
}

/** A page about all listed runs that have ended, oldest first; null when there is none. */
function htmlReportOf(runs: Runs): string | null {
  const reports = runs.list().runs.flatMap(({ id }) => runs.get(id)?.report ?? []).reverse();
  if (reports.length === 0) return null;
  return htmlReport({
    runs: reports,
    seed: null,
    durationMs: reports.reduce((sum, { durationMs }) => sum + durationMs, 0),
    ended: "complete",
  });
}

/** Refuses requests beyond {@linkcode MAX_REQUESTS}: someone may open many and let them hang. */
function limitRequests(): MiddlewareHandler {
  let underWay = 0;
  return async (_c, next) => {
    if (underWay >= MAX_REQUESTS) {
      throw new HttpProblem("busy", `${MAX_REQUESTS} requests are under way`, {
        "Retry-After": "1",
      });
    }
    underWay++;
    try {
      await next();
    } finally {
      underWay--;
    }
  };
}

/** The run that a request is about: see `api.ts`. @throws {HttpProblem} when it names one that is not there */
function runOf(c: Context, runs: Runs): Run | null {
  const id = queryInteger(c, "run", 1, Number.MAX_SAFE_INTEGER, null);
  if (id === null) return runs.current;
  const run = runs.get(id);
  if (run === null) throw new HttpProblem("not-found", `There is no run ${id}`);
  return run;
}

function pathRun(c: Context, runs: Runs): Run {
  const id = pathNumber(c, "run");
  const run = runs.get(id);
  if (run === null) throw new HttpProblem("not-found", `There is no run ${id}`);
  return run;
}

function sourceOf(run: Run | null): LiveSource {
  if (run === null) {
    throw new HttpProblem("not-found", "There has been no run yet: start one");
  }
  if (run.source === null) {
    throw new HttpProblem(
      "not-found",
      run.ended ? "The machine of this run is no longer kept" : "The run has not begun yet",
    );
  }
  return run.source;
}

function endpointOf(
  c: Context,
  runs: Runs,
): { readonly source: LiveSource; readonly endpoint: EndpointState } {
  const source = sourceOf(runOf(c, runs));
  const id = endpointId(c.req.param("endpoint") ?? "");
  const endpoint = source.picture().endpoints.find((endpoint) => endpoint.id === id);
  if (endpoint === undefined) {
    throw new HttpProblem("not-found", `There is no endpoint ${id}; /api/endpoints lists them`);
  }
  return { source, endpoint };
}

/** The domain an endpoint is in; of those that a picture leaves out all that is known is that they map. */
function domainOf(
  { domain: id }: EndpointState,
  source: LiveSource,
): Pick<DomainState, "id" | "kind"> | null {
  if (id === null) return null;
  const { domains, domainsLeftOut } = source.picture();
  return domains.find((domain) => domain.id === id) ??
    (domainsLeftOut > 0 ? { id, kind: "mapped" } : null);
}

async function endpointDetail(
  source: LiveSource,
  state: EndpointState,
): Promise<EndpointDetail> {
  const detail = await source.detail(state.id);
  const config = detail === null ? null : bytesOf(detail.config);
  return {
    state,
    config: config === null ? null : configSummary(config),
    bars: detail?.bars ?? null,
    msix: detail?.msix ?? null,
    inspect: (detail?.inspect ?? null) as EndpointDetail["inspect"],
    latencyBuckets: (source.latencies.find(({ endpoint }) => endpoint === state.id)?.buckets ?? [])
      .map(([belowNs, count]) => ({ belowNs, count })),
    lspci: config === null ? null : lspciDump([{ endpoint: state.id, config }]),
  };
}

async function mappingsPage(
  c: Context,
  source: LiveSource,
  domain: number | null,
): Promise<MappingsPage> {
  const limit = queryInteger(c, "limit", 1, MAX_PAGE, 100);
  const from = queryAddress(c, "cursor", null) ?? queryAddress(c, "from", 0);
  if (domain === null) {
    return { domain, total: 0, mappedBytes: 0, mappings: [], next: null, leftOut: 0 };
  }
  const mappings = await source.mappings(domain, from, limit + 1);
  const state = source.picture().domains.find(({ id }) => id === domain);
  return {
    domain,
    total: state?.mappings ?? 0,
    mappedBytes: state?.mappedBytes ?? 0,
    mappings: mappings.slice(0, limit).map(mappingRow),
    next: mappings.length > limit ? String(mappings[limit]![0]) : null,
    leftOut: source.mappingsLeftOut(domain),
  };
}

function filterOf(c: Context): ReturnType<typeof parseFilter> {
  try {
    return parseFilter(c.req.query("filter") ?? "");
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    throw new HttpProblem("bad-request", error.message, {}, error.position);
  }
}

function file(run: Run, name: string, type: string, text: string | null): Response {
  if (text === null) {
    throw new HttpProblem("not-found", run.ended ? "It is not kept" : "The run has not ended yet");
  }
  const { entry, mode, via } = run.planned;
  const shown = `${entry.name}-${mode}-${via}-${name}`;
  return new Response(text, {
    headers: { "Content-Type": type, "Content-Disposition": `attachment; filename="${shown}"` },
  });
}
