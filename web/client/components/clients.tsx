/**
 * Devices that are served rather than driven by a scenario: who is connected to them, and what to do
 * while nobody is.
 * @module
 */

import type { JSX } from "preact";
import type { EndpointState } from "../../api.ts";
import { plural } from "../format.ts";
import { snapshot } from "../state/store.ts";
import { Empty } from "./parts.tsx";

/** What is shown in a run's place, or null for a scenario's run. */
export function machineKind(): "server" | "guest" | null {
  return snapshot.value?.run?.machine ?? null;
}

/** In a panel of its own while nobody is connected to any device; nothing otherwise. */
export function NoClient({ endpoints }: {
  readonly endpoints: readonly EndpointState[];
}): JSX.Element | null {
  const kind = machineKind();
  const served = endpoints.filter(({ client }) => client !== undefined);
  if (kind === null || served.some(({ client }) => client!.state === "connected")) return null;
  const before = served.reduce((sum, { client }) => sum + client!.accepted, 0);
  const was = before === 0 ? "" : ` ${plural(before, "client")} came and left.`;
  return (
    <section class="panel">
      {kind === "guest"
        ? (
          <Empty title="The guest is not connected">
            It plugs the devices in as it boots.{was}
          </Empty>
        )
        : (
          <Empty title="No client is connected">
            Start QEMU with the arguments that the command has printed, or look at a device with
            deno task attach SOCKET lspci.{was}
          </Empty>
        )}
    </section>
  );
}

/** Who is connected to the device, in a few words. */
export function clientText({ client }: EndpointState): string {
  if (client === undefined) return "";
  if (client.state === "connected") {
    return client.accepted === 1 ? "connected" : `connected, number ${client.accepted}`;
  }
  return client.accepted === 0 ? "none yet" : "left";
}
