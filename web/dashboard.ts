/**
 * A dashboard that serves: its parts put together, on a port.
 * @module
 */

import { thrownMessage } from "../core/thrown.ts";
import {
  type Observation,
  type ObservationListener,
  Observer,
} from "../harness/observe/observer.ts";
import { describeError } from "../harness/run/describe_error.ts";
import { within } from "../harness/vm/deadline.ts";
import type { CatalogEntry } from "../harness/run/plan.ts";
import { TOKEN_PARAMETER } from "./api.ts";
import { type Bundle, bundleCache, bundleClient } from "./bundle.ts";
import { Runs } from "./runs.ts";
import { newToken, type ServerAddress } from "./security.ts";
import { createApp } from "./server.ts";
import { Snapshots } from "./snapshots.ts";

/** What a dashboard is started with. */
export interface DashboardOptions {
  /** Name or address to listen on; 127.0.0.1 unless told. */
  readonly host?: string;
  /** 0 for any that is free. */
  readonly port: number;
  readonly catalog: readonly CatalogEntry[];
  /** Who starts runs: see `Runs`. */
  readonly startedBy: "page" | "command";
  /** Gets lines for people. */
  readonly log: (line: string) => void;
}

/** One that is serving. */
export interface Dashboard {
  /** The link with the token: whoever has it may start and stop runs. */
  readonly link: string;
  readonly runs: Runs;
  readonly snapshots: Snapshots;
  /**
   * Stops serving, and ends runs and streams. Resolves when no process is left, and when all answers
   * have been read, or a second later: who does not read does not hold it up.
   */
  close(): Promise<void>;
}

const DEFAULT_HOST = "127.0.0.1";
/** Milliseconds for answers that were not read when the dashboard was closed. */
const LAST_MS = 1000;

/** Listens and serves. @throws {Error} when it cannot listen there */
export function startDashboard(options: DashboardOptions): Dashboard {
  const { host = DEFAULT_HOST, log } = options;
  const token = newToken();
  const complain = (error: unknown): void => log(`The dashboard failed: ${describeError(error)}`);
  const observer = new LazyObserver(log);
  const runs = new Runs({
    catalog: options.catalog,
    observer,
    startedBy: options.startedBy,
    onError: complain,
  });
  const snapshots = new Snapshots({ runs });
  let address: ServerAddress = { host, port: options.port };
  // Made once: who comes early waits for it, and who comes later gets the same.
  let bundle: Promise<Bundle> | null = null;
  const closing = new AbortController();
  const makeBundle = (): Promise<Bundle> => {
    bundle ??= bundleClient(bundleCache(), closing.signal).catch((error) => {
      bundle = null;
      throw error;
    });
    return bundle;
  };
  const app = createApp({
    runs,
    snapshots,
    bundle: makeBundle,
    token,
    address: () => address,
    onError: complain,
  });
  const server = Deno.serve({
    hostname: host,
    port: options.port,
    onListen: () => {},
    onError: (error) => {
      complain(error);
      return new Response(null, { status: 500 });
    },
  }, (request) => app.fetch(request));
  address = { host, port: server.addr.port };
  // Who starts a dashboard will open its page; who looks on a command line may not.
  if (options.startedBy === "page") {
    makeBundle().catch((error) => {
      if (!closing.signal.aborted) log(`Cannot make the page: ${thrownMessage(error)}`);
    });
  }
  const shown = host.includes(":") ? `[${host}]` : host;
  return {
    link: `http://${shown}:${address.port}/?${TOKEN_PARAMETER}=${token}`,
    runs,
    snapshots,
    async close() {
      // First: pages whose streams end come back in a second, which may be before the runs have ended.
      const stopped = server.shutdown();
      closing.abort();
      snapshots.close();
      await runs.close();
      await observer.close();
      // What is being made has files in the temporary folder.
      await bundle?.catch(() => {});
      await within(stopped, LAST_MS, null);
    },
  };
}

/** Only runs of scenarios are observed that way: where there is none, no folder is made. */
class LazyObserver {
  readonly #log: (line: string) => void;
  #observer: Observer | null = null;
  #failed = false;

  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  /** Null when runs cannot be watched. */
  watch(listener: ObservationListener): Observation | null {
    if (this.#failed) return null;
    try {
      this.#observer ??= new Observer();
    } catch (error) {
      this.#failed = true;
      const reason = thrownMessage(error);
      this.#log(`Cannot watch runs: ${reason}; the page shows their reports alone`);
      return null;
    }
    return this.#observer.watch(listener);
  }

  async close(): Promise<void> {
    await this.#observer?.close();
  }
}
