/**
 * The client of vfio-user. {@linkcode VfioUserClient} speaks the protocol;
 * {@linkcode RemoteFunction} makes a PCI function of it, as drivers know one; and
 * {@linkcode ClientIommu} forwards a machine's IOMMU to the servers of its endpoints.
 *
 * @module
 */

export { type Session, VfioUserClient, type VfioUserClientOptions } from "./client.ts";
export { VfioUserError, type VfioUserErrorCode } from "./client_error.ts";
export { ClientIommu, type ForwardOptions, type SharedRegion } from "./client_iommu.ts";
export { DmaCommands, type DmaRange } from "./dma_commands.ts";
export { dmaService } from "./dma_service.ts";
export { FeatureCommands, type IovaRange, isUnsupported } from "./feature_commands.ts";
export { type IrqAction, IrqCommands } from "./irq_commands.ts";
export type { ServerCommand, ServerCommandHandler } from "./message_engine.ts";
export {
  type Pollable,
  PollGroup,
  type PollGroupOptions,
  type ReadyFd,
  type Waitable,
} from "./poll_group.ts";
export {
  type DescribedRegion,
  RegionCommands,
  type RegionIoDescriptors,
  type RegionWrite,
} from "./region_commands.ts";
export { RegionWindow } from "./region_window.ts";
export { findCapabilities } from "./remote_config.ts";
export { RemoteFunction, type RemoteFunctionOptions } from "./remote_function.ts";
export { joinTickets, mapTicket, settledTicket, Ticket } from "./ticket.ts";
