/**
 * The vfio-user protocol as tables: commands, header, limits, and the structures that are its own.
 * Names are those of QEMU's `docs/interop/vfio-user.rst`, cited below as "vfio-user, <section>".
 * All integers are little-endian on the hosts we run on; structures are packed. What the protocol
 * takes over from Linux's VFIO is in `vfio_spec.ts`, what it does not hold yet in `extension_spec.ts`.
 * @module
 */

import { type Layout, layout, u16, u32, u64 } from "../../core/layout.ts";

/** Command numbers (vfio-user, Commands). The client sends all but DMA_READ and DMA_WRITE. */
export const VfioUserCommand = {
  /** Proposes a version and capabilities; first message of a connection. */
  VFIO_USER_VERSION: 1,
  /** Makes a range of IOVAs reachable for the device. */
  VFIO_USER_DMA_MAP: 2,
  /** Takes a range away; answered when nothing can reach it any more. */
  VFIO_USER_DMA_UNMAP: 3,
  VFIO_USER_DEVICE_GET_INFO: 4,
  VFIO_USER_DEVICE_GET_REGION_INFO: 5,
  /** Asks for ioeventfds and the like, by which writes reach the server without the client. */
  VFIO_USER_DEVICE_GET_REGION_IO_FDS: 6,
  VFIO_USER_DEVICE_GET_IRQ_INFO: 7,
  VFIO_USER_DEVICE_SET_IRQS: 8,
  VFIO_USER_REGION_READ: 9,
  VFIO_USER_REGION_WRITE: 10,
  /** Server to client: reads memory that was mapped without a descriptor. */
  VFIO_USER_DMA_READ: 11,
  /** Server to client: writes memory that was mapped without a descriptor. */
  VFIO_USER_DMA_WRITE: 12,
  VFIO_USER_DEVICE_RESET: 13,
  /** Several writes of at most 8 bytes in one message; only when `write_multiple` was negotiated. */
  VFIO_USER_REGION_WRITE_MULTI: 15,
  /** Migration states and dirty-page logging. */
  VFIO_USER_DEVICE_FEATURE: 16,
  VFIO_USER_MIG_DATA_READ: 17,
  VFIO_USER_MIG_DATA_WRITE: 18,
} as const;

/** Major version of the protocol we speak; a peer with another one is refused. */
export const VFIO_USER_MAJOR = 0;
/** Highest minor version we speak. QEMU's client takes 0 alone, and proposes it. */
export const VFIO_USER_MINOR = 1;

// Header (vfio-user, Header).

/** What precedes every message, commands and replies. */
export const VFIO_USER_HEADER: Layout<"id" | "command" | "size" | "flags" | "error"> = layout({
  /** The sender's number for the message, echoed in the reply. May be in use more than once. */
  id: u16,
  /** A value of {@linkcode VfioUserCommand}; the reply repeats it. */
  command: u16,
  /** Bytes of the whole message, these 16 included. */
  size: u32,
  /** Bits of {@linkcode VfioUserFlags}. */
  flags: u32,
  /** In a reply with the ERROR flag: an errno, or 0. Reserved otherwise. */
  error: u32,
});

/** Bits of the header's flags. Those not named are reserved and ignored. */
export const VfioUserFlags = {
  /** Mask of the message type. */
  TYPE: 0xf,
  /** Type: a command. */
  COMMAND: 0x0,
  /** Type: the reply to a command with the same ID. */
  REPLY: 0x1,
  /** In a command: no reply is wanted, an error reply neither. */
  NO_REPLY: 0x10,
  /** In a reply: the command failed; the message ends after the header. */
  ERROR: 0x20,
} as const;

// Limits and defaults (vfio-user, VFIO_USER_VERSION; spec/08 rules 1, 7 and 8).

/** What a peer that names no value stands for. */
export const VfioUserDefault = {
  /** Descriptors a sender can receive in one message. */
  MAX_MSG_FDS: 1,
  /** Bytes of data that one read or write message may carry. */
  MAX_DATA_XFER_SIZE: 0x10_0000,
  /** DMA ranges that may be mapped at one time. */
  MAX_DMA_MAPS: 65535,
  /** Page sizes of DMA mappings, ORed: 4 KiB alone. */
  PGSIZES: 4096,
  /** Granule of dirty-page logging. */
  MIGRATION_PGSIZE: 4096,
  /** Bytes of the largest dirty bitmap that may be asked for. */
  MIGRATION_MAX_BITMAP_SIZE: 0x1000_0000,
} as const;

