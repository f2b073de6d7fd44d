/**
 * The thread that serves devices, as the command lines see it.
 * @module
 */

import { type ReactorHandle, stopReactor } from "../../protocols/linux/reactor.ts";
import type { ServerObservation } from "../observe/server_observation.ts";
import type { ServedDevice, ServeReport, ServeRequest, ServeStart } from "./serve_messages.ts";
import { LogPrinter } from "./serving_log.ts";
import { ServingError } from "./serving_error.ts";
import { UsageError } from "./usage_error.ts";

/** Devices that listen. */
export interface ServingThread {
  readonly devices: readonly ServedDevice[];
  /** Whether it writes to this process's stdout, where nothing else may go then. */
  readonly takesStdout: boolean;
  /** Ends it: the sockets are gone when {@linkcode ended} resolves. Idempotent. */
  stop(): void;
  /** Rejects with a {@linkcode ServingError} when it ends by failing. */
  readonly ended: Promise<void>;
}

/**
 * Starts it, and waits until all devices listen. With `signal` aborted while their modules load, which
 * may take for ever, it ends with nothing done; after that it goes on, and is to be stopped.
 * @throws {UsageError} when something cannot be served
 * @throws {ServingError} when it fails
 * @throws the signal's reason
 */
export function startServing(
  start: Omit<ServeStart, "watch" | "logRoom">,
  observation: ServerObservation | null,
  signal: AbortSignal | null = null,
): Promise<ServingThread> {
  const listening = Promise.withResolvers<ServingThread>();
  const ended = Promise.withResolvers<void>();
  // Whoever has not heard of the thread yet hears of its end another way.
  ended.promise.catch(() => {});
  const log = new LogPrinter();
  let handle: ReactorHandle | null = null;
  const stop = (): void => {
    observation?.end();
    if (handle !== null) stopReactor(handle);
    handle = null;
  };
  const fail = (error: Error): void => {
    observation?.end();
    handle = null;
    // What it has logged is why, or goes before.
    void log.close().then(() => {
      listening.reject(error);
      ended.reject(error);
    });
  };
  const worker = new Worker(import.meta.resolve("./serve_worker.ts"), { type: "module" });
  worker.onerror = (event) => {
    event.preventDefault();
    fail(new ServingError(event.message));
  };
  const send = (request: ServeRequest): void => worker.postMessage(request);
  const giveUp = (): void => {
    worker.terminate();
    fail(signal!.reason);
  };
  worker.onmessage = ({ data }: MessageEvent<ServeReport>) => {
    switch (data.kind) {
      case "loaded":
        signal?.removeEventListener("abort", giveUp);
        send({ kind: "open" });
        break;
      case "listening": {
        const { devices, takesStdout } = data;
        handle = data.handle;
        observation?.begin(data.handle);
        listening.resolve({ devices, takesStdout, stop, ended: ended.promise });
        break;
      }
      case "log":
        log.take(data.text);
        break;
      case "told":
        observation?.take(data.told);
        break;
      case "ended":
        observation?.end();
        void log.close().then(() => ended.resolve());
        break;
      case "refused":
        fail(new UsageError(data.message));
        break;
      case "failed":
        fail(new ServingError(data.message));
        break;
    }
  };
  if (signal?.aborted) giveUp();
  else {
    signal?.addEventListener("abort", giveUp);
    send({
      kind: "load",
      start: { ...start, watch: observation?.request ?? null, logRoom: log.room },
    });
  }
  return listening.promise;
}
