/**
 * What vfio-user takes over from Linux's VFIO: structures, flags and indexes of `linux/vfio.h`, in
 * its spelling.
 * @module
 */

import { type Layout, layout, u16, u32, u64 } from "../../core/layout.ts";

// Device information.

/** `struct vfio_device_info` without capabilities: DEVICE_GET_INFO, both ways. */
export const VFIO_DEVICE_INFO: Layout<"argsz" | "flags" | "num_regions" | "num_irqs"> = layout({
  /** Request: at least 16. Reply: 16. */
  argsz: u32,
  /** Bits of {@linkcode VfioDeviceFlags}. */
  flags: u32,
  /** Region indexes: 9 for a PCI device without regions of its own. */
  num_regions: u32,
  /** Interrupt types: 5 for a PCI device. */
  num_irqs: u32,
});

/** Flags of {@linkcode VFIO_DEVICE_INFO}. */
export const VfioDeviceFlags = {
  /** DEVICE_RESET works. */
  VFIO_DEVICE_FLAGS_RESET: 0x1,
  /** A PCI device; always set in vfio-user. */
  VFIO_DEVICE_FLAGS_PCI: 0x2,
} as const;

/** Region indexes of a PCI device. */
export const VfioPciRegion = {
  VFIO_PCI_BAR0_REGION_INDEX: 0,
  VFIO_PCI_BAR1_REGION_INDEX: 1,
  VFIO_PCI_BAR2_REGION_INDEX: 2,
  VFIO_PCI_BAR3_REGION_INDEX: 3,
  VFIO_PCI_BAR4_REGION_INDEX: 4,
  VFIO_PCI_BAR5_REGION_INDEX: 5,
  VFIO_PCI_ROM_REGION_INDEX: 6,
  VFIO_PCI_CONFIG_REGION_INDEX: 7,
  VFIO_PCI_VGA_REGION_INDEX: 8,
} as const;

/** Region indexes there are; further ones would be device-specific. */
export const VFIO_PCI_NUM_REGIONS = 9;

/** Interrupt types of a PCI device. */
export const VfioPciIrq = {
  /** One level-triggered interrupt. */
  VFIO_PCI_INTX_IRQ_INDEX: 0,
  VFIO_PCI_MSI_IRQ_INDEX: 1,
  VFIO_PCI_MSIX_IRQ_INDEX: 2,
  /** One: an uncorrectable error of the device. */
  VFIO_PCI_ERR_IRQ_INDEX: 3,
  /** One: the server wants the device back. */
  VFIO_PCI_REQ_IRQ_INDEX: 4,
} as const;

/** Interrupt types there are. */
export const VFIO_PCI_NUM_IRQS = 5;

// Region information.

/** `struct vfio_region_info`: DEVICE_GET_REGION_INFO, both ways; capabilities follow in the reply. */
export const VFIO_REGION_INFO: Layout<
  "argsz" | "flags" | "index" | "cap_offset" | "size" | "offset"
> = layout({
  /** Request: most bytes of the reply, at least 32. Reply: 32 and all capabilities. */
  argsz: u32,
  /** Bits of {@linkcode VfioRegionInfoFlags}. */
  flags: u32,
  /** A region index; all that a request says beside `argsz`. */
  index: u32,
  /** First capability, from this structure's start; 0 for none. */
  cap_offset: u32,
  /** Bytes of the region; 0 when it is absent. */
  size: u64,
  /** Where the region starts in the descriptor's file. */
  offset: u64,
});

/** Flags of {@linkcode VFIO_REGION_INFO}. */
export const VfioRegionInfoFlags = {
  /** The client may read. */
  VFIO_REGION_INFO_FLAG_READ: 0x1,
  /** The client may write. */
  VFIO_REGION_INFO_FLAG_WRITE: 0x2,
  /** The client may map it, by the descriptor that comes with the reply. */
  VFIO_REGION_INFO_FLAG_MMAP: 0x4,
  /** Capabilities follow. */
  VFIO_REGION_INFO_FLAG_CAPS: 0x8,
} as const;

/** `struct vfio_info_cap_header`. */
export const VFIO_INFO_CAP_HEADER: Layout<"id" | "version" | "next"> = layout({
  /** A value of {@linkcode VfioRegionInfoCap}. */
  id: u16,
  /** 1 in all that we know. */
  version: u16,
  /** Next capability, from the start of the region information; 0 ends the list. */
  next: u32,
});

