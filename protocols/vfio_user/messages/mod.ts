/**
 * Every message of vfio-user, both directions: one file a family, one {@linkcode MessageCodec} a
 * command. Decoders fill records that the caller keeps, answer a negative errno for what is
 * malformed, and never throw for what a peer sent; encoders write into a buffer that is there.
 * What depends on state (regions, limits in force, descriptors) is left to server and client.
 * @module
 */

export * from "./codec.ts";
export * from "./device.ts";
export * from "./dma_access.ts";
export * from "./dma_map.ts";
export * from "./feature.ts";
export * from "./header.ts";
export * from "./iommufd.ts";
export * from "./irqs.ts";
export * from "./migration_data.ts";
export * from "./region_access.ts";
export * from "./region_info.ts";
export * from "./region_io_fds.ts";
export * from "./version.ts";
