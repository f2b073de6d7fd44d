/** A real server in a thread of its own, for tests of the client. */

import { type ReactorHandle, type SpinMode, stopReactor } from "../../linux/reactor.ts";

export interface RemoteRequest {
  readonly path: string;
  readonly device: "panel" | "edu";
  readonly spin: SpinMode;
}

export interface Remote {
  readonly path: string;
  /** Ends it. Idempotent. */
  stop(): Promise<void>;
}

/** Starts a server at `path`; it listens when this resolves. */
export async function startRemote(
  path: string,
  device: RemoteRequest["device"] = "panel",
  spin: SpinMode = "off",
): Promise<Remote> {
  const worker = new Worker(new URL("./_test_remote_worker.ts", import.meta.url), {
    type: "module",
  });
  const next = (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
    });
  const ready = next();
  worker.postMessage({ path, device, spin } satisfies RemoteRequest);
  const handle = await ready as ReactorHandle;
  let stopped: Promise<void> | null = null;
  return {
    path,
    stop: () =>
      stopped ??= (async () => {
        const closed = next();
        stopReactor(handle);
        await closed;
        worker.terminate();
      })(),
  };
}

/** A server for the length of `body`. */
export async function withRemote(
  body: (remote: Remote) => void | Promise<void>,
  device: RemoteRequest["device"] = "panel",
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-" });
  const remote = await startRemote(`${folder}/it.sock`, device);
  try {
    await body(remote);
  } finally {
    await remote.stop();
    await Deno.remove(folder, { recursive: true });
  }
}