/** Capabilities of a region. */
export const VfioRegionInfoCap = {
  /** Only parts of the region can be mapped. */
  VFIO_REGION_INFO_CAP_SPARSE_MMAP: 1,
  /** The region is device-specific, of this type. */
  VFIO_REGION_INFO_CAP_TYPE: 2,
  /** The page with the MSI-X table can be mapped too. */
  VFIO_REGION_INFO_CAP_MSIX_MAPPABLE: 3,
} as const;

/** Version of the three capabilities. */
export const VFIO_REGION_INFO_CAP_VERSION = 1;

/** `struct vfio_region_info_cap_sparse_mmap` after its header; areas follow. */
export const VFIO_REGION_SPARSE_MMAP: Layout<"nr_areas" | "reserved"> = layout({
  /** Areas that follow. */
  nr_areas: u32,
  reserved: u32,
});

/** `struct vfio_region_sparse_mmap_area`. */
export const VFIO_REGION_SPARSE_MMAP_AREA: Layout<"offset" | "size"> = layout({
  /** Byte offset within the region; in the file, the region's `offset` is added. */
  offset: u64,
  /** Bytes. */
  size: u64,
});

/** `struct vfio_region_info_cap_type` after its header. */
export const VFIO_REGION_CAP_TYPE: Layout<"type" | "subtype"> = layout({
  /** Global for the bus. */
  type: u32,
  /** Specific to the type. */
  subtype: u32,
});

// Interrupts.

/** `struct vfio_irq_info`: DEVICE_GET_IRQ_INFO, both ways. */
export const VFIO_IRQ_INFO: Layout<"argsz" | "flags" | "index" | "count"> = layout({
  /** Request: at least 16. Reply: 16. */
  argsz: u32,
  /** Bits of {@linkcode VfioIrqInfoFlags}. */
  flags: u32,
  /** A value of {@linkcode VfioPciIrq}. */
  index: u32,
  /** Interrupts of the type; 0 when the device has none. */
  count: u32,
});

/** Flags of {@linkcode VFIO_IRQ_INFO}. */
export const VfioIrqInfoFlags = {
  /** Can signal eventfds. */
  VFIO_IRQ_INFO_EVENTFD: 0x1,
  /** MASK and UNMASK work. */
  VFIO_IRQ_INFO_MASKABLE: 0x2,
  /** Masks itself when it triggers, until UNMASK. */
  VFIO_IRQ_INFO_AUTOMASKED: 0x4,
  /** Set up as one set: no further one without disabling all. */
  VFIO_IRQ_INFO_NORESIZE: 0x8,
} as const;

/** Fixed part of `struct vfio_irq_set`: DEVICE_SET_IRQS; the reply has no body. */
export const VFIO_IRQ_SET: Layout<"argsz" | "flags" | "index" | "start" | "count"> = layout({
  /** Bytes of the request, data included. */
  argsz: u32,
  /** One DATA and one ACTION bit of {@linkcode VfioIrqSetFlags}. */
  flags: u32,
  /** A value of {@linkcode VfioPciIrq}. */
  index: u32,
  /** First interrupt of the type. */
  start: u32,
  /** Interrupts from `start` on. 0 with NONE, TRIGGER and start 0 disables all. */
  count: u32,
});

/** Flags of {@linkcode VFIO_IRQ_SET}. */
export const VfioIrqSetFlags = {
  /** No data: do it to all. */
  VFIO_IRQ_SET_DATA_NONE: 0x01,
  /** A byte for each: do it where it is not 0. */
  VFIO_IRQ_SET_DATA_BOOL: 0x02,
  /** A descriptor for each: signal it when it happens. No descriptor: stop that. */
  VFIO_IRQ_SET_DATA_EVENTFD: 0x04,
  VFIO_IRQ_SET_ACTION_MASK: 0x08,
  VFIO_IRQ_SET_ACTION_UNMASK: 0x10,
  VFIO_IRQ_SET_ACTION_TRIGGER: 0x20,
} as const;

/** All DATA bits. */
export const VFIO_IRQ_SET_DATA_TYPE_MASK = 0x07;
/** All ACTION bits. */
export const VFIO_IRQ_SET_ACTION_TYPE_MASK = 0x38;

// Features: migration and dirty-page logging.