/** What is refused, whatever the peer says. */
export const VfioUserLimit = {
  /** Largest `max_msg_fds` a peer may name. */
  MAX_MSG_FDS: 1024,
  /** Largest that QEMU's client accepts from a server; we announce 8, as QEMU does. */
  QEMU_MAX_MSG_FDS: 16,
  /** Smallest `max_data_xfer_size` that QEMU's client accepts: it reads that much config space at once. */
  MIN_DATA_XFER_SIZE: 256,
  /** Bytes of version JSON we look at. */
  VERSION_DATA: 0x1_0000,
  /** Bytes of a message beside its data: header and the largest fixed part, that of DMA_UNMAP. */
  FIXED_PART: 16 + 40,
  /** Bytes of an `argsz` in GET_REGION_IO_FDS (spec/08 rule 11). */
  IO_FDS_ARGSZ: 0x10_0000,
} as const;

/** Fixed part of VFIO_USER_VERSION, both ways. JSON and a NUL follow, or nothing. */
export const VFIO_USER_VERSION_BODY: Layout<"major" | "minor"> = layout({
  /** 0. */
  major: u16,
  /** In a reply: at most the proposed one. */
  minor: u16,
});

/** VFIO_USER_DMA_MAP request; the reply has no body. */
export const VFIO_USER_DMA_MAP_BODY: Layout<
  "argsz" | "flags" | "offset" | "address" | "size"
> = layout({
  /** At least 32. */
  argsz: u32,
  /** Bits of {@linkcode VfioUserDmaMapFlags}. */
  flags: u32,
  /** Into the descriptor's file; 0 without a descriptor. */
  offset: u64,
  /** First IOVA. */
  address: u64,
  /** Bytes, at least 1. */
  size: u64,
});

/** Flags of {@linkcode VFIO_USER_DMA_MAP_BODY}. */
export const VfioUserDmaMapFlags = {
  /** The device may read. */
  READ: 0x1,
  /** The device may write. */
  WRITE: 0x2,
} as const;

/** VFIO_USER_DMA_UNMAP, both ways: the reply repeats the request. */
export const VFIO_USER_DMA_UNMAP_BODY: Layout<"argsz" | "flags" | "address" | "size"> = layout({
  /** Most bytes the reply may have: at least 24, with a bitmap 40 and the bitmap. */
  argsz: u32,
  /** Bits of {@linkcode VfioDmaUnmapFlags}; none or one. */
  flags: u32,
  /** First IOVA; 0 with ALL. */
  address: u64,
  /** Bytes; 0 with ALL. */
  size: u64,
});

/** Flags of {@linkcode VFIO_USER_DMA_UNMAP_BODY}, named as in `linux/vfio.h`. */
export const VfioDmaUnmapFlags = {
  /** Report the pages written since logging began; {@linkcode VFIO_USER_BITMAP} follows. */
  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP: 0x1,
  /** Every range there is. */
  VFIO_DMA_UNMAP_FLAG_ALL: 0x2,
} as const;

/** After {@linkcode VFIO_USER_DMA_UNMAP_BODY} with GET_DIRTY_BITMAP; in the reply the bits follow. */
export const VFIO_USER_BITMAP: Layout<"pgsize" | "size"> = layout({
  /** Bytes that one bit stands for: a power of two. */
  pgsize: u64,
  /** Bytes of the bitmap. */
  size: u64,
});

/** VFIO_USER_REGION_READ and WRITE, both ways. Data follows in a read's reply and a write's request. */
export const VFIO_USER_REGION_ACCESS: Layout<"offset" | "region" | "count"> = layout({
  /** Byte offset within the region. */
  offset: u64,
  /** A region index. */
  region: u32,
  /** Bytes of data. */
  count: u32,
});

/** VFIO_USER_DMA_READ and WRITE, both ways. Data follows in a read's reply and a write's request. */
export const VFIO_USER_DMA_ACCESS: Layout<"address" | "count"> = layout({
  /** IOVA, within what was mapped. */
  address: u64,
  /** Bytes of data. */
  count: u64,
});

/** Fixed part of VFIO_USER_REGION_WRITE_MULTI and all of its reply. */
export const VFIO_USER_WRITE_MULTI_BODY: Layout<"wr_cnt"> = layout({
  /** Request: writes that follow. Reply: writes done. */
  wr_cnt: u64,
});

