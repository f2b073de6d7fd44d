/**
 * A dashboard that serves: its parts put together, on a port.
 * @module
 */

import { Observer } from "../harness/observe/observer.ts";
import type { CatalogEntry } from "../harness/run/plan.ts";
import { TOKEN_PARAMETER } from "./api.ts";
import { type Bundle, bundleClient } from "./bundle.ts";
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
  /** Ends runs and streams, and stops serving. Resolves when no process is left. */
  close(): Promise<void>;
}

const DEFAULT_HOST = "127.0.0.1";

/** Listens and serves. @throws {Error} when it cannot listen there */
export function startDashboard(options: DashboardOptions): Dashboard {
  const { host = DEFAULT_HOST, log } = options;
  // Only runs of scenarios are observed that way, and one that has none leaves no folder behind.
  let observer: Observer | null = null;
  const token = newToken();
  const complain = (error: unknown): void =>
    log(`The dashboard failed: ${error instanceof Error ? error.stack ?? error.message : error}`);
  const runs = new Runs({
    catalog: options.catalog,
    observer: { watch: (listener) => (observer ??= new Observer()).watch(listener) },
    startedBy: options.startedBy,
    onError: complain,
  });
  const snapshots = new Snapshots({ runs });
  let address: ServerAddress = { host, port: options.port };
  // Made once: who comes early waits for it, and who comes later gets the same.
  let bundle: Promise<Bundle> | null = null;
  const makeBundle = (): Promise<Bundle> => {
    bundle ??= bundleClient().catch((error) => {
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
    makeBundle().catch((error) => log(`Cannot make the page: ${error.message}`));
  }
  const shown = host.includes(":") ? `[${host}]` : host;
  return {
    link: `http://${shown}:${address.port}/?${TOKEN_PARAMETER}=${token}`,
    runs,
    snapshots,
    async close() {
      snapshots.close();
      await runs.close();
      observer?.close();
      // What is being made has files in the temporary folder.
      await bundle?.catch(() => {});
      await server.shutdown();
    },
  };
}
