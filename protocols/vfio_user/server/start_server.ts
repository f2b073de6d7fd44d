/**
 * A server with all that it needs, for tests, scenarios and Workers that serve one device.
 * @module
 */

import type { Clock } from "../../../core/observe/clock.ts";
import { Reactor, type SpinMode } from "../../linux/reactor.ts";
import { VfioUserServer, type VfioUserServerOptions } from "./server.ts";
import { ServerMachine } from "./server_machine.ts";

/** As for a server, with what the machine takes. */
export interface StartServerOptions extends VfioUserServerOptions {
  /** How the reactor waits; `off` unless told. */
  readonly spin?: SpinMode;
  /** The device's time; real time unless told. */
  readonly clock?: Clock;
  /** Of the IOMMU's hashes; random unless told. */
  readonly seed?: number;
}

/** A server that listens, once its reactor turns. */
export interface StartedServer extends Disposable {
  /** To be run by the caller: `run()` in a Worker, `runAlongside()` beside an event loop, `turn()` by hand. */
  readonly reactor: Reactor;
  /** What other servers may share. */
  readonly machine: ServerMachine;
  /** The one that was started. */
  readonly server: VfioUserServer;
}

/** Makes reactor, machine and server; dispose of the result to end all of them. @throws {LinuxError} */
export function startServer(options: StartServerOptions): StartedServer {
  const reactor = new Reactor({ spin: options.spin ?? "off" });
  try {
    const machine = new ServerMachine({
      reactor,
      ...(options.clock === undefined ? {} : { clock: options.clock }),
      ...(options.seed === undefined ? {} : { seed: options.seed }),
    });
    const server = new VfioUserServer(machine, options);
    return {
      reactor,
      machine,
      server,
      [Symbol.dispose](): void {
        server[Symbol.dispose]();
        reactor[Symbol.dispose]();
      },
    };
  } catch (error) {
    reactor[Symbol.dispose]();
    throw error;
  }
}
