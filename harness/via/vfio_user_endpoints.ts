/**
 * The machine's endpoints and what server processes call them: a device has a number in each process
 * it has lived in. Puts together what the processes counted, and lets a watched run look at it.
 * @module
 */

import type { Fault } from "../../core/address.ts";
import type {
  DevicesElsewhere,
  ElsewhereListener,
  ElsewhereLook,
} from "../observe/devices_elsewhere.ts";
import { type EndpointFigures, sumFigures } from "../observe/endpoint_figures.ts";
import type { FaultReport } from "../scenario.ts";
import type { TraceTuple } from "./vfio_user_control.ts";
import type { ServerProcess } from "./vfio_user_process.ts";

/** What an endpoint asks of the processes of its devices. */
type Asked = Pick<ServerProcess, "alive" | "ask" | "do" | "nextSocket">;

/** One process of a machine. */
interface Server {
  /** By number; those that moved on included: what they did there stays counted there. */
  readonly endpoints: Map<number, number>;
  /** Where it tells its counters, once somebody watches. */
  path: string | null;
}

/** See the module. For one machine. */
export class ServerEndpoints implements DevicesElsewhere {
  readonly #servers = new Map<Asked, Server>();
  readonly #collect: () => void;
  #listener: ElsewhereListener | null = null;

  /** @param collect takes over what devices did until now */
  constructor(collect: () => void) {
    this.#collect = collect;
  }

  /** Adds a process that has devices, or will. */
  join(process: Asked): void {
    const server: Server = { endpoints: new Map(), path: null };
    this.#servers.set(process, server);
    if (this.#listener !== null) this.#tell(process, server);
  }

  /** The device of `endpoint` is `number` in the process. */
  add(process: Asked, number: number, endpoint: number): void {
    const { endpoints, path } = this.#servers.get(process)!;
    endpoints.set(number, endpoint);
    if (path !== null) this.#listener?.place(endpoint, path, number);
  }

  /** The endpoint of a number, which has it no longer, perhaps. */
  of(process: Asked, number: number): number {
    return this.#servers.get(process)?.endpoints.get(number) ?? number;
  }

  /** A fault has been taken over. */
  fault(fault: FaultReport): void {
    this.#listener?.fault(fault);
  }

  /** An endpoint has lost what it had cached. */
  invalidated(event: ElsewhereLook["events"][number]): void {
    this.#listener?.invalidated(event);
  }

  /** Figures of each endpoint, also of one that could not be plugged in. @throws {Error} when a process is gone */
  figures(): EndpointFigures[] {
    return this.#merge((process) => process.ask({ kind: "counters" }).endpoints);
  }

  watch(listener: ElsewhereListener): void {
    this.#listener = listener;
    for (const [process, server] of this.#servers) {
      this.#tell(process, server);
      for (const [number, endpoint] of server.endpoints) {
        if (server.path !== null) listener.place(endpoint, server.path, number);
      }
    }
  }

  collect(): void {
    this.#collect();
  }

  look(): ElsewhereLook {
    const events: ElsewhereLook["events"][number][] = [];
    const figures = this.#merge((process) => {
      const found = process.ask({ kind: "look" });
      for (const event of found.events) events.push(this.#event(process, event));
      return found.endpoints;
    });
    return { figures, events };
  }

  #merge(ask: (process: Asked) => readonly EndpointFigures[]): EndpointFigures[] {
    const parts = new Map<number, EndpointFigures[]>();
    for (const process of this.#servers.keys()) {
      for (const figures of ask(process)) {
        const endpoint = this.of(process, figures.endpoint);
        const there = parts.get(endpoint);
        if (there === undefined) parts.set(endpoint, [figures]);
        else there.push(figures);
      }
    }
    return [...parts].map(([endpoint, all]) => sumFigures(endpoint, all));
  }

  #tell(process: Asked, server: Server): void {
    if (!process.alive) return;
    const path = process.nextSocket();
    process.do({ kind: "tell", path });
    server.path = path;
  }

  #event(
    process: Asked,
    [timeNs, kind, number, pasid, iova, length, result]: TraceTuple,
  ): ElsewhereLook["events"][number] {
    const endpoint = this.of(process, number);
    return { timeNs, kind, endpoint, pasid, iova, length, result: result as Fault };
  }
}
