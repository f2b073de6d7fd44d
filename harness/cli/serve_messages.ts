/**
 * What the command line and the thread that serves say to each other.
 * @module
 */

import type { ReactorHandle } from "../../protocols/linux/reactor.ts";
import type { ServerTold, ServerWatchRequest } from "../observe/server_thread_protocol.ts";
import type { LogRoom } from "./serving_log.ts";
import type { Spin } from "./serve_options.ts";

/** What is to be served. */
export interface ServeStart {
  readonly devices: readonly {
    /** As it was named on the command line. */
    readonly name: string;
    /** URL of the module that exports it. */
    readonly module: string;
    /** Its type where the name says it, otherwise the module's only one. */
    readonly type: string | null;
  }[];
  /** Number of the first device's endpoint, a PCI requester ID; the others follow, 8 apart. */
  readonly firstEndpoint: number;
  readonly socketDir: string;
  readonly spin: Spin;
  readonly messages: string | null;
  /** How it is to be watched, or null. */
  readonly watch: ServerWatchRequest | null;
  /** For its log. */
  readonly logRoom: LogRoom;
}

/** A device that is served. */
export interface ServedDevice {
  readonly type: string;
  readonly path: string;
}

/** What the thread is told: first what to serve, and to go on once it has loaded that. */
export type ServeRequest =
  | { readonly kind: "load"; readonly start: ServeStart }
  | { readonly kind: "open" };

/** What comes back. */
export type ServeReport =
  /** The devices' modules are loaded, and nothing of the system is in use yet. */
  | { readonly kind: "loaded" }
  | {
    readonly kind: "listening";
    readonly devices: readonly ServedDevice[];
    readonly handle: ReactorHandle;
    /** Messages are written to this process's stdout, where nothing else may go then. */
    readonly takesStdout: boolean;
  }
  /** For stderr. */
  | { readonly kind: "log"; readonly text: string }
  /** For whoever looks on. */
  | { readonly kind: "told"; readonly told: ServerTold }
  /** It cannot be served, and the message says what would be right. */
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "ended" };