/** One write of VFIO_USER_REGION_WRITE_MULTI. */
export const VFIO_USER_WRITE_MULTI_ENTRY: Layout<"offset" | "region" | "count" | "data"> = layout({
  /** Byte offset within the region. */
  offset: u64,
  /** A region index. */
  region: u32,
  /** Bytes of `data` to write: 1 to 8. */
  count: u32,
  /** The bytes, from the first on; the rest is padding. */
  data: 8,
});

/** Fixed part of VFIO_USER_DEVICE_GET_REGION_IO_FDS, both ways; sub-regions follow in the reply. */
export const VFIO_USER_REGION_IO_FDS: Layout<"argsz" | "flags" | "index" | "count"> = layout({
  /** Request: most bytes of the reply, 16 to 1 MiB. Reply: bytes of the whole. */
  argsz: u32,
  /** 0. */
  flags: u32,
  /** A region index. */
  index: u32,
  /** 0 in the request; sub-regions in the reply. */
  count: u32,
});

/** One sub-region of type IOEVENTFD or IOREGIONFD, as specified: 40 bytes. */
export const VFIO_USER_IO_FD: Layout<
  "offset" | "size" | "fd_index" | "type" | "flags" | "padding" | "datamatch"
> = layout({
  /** Byte offset within the region. */
  offset: u64,
  /** Bytes; 0 when the access size does not matter. */
  size: u64,
  /** Which of the reply's descriptors. */
  fd_index: u32,
  /** A value of {@linkcode VfioUserIoFdType}. */
  type: u32,
  /** Bits of {@linkcode KvmIoEventFdFlags} or {@linkcode KvmIoRegionFlags}, by type. */
  flags: u32,
  padding: u32,
  /** IOEVENTFD: the value that must be written. IOREGIONFD: opaque, `user_data`. */
  datamatch: u64,
});

/**
 * One sub-region where entries are 48 bytes long, which libvfio-user sends since it has shadow
 * ioeventfds: an ioeventfd whose written value goes to memory of another descriptor.
 */
export const VFIO_USER_IO_FD_SHADOW: Layout<
  | "offset"
  | "size"
  | "fd_index"
  | "type"
  | "flags"
  | "shadow_mem_fd_index"
  | "shadow_offset"
  | "datamatch"
> = layout({
  /** As in {@linkcode VFIO_USER_IO_FD}, down to `flags`. */
  offset: u64,
  size: u64,
  fd_index: u32,
  type: u32,
  flags: u32,
  /** Which of the reply's descriptors is the memory. */
  shadow_mem_fd_index: u32,
  /** Byte offset in that memory. */
  shadow_offset: u64,
  /** The value that must be written. */
  datamatch: u64,
});

/** How accesses to a sub-region reach the server. */
export const VfioUserIoFdType = {
  /** A write signals an eventfd. */
  VFIO_USER_IO_FD_TYPE_IOEVENTFD: 0,
  /** Accesses become messages on a socket. */
  VFIO_USER_IO_FD_TYPE_IOREGIONFD: 1,
  /** A write goes to shared memory and signals an eventfd. */
  VFIO_USER_IO_FD_TYPE_IOEVENTFD_SHADOW: 2,
} as const;

/** `linux/kvm.h`: bits of an ioeventfd's flags. */
export const KvmIoEventFdFlags = {
  /** Only writes of `datamatch` count. */
  KVM_IOEVENTFD_FLAG_DATAMATCH: 0x1,
  /** The sub-region is in port I/O space. */
  KVM_IOEVENTFD_FLAG_PIO: 0x2,
  KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY: 0x8,
} as const;

/** Bits of an ioregionfd's flags. */
export const KvmIoRegionFlags = {
  KVM_IOREGION_PIO: 0x1,
  KVM_IOREGION_POSTED_WRITES: 0x2,
} as const;

/** Fixed part of VFIO_USER_MIG_DATA_READ and WRITE; the reply to a write has no body. */
export const VFIO_USER_MIG_DATA: Layout<"argsz" | "size"> = layout({
  /** READ request: most bytes of the reply. READ reply: 8 and the data. */
  argsz: u32,
  /** Bytes of data, wanted or following. A short reply to READ ends the stream. */
  size: u32,
});
