/**
 * The dashboard beside devices that are served: one page that shows them, and starts nothing.
 * @module
 */

import type { MachineOnlooker, OpenMachineOnlooker } from "../harness/cli/machine_onlooker.ts";
import { Terminal } from "../harness/cli/terminal.ts";
import { listenError } from "./listen_error.ts";
import type { Adopted } from "./runs.ts";
import { ServerSource } from "./server_source.ts";
import { type Dashboard, startDashboard } from "./dashboard.ts";

const HOST = "127.0.0.1";
/** Milliseconds that closing may take: whoever has pressed Ctrl-C does not wait for a page. */
const CLOSE_MS = 1000;

const stderr = new Terminal(Deno.stderr);

/** See the module. */
export const openMachineDashboard: OpenMachineOnlooker = (machine, observation, port) => {
  let dashboard: Dashboard;
  try {
    dashboard = startDashboard({
      host: HOST,
      port,
      catalog: [],
      startedBy: "command",
      log: (line) => stderr.write(`${line}\n`),
    });
  } catch (error) {
    return Promise.reject(listenError(error, HOST, port));
  }
  let adopted: Adopted | null = null;
  const source = new ServerSource(observation, (line) => adopted?.log(line));
  const { name, title, mode, via, kind, command } = machine;
  adopted = dashboard.runs.adopt({ name, title, mode, via, machine: { kind, command } }, source);
  let closing: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    source.end();
    adopted?.end();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, CLOSE_MS));
    await Promise.race([dashboard.close(), late]);
    clearTimeout(timer);
  };
  const onlooker: MachineOnlooker = {
    link: dashboard.link,
    close: () => closing ??= close(),
  };
  return Promise.resolve(onlooker);
};