/** Fixed part of `struct vfio_device_feature`: DEVICE_FEATURE, both ways. */
export const VFIO_DEVICE_FEATURE_BODY: Layout<"argsz" | "flags"> = layout({
  /** Request: most bytes of the reply. Reply: 8 and the data. */
  argsz: u32,
  /** Low 16 bits a value of {@linkcode VfioDeviceFeature}; then {@linkcode VfioDeviceFeatureFlags}. */
  flags: u32,
});

/** Bits of the feature index in the flags. */
export const VFIO_DEVICE_FEATURE_MASK = 0xffff;

/** What to do with the feature. GET with SET only beside PROBE. */
export const VfioDeviceFeatureFlags = {
  VFIO_DEVICE_FEATURE_GET: 0x1_0000,
  VFIO_DEVICE_FEATURE_SET: 0x2_0000,
  /** Succeeds when all the named methods are supported; changes nothing. */
  VFIO_DEVICE_FEATURE_PROBE: 0x4_0000,
} as const;

/** Feature indexes that vfio-user uses. */
export const VfioDeviceFeature = {
  /** GET: which states there are, {@linkcode VFIO_DEVICE_FEATURE_MIGRATION_DATA}. */
  VFIO_DEVICE_FEATURE_MIGRATION: 1,
  /** GET and SET: {@linkcode VFIO_DEVICE_FEATURE_MIG_STATE}. */
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE: 2,
  /** SET: {@linkcode VFIO_DEVICE_FEATURE_DMA_LOGGING_CONTROL}. */
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START: 6,
  /** SET, without data. */
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP: 7,
  /** GET: {@linkcode VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT_DATA}. */
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT: 8,
} as const;

/** `struct vfio_device_feature_migration`. */
export const VFIO_DEVICE_FEATURE_MIGRATION_DATA: Layout<"flags"> = layout({
  /** Bits of {@linkcode VfioMigrationFlags}. */
  flags: u64,
});

/** States beyond RUNNING and ERROR. */
export const VfioMigrationFlags = {
  /** STOP, STOP_COPY and RESUMING. */
  VFIO_MIGRATION_STOP_COPY: 0x1,
  /** RUNNING_P2P; unused in vfio-user. */
  VFIO_MIGRATION_P2P: 0x2,
  /** PRE_COPY. */
  VFIO_MIGRATION_PRE_COPY: 0x4,
} as const;

/** `struct vfio_device_feature_mig_state`. */
export const VFIO_DEVICE_FEATURE_MIG_STATE: Layout<"device_state" | "data_fd"> = layout({
  /** A value of {@linkcode VfioDeviceMigState}. */
  device_state: u32,
  /** Unused in vfio-user. */
  data_fd: u32,
});

/** `enum vfio_device_mig_state`. */
export const VfioDeviceMigState = {
  /** The device has failed; DEVICE_RESET brings it back. Cannot be asked for. */
  VFIO_DEVICE_STATE_ERROR: 0,
  /** Changes nothing any more. */
  VFIO_DEVICE_STATE_STOP: 1,
  VFIO_DEVICE_STATE_RUNNING: 2,
  /** Stopped, and its state can be read. */
  VFIO_DEVICE_STATE_STOP_COPY: 3,
  /** Stopped, and its state can be written. */
  VFIO_DEVICE_STATE_RESUMING: 4,
  /** Unused in vfio-user. */
  VFIO_DEVICE_STATE_RUNNING_P2P: 5,
  /** Running, and its state can be read. */
  VFIO_DEVICE_STATE_PRE_COPY: 6,
  /** Unused in vfio-user. */
  VFIO_DEVICE_STATE_PRE_COPY_P2P: 7,
} as const;

/** `struct vfio_device_feature_dma_logging_control`; ranges follow. */
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_CONTROL: Layout<
  "page_size" | "num_ranges" | "reserved"
> = layout({
  /** Wanted granule, a power of two; the reply holds the one chosen. */
  page_size: u64,
  /** Ranges that follow; 0 logs everything. */
  num_ranges: u32,
  reserved: u32,
});

/** `struct vfio_device_feature_dma_logging_range`. */
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_RANGE: Layout<"iova" | "length"> = layout({
  /** First IOVA. */
  iova: u64,
  /** Bytes. */
  length: u64,
});

/** `struct vfio_device_feature_dma_logging_report`; in the reply the bitmap follows. */
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT_DATA: Layout<"iova" | "length" | "page_size"> =
  layout({
    /** First IOVA. */
    iova: u64,
    /** Bytes. */
    length: u64,
    /** Bytes that one bit stands for: a power of two, whatever the granule of logging. */
    page_size: u64,
  });
