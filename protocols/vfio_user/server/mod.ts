/**
 * The vfio-user server: a {@linkcode ServerMachine} for the process, and a
 * {@linkcode VfioUserServer} for each device. `session.ts` is one client's connection, `commands.ts`
 * what each command does, `dma_regions.ts` and `server_memory.ts` how a device reaches the client's
 * memory.
 * @module
 */

export { type MessageCount, ServerMetrics } from "./metrics.ts";
export { SERVER_CAPABILITIES, VfioUserServer, type VfioUserServerOptions } from "./server.ts";
export {
  type MappingObserver,
  ServerMachine,
  type ServerMachineOptions,
} from "./server_machine.ts";
export { ServerMemory } from "./server_memory.ts";
export { type StartedServer, startServer, type StartServerOptions } from "./start_server.ts";
