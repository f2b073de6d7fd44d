/**
 * The Worker of tests whose client must answer the server while it waits: serves one device until it
 * is stopped, and says what is left.
 * @module
 */

import { Edu } from "../../../devices/edu/edu.ts";
import { Streamer } from "../../../devices/streamer/streamer.ts";
import { liveDescriptors } from "../../../protocols/linux/descriptor.ts";
import { liveMappings } from "../../../protocols/linux/mapping.ts";
import type { ReactorHandle, SpinMode } from "../../../protocols/linux/reactor.ts";
import { startServer } from "../../../protocols/vfio_user/server/start_server.ts";
import { Probe } from "./probe.ts";

/** What the test sends once. */
export interface Start {
  readonly path: string;
  readonly device: "probe" | "streamer" | "edu";
  readonly remoteTimeoutMs?: number;
  readonly spin?: SpinMode;
}

/** What comes back: the handle once it listens, and the rest at the end. */
export type Answer =
  | { readonly handle: ReactorHandle }
  | {
    readonly left: readonly [descriptors: number, mappings: number, windows: number];
    readonly inspect: Record<string, unknown>;
  };

declare const self: {
  onmessage: ((event: MessageEvent<Start>) => void) | null;
  postMessage(message: Answer): void;
  close(): void;
};

self.onmessage = ({ data }) => {
  const { path, device, remoteTimeoutMs, spin } = data;
  const before = [liveDescriptors(), liveMappings()] as const;
  const started = startServer({
    path,
    device: device === "probe" ? new Probe() : device === "edu" ? new Edu() : new Streamer(),
    spin: spin ?? "off",
    ...(remoteTimeoutMs === undefined ? {} : { remoteTimeoutMs }),
  });
  self.postMessage({ handle: started.reactor.handle });
  started.reactor.run();
  const inspect = JSON.parse(JSON.stringify(started.server.inspect()));
  started[Symbol.dispose]();
  self.postMessage({
    left: [
      liveDescriptors() - before[0],
      liveMappings() - before[1],
      started.machine.memory.windows,
    ],
    inspect,
  });
  self.close();
};
