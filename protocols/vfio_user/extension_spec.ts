/**
 * Commands that the vfio-user specification does not hold: iommufd objects (libvfio-user pull
 * request 833; commands 19 to 26, in force only when both sides sent the capability `iommufd`) and
 * page requests (libvfio-user branch `ats`; command 100).
 * @module
 */

import { type Layout, layout, u32, u64 } from "../../core/layout.ts";

/** Command numbers beyond {@linkcode VfioUserCommand}. The client sends 19 to 26, either side 100. */
export const VfioUserExtensionCommand = {
  VFIO_USER_IOMMUFD_ALLOC_IOAS: 19,
  VFIO_USER_IOMMUFD_DESTROY_IOAS: 20,
  /** With exactly one descriptor. */
  VFIO_USER_IOMMUFD_IOAS_MAP: 21,
  VFIO_USER_IOMMUFD_IOAS_UNMAP: 22,
  VFIO_USER_IOMMUFD_IOAS_COPY: 23,
  VFIO_USER_IOMMUFD_BIND: 24,
  VFIO_USER_IOMMUFD_ATTACH_PT: 25,
  VFIO_USER_IOMMUFD_DETACH_PT: 26,
  /** Server: asks for pages. Client: says which were granted. */
  VFIO_USER_DMA_PAGE_REQUEST: 100,
} as const;

/** ALLOC_IOAS, both ways. */
export const IOMMUFD_ALLOC_IOAS: Layout<"argsz" | "flags" | "out_ioas_id" | "reserved"> = layout({
  argsz: u32,
  /** 0. */
  flags: u32,
  /** In the reply: the new IOAS, from 1 on. */
  out_ioas_id: u32,
  reserved: u32,
});

/** DESTROY_IOAS. */
export const IOMMUFD_DESTROY_IOAS: Layout<"argsz" | "flags" | "ioas_id" | "reserved"> = layout({
  argsz: u32,
  /** 0. */
  flags: u32,
  ioas_id: u32,
  reserved: u32,
});

/** IOAS_MAP, both ways. */
export const IOMMUFD_IOAS_MAP: Layout<
  "argsz" | "flags" | "ioas_id" | "reserved" | "user_va" | "length" | "iova" | "offset"
> = layout({
  argsz: u32,
  /** Bits of {@linkcode IommufdIoasMapFlags}. */
  flags: u32,
  ioas_id: u32,
  reserved: u32,
  /** The client's own address of the memory; opaque to the server. */
  user_va: u64,
  /** Bytes. */
  length: u64,
  /** In the reply: where the server put it. */
  iova: u64,
  /** Into the descriptor's file. */
  offset: u64,
});

/** Flags of {@linkcode IOMMUFD_IOAS_MAP}. */
export const IommufdIoasMapFlags = { WRITEABLE: 0x1, READABLE: 0x2 } as const;

/** IOAS_UNMAP, both ways. */
export const IOMMUFD_IOAS_UNMAP: Layout<
  "argsz" | "flags" | "ioas_id" | "reserved" | "iova" | "length"
> = layout({
  argsz: u32,
  /** 1: all of the IOAS. */
  flags: u32,
  ioas_id: u32,
  reserved: u32,
  iova: u64,
  /** Bytes; in the reply, those unmapped. */
  length: u64,
});

/** IOAS_COPY, both ways. */
export const IOMMUFD_IOAS_COPY: Layout<
  "argsz" | "flags" | "src_ioas_id" | "dst_ioas_id" | "src_iova" | "dst_iova" | "length"
> = layout({
  argsz: u32,
  flags: u32,
  src_ioas_id: u32,
  dst_ioas_id: u32,
  src_iova: u64,
  /** In the reply: where it went. */
  dst_iova: u64,
  /** Bytes. */
  length: u64,
});

/** BIND, both ways. */
export const IOMMUFD_BIND: Layout<"argsz" | "flags" | "iommufd" | "out_devid"> = layout({
  argsz: u32,
  /** 0. */
  flags: u32,
  /** Signed and opaque: the client's name for its iommufd. */
  iommufd: u32,
  /** In the reply. */
  out_devid: u32,
});

/** ATTACH_PT, both ways. */
export const IOMMUFD_ATTACH_PT: Layout<"argsz" | "flags" | "pt_id" | "pasid"> = layout({
  argsz: u32,
  /** 1: `pasid` counts. */
  flags: u32,
  /** The IOAS. */
  pt_id: u32,
  pasid: u32,
});

/** DETACH_PT. */
export const IOMMUFD_DETACH_PT: Layout<"argsz" | "flags" | "pasid" | "reserved"> = layout({
  argsz: u32,
  /** 1: `pasid` counts. */
  flags: u32,
  pasid: u32,
  reserved: u32,
});

/** DMA_PAGE_REQUEST, as in the proof of concept. */
export const VFIO_USER_PAGE_REQUEST: Layout<"address" | "count" | "flags" | "pasid"> = layout({
  /** First IOVA. */
  address: u64,
  /** Bytes. */
  count: u64,
  /** 1 read, 2 write: wanted, or granted. */
  flags: u32,
  /** 0xffff_ffff for none. */
  pasid: u32,
});
