/** Serves one test device from a thread of its own. */

import { Edu } from "../../../devices/edu/edu.ts";
import { startServer } from "../server/start_server.ts";
import { PanelDevice } from "./_test_panel.ts";
import type { RemoteRequest } from "./_test_remote.ts";

interface Scope {
  onmessage: ((event: MessageEvent<RemoteRequest>) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}
const scope = globalThis as unknown as Scope;

scope.onmessage = ({ data: { path, device, spin } }) => {
  {
    using started = startServer({
      path,
      device: device === "edu" ? new Edu() : new PanelDevice(),
      spin,
    });
    scope.postMessage(started.reactor.handle);
    started.reactor.run();
  }
  scope.postMessage("closed");
  scope.close();
};
