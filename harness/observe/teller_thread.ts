/**
 * The scenario's end of the telling thread (`teller.ts`).
 * @module
 */

import { receiveMessageOnPort } from "node:worker_threads";
import type { FromTeller, ToTeller } from "./thread_protocol.ts";

/** Starts the telling thread of this process, and keeps it: it serves one run after another. */
export class Teller {
  readonly #worker: Worker;
  readonly port: MessagePort;
  #wake: () => void = () => {};

  constructor() {
    this.#worker = new Worker(import.meta.resolve("./teller.ts"), { type: "module" });
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    this.#worker.onmessage = () => this.#wake();
    this.#worker.postMessage({ port: port2 }, [port2]);
  }

  /** `wake` runs from the event loop when the thread wants something and nobody has come by. */
  onWake(wake: () => void): void {
    this.#wake = wake;
  }

  send(message: ToTeller): void {
    this.port.postMessage(message);
  }

  /** What the thread has said, if anything. */
  receive(): FromTeller | null {
    const received = receiveMessageOnPort(
      this.port as unknown as Parameters<typeof receiveMessageOnPort>[0],
    ) as { readonly message: FromTeller } | undefined;
    return received?.message ?? null;
  }

  /** Ends the thread. For tests: otherwise it lives as long as the process. */
  close(): void {
    this.port.close();
    this.#worker.terminate();
  }
}
