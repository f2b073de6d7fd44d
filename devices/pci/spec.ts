/**
 * PCI and PCI Express configuration registers: offsets, bits and capability IDs, named as Linux's
 * `pci_regs.h` names them. Offsets within a capability count from the capability's first byte.
 * Tables only; the behaviour is elsewhere.
 * @module
 */

/** Bytes of the configuration space of a conventional function (PCI 3.0, 6.1). */
export const PCI_CFG_SPACE_SIZE = 256;
/** Bytes of the configuration space of a PCI Express function (PCIe 4.0, 7.2). */
export const PCI_CFG_SPACE_EXP_SIZE = 4096;

// Type 0 header (PCI 3.0, 6.1).

export const PCI_VENDOR_ID = 0x00; // 16 bits
export const PCI_DEVICE_ID = 0x02; // 16 bits
export const PCI_COMMAND = 0x04; // 16 bits
export const PCI_STATUS = 0x06; // 16 bits
export const PCI_REVISION_ID = 0x08; // 8 bits
export const PCI_CLASS_PROG = 0x09; // 8 bits, then two bytes of PCI_CLASS_DEVICE
export const PCI_CLASS_DEVICE = 0x0a; // 16 bits
export const PCI_CACHE_LINE_SIZE = 0x0c; // 8 bits
export const PCI_LATENCY_TIMER = 0x0d; // 8 bits
export const PCI_HEADER_TYPE = 0x0e; // 8 bits
export const PCI_BIST = 0x0f; // 8 bits
export const PCI_BASE_ADDRESS_0 = 0x10; // six registers of 32 bits
export const PCI_CARDBUS_CIS = 0x28; // 32 bits
export const PCI_SUBSYSTEM_VENDOR_ID = 0x2c; // 16 bits
export const PCI_SUBSYSTEM_ID = 0x2e; // 16 bits
export const PCI_ROM_ADDRESS = 0x30; // 32 bits
export const PCI_CAPABILITY_LIST = 0x34; // 8 bits
export const PCI_INTERRUPT_LINE = 0x3c; // 8 bits
export const PCI_INTERRUPT_PIN = 0x3d; // 8 bits
export const PCI_MIN_GNT = 0x3e; // 8 bits
export const PCI_MAX_LAT = 0x3f; // 8 bits

/** Bytes of the header; the first capability stands here or later. */
export const PCI_STD_HEADER_SIZEOF = 0x40;
/** Base address registers of a type 0 header. */
export const PCI_STD_NUM_BARS = 6;

// Command (PCI 3.0, 6.2.2).

export const PCI_COMMAND_IO = 0x0001; // answers in I/O space
export const PCI_COMMAND_MEMORY = 0x0002; // answers in memory space
export const PCI_COMMAND_MASTER = 0x0004; // may master the bus: DMA and messages
export const PCI_COMMAND_PARITY = 0x0040; // parity error response
export const PCI_COMMAND_SERR = 0x0100; // SERR# enable
export const PCI_COMMAND_INTX_DISABLE = 0x0400; // must not assert INTx#

// Status (PCI 3.0, 6.2.3).

export const PCI_STATUS_INTERRUPT = 0x0008; // INTx pending, whatever the disable bit says
export const PCI_STATUS_CAP_LIST = 0x0010; // there is a capability list
export const PCI_STATUS_PARITY = 0x0100; // master data parity error
export const PCI_STATUS_SIG_TARGET_ABORT = 0x0800;
export const PCI_STATUS_REC_TARGET_ABORT = 0x1000;
export const PCI_STATUS_REC_MASTER_ABORT = 0x2000;
export const PCI_STATUS_SIG_SYSTEM_ERROR = 0x4000;
export const PCI_STATUS_DETECTED_PARITY = 0x8000;
/** The status bits that software clears by writing ones. */
export const PCI_STATUS_ERROR_BITS = 0xf900;

// Header type (PCI 3.0, 6.2.1).

export const PCI_HEADER_TYPE_NORMAL = 0x00;
export const PCI_HEADER_TYPE_MFD = 0x80; // the device has several functions

// Base address registers (PCI 3.0, 6.2.5.1).

export const PCI_BASE_ADDRESS_SPACE_IO = 0x1;
export const PCI_BASE_ADDRESS_MEM_TYPE_MASK = 0x6;
export const PCI_BASE_ADDRESS_MEM_TYPE_32 = 0x0;
export const PCI_BASE_ADDRESS_MEM_TYPE_64 = 0x4;
export const PCI_BASE_ADDRESS_MEM_PREFETCH = 0x8;
/** Bits of a memory BAR that are no address. */
export const PCI_BASE_ADDRESS_MEM_FLAGS = 0xf;
/** Bits of an I/O BAR that are no address. */
export const PCI_BASE_ADDRESS_IO_FLAGS = 0x3;

// Capability IDs (PCI Code and ID Assignment Specification).

export const PCI_CAP_ID_PM = 0x01;
export const PCI_CAP_ID_MSI = 0x05;
export const PCI_CAP_ID_VNDR = 0x09;
export const PCI_CAP_ID_EXP = 0x10;
export const PCI_CAP_ID_MSIX = 0x11;
export const PCI_CAP_ID_AF = 0x13;

/** Offset of the capability's ID, 8 bits. */
export const PCI_CAP_LIST_ID = 0;
/** Offset of the next capability's place, 8 bits; 0 ends the list. */
export const PCI_CAP_LIST_NEXT = 1;

// Power management (PCI Power Management 1.2, 3.2).

export const PCI_PM_PMC = 2; // capabilities, 16 bits
export const PCI_PM_CAP_VER_3 = 0x0003; // revision 1.2 of the specification
export const PCI_PM_CAP_D1 = 0x0200;
export const PCI_PM_CAP_D2 = 0x0400;
export const PCI_PM_CTRL = 4; // control and status, 16 bits
export const PCI_PM_CTRL_STATE_MASK = 0x0003; // D0 to D3hot
export const PCI_PM_CTRL_NO_SOFT_RESET = 0x0008; // D3hot to D0 keeps the state
export const PCI_PM_SIZEOF = 8;

// Message signalled interrupts (PCI 3.0, 6.8.1).

export const PCI_MSI_FLAGS = 2; // message control, 16 bits
export const PCI_MSI_FLAGS_ENABLE = 0x0001;
export const PCI_MSI_FLAGS_QMASK = 0x000e; // log2 of the vectors it could use
export const PCI_MSI_FLAGS_QSIZE = 0x0070; // log2 of the vectors it may use
export const PCI_MSI_FLAGS_64BIT = 0x0080;
export const PCI_MSI_FLAGS_MASKBIT = 0x0100;
export const PCI_MSI_ADDRESS_LO = 4; // 32 bits
export const PCI_MSI_DATA_32 = 8; // 16 bits
export const PCI_MSI_MASK_32 = 0x0c; // 32 bits
export const PCI_MSI_PENDING_32 = 0x10; // 32 bits
export const PCI_MSI_ADDRESS_HI = 8; // 32 bits, with PCI_MSI_FLAGS_64BIT
export const PCI_MSI_DATA_64 = 0x0c; // 16 bits
export const PCI_MSI_MASK_64 = 0x10; // 32 bits
export const PCI_MSI_PENDING_64 = 0x14; // 32 bits
/** Vectors a function may ask for at most. */
export const PCI_MSI_MAX_VECTORS = 32;

// MSI-X (PCI 3.0, 6.8.2).

export const PCI_MSIX_FLAGS = 2; // message control, 16 bits
export const PCI_MSIX_FLAGS_QSIZE = 0x07ff; // vectors - 1
export const PCI_MSIX_FLAGS_MASKALL = 0x4000; // function mask
export const PCI_MSIX_FLAGS_ENABLE = 0x8000;
export const PCI_MSIX_TABLE = 4; // BAR in bits 2:0, offset in the rest
export const PCI_MSIX_PBA = 8; // BAR in bits 2:0, offset in the rest
export const PCI_CAP_MSIX_SIZEOF = 12;
export const PCI_MSIX_ENTRY_SIZE = 16;
export const PCI_MSIX_ENTRY_LOWER_ADDR = 0x0;
export const PCI_MSIX_ENTRY_UPPER_ADDR = 0x4;
export const PCI_MSIX_ENTRY_DATA = 0x8;
export const PCI_MSIX_ENTRY_VECTOR_CTRL = 0xc;
export const PCI_MSIX_ENTRY_CTRL_MASKBIT = 0x1;
/** Vectors a function may have at most. */
export const PCI_MSIX_MAX_VECTORS = 2048;

// Vendor specific (PCI 3.0, Appendix H).

export const PCI_CAP_VNDR_LENGTH = 2; // bytes of the whole capability, 8 bits
export const PCI_CAP_VNDR_BODY = 3;

// Advanced Features (PCI Advanced Capabilities ECN).

export const PCI_AF_LENGTH = 2; // 8 bits, always 6
export const PCI_AF_CAP = 3; // 8 bits
export const PCI_AF_CAP_TP = 0x01; // transactions pending is reported
export const PCI_AF_CAP_FLR = 0x02;
export const PCI_AF_CTRL = 4; // 8 bits
export const PCI_AF_CTRL_FLR = 0x01; // write 1 to reset; reads 0
export const PCI_AF_STATUS = 5; // 8 bits
export const PCI_CAP_AF_SIZEOF = 6;

// PCI Express, version 2 (PCIe 4.0, 7.5.3).

export const PCI_EXP_FLAGS = 0x02; // 16 bits
export const PCI_EXP_FLAGS_VERS_2 = 0x0002;
export const PCI_EXP_TYPE_ENDPOINT = 0x0;
export const PCI_EXP_TYPE_RC_END = 0x9; // root complex integrated endpoint
export const PCI_EXP_DEVCAP = 0x04; // 32 bits
export const PCI_EXP_DEVCAP_EXT_TAG = 0x0000_0020;
export const PCI_EXP_DEVCAP_RBER = 0x0000_8000; // role-based error reporting
export const PCI_EXP_DEVCAP_FLR = 0x1000_0000;
export const PCI_EXP_DEVCTL = 0x08; // 16 bits
export const PCI_EXP_DEVCTL_ERRORS = 0x000f; // correctable to unsupported request reporting
export const PCI_EXP_DEVCTL_RELAX_EN = 0x0010;
export const PCI_EXP_DEVCTL_PAYLOAD = 0x00e0;
export const PCI_EXP_DEVCTL_EXT_TAG = 0x0100;
export const PCI_EXP_DEVCTL_NOSNOOP_EN = 0x0800;
export const PCI_EXP_DEVCTL_READRQ = 0x7000;
export const PCI_EXP_DEVCTL_READRQ_512B = 0x2000;
export const PCI_EXP_DEVCTL_BCR_FLR = 0x8000; // write 1 to reset; reads 0
export const PCI_EXP_DEVSTA = 0x0a; // 16 bits
export const PCI_EXP_DEVSTA_ERRORS = 0x000f; // written by 1 to clear
export const PCI_EXP_LNKCAP = 0x0c; // 32 bits
export const PCI_EXP_LNKCAP_SLS_2_5GB = 0x0000_0001;
export const PCI_EXP_LNKCAP_MLW_X1 = 0x0000_0010;
export const PCI_EXP_LNKCAP_ASPM_OPTIONALITY = 0x0040_0000;
export const PCI_EXP_LNKCTL = 0x10; // 16 bits
export const PCI_EXP_LNKCTL_ASPMC = 0x0003;
export const PCI_EXP_LNKCTL_RCB = 0x0008;
export const PCI_EXP_LNKCTL_CCC = 0x0040; // common clock configuration
export const PCI_EXP_LNKCTL_ES = 0x0080; // extended synch
export const PCI_EXP_LNKCTL_HAWD = 0x0200; // hardware autonomous width disable
export const PCI_EXP_LNKSTA = 0x12; // 16 bits
export const PCI_EXP_LNKSTA_CLS_2_5GB = 0x0001;
export const PCI_EXP_LNKSTA_NLW_X1 = 0x0010;
export const PCI_EXP_DEVCAP2 = 0x24; // 32 bits
export const PCI_EXP_DEVCAP2_COMP_TMOUT_DIS = 0x0000_0010;
export const PCI_EXP_DEVCAP2_EE_PREFIX = 0x0020_0000; // end-to-end TLP prefixes, as PASID needs
export const PCI_EXP_DEVCAP2_EE_PREFIX_SHIFT = 22; // how many at most; 0 means 4
export const PCI_EXP_DEVCTL2 = 0x28; // 16 bits
export const PCI_EXP_DEVCTL2_COMP_TMOUT_DIS = 0x0010;
export const PCI_EXP_LNKCAP2 = 0x2c; // 32 bits
export const PCI_EXP_LNKCAP2_SLS_2_5GB = 0x0000_0002;
export const PCI_EXP_LNKCTL2 = 0x30; // 16 bits
export const PCI_EXP_LNKCTL2_TLS = 0x000f; // target link speed
export const PCI_EXP_LNKCTL2_TLS_2_5GT = 0x0001;
export const PCI_EXP_LNKCTL2_HASD = 0x0020; // hardware autonomous speed disable
/** Bytes of the capability of version 2, slot registers included. */
export const PCI_EXP_ENDPOINT_SIZEOF_V2 = 0x3c;

// Extended capabilities (PCIe 4.0, 7.6.3): ID 15:0, version 19:16, next 31:20.

/** Where the first extended capability stands. */
export const PCI_EXT_CAP_START = 0x100;
/** Bytes of the header that every extended capability begins with. */
export const PCI_EXT_CAP_HEADER_SIZEOF = 4;
export const PCI_EXT_CAP_ID_ERR = 0x01;
export const PCI_EXT_CAP_ID_DSN = 0x03;
export const PCI_EXT_CAP_ID_VNDR = 0x0b;
export const PCI_EXT_CAP_ID_ATS = 0x0f;
export const PCI_EXT_CAP_ID_PRI = 0x13;
export const PCI_EXT_CAP_ID_PASID = 0x1b;

// Advanced Error Reporting (PCIe 4.0, 7.8.4).

export const PCI_ERR_UNCOR_STATUS = 0x04; // 32 bits
export const PCI_ERR_UNCOR_MASK = 0x08; // 32 bits
export const PCI_ERR_UNCOR_SEVER = 0x0c; // 32 bits
export const PCI_ERR_COR_STATUS = 0x10; // 32 bits
export const PCI_ERR_COR_MASK = 0x14; // 32 bits
export const PCI_ERR_CAP = 0x18; // 32 bits
export const PCI_ERR_HEADER_LOG = 0x1c; // four registers of 32 bits
export const PCI_ERR_SIZEOF = 0x2c;
/** Data link protocol, poisoned, flow control, time-out, abort, unexpected, overflow, malformed, unsupported. */
export const PCI_ERR_UNC_ENDPOINT = 0x0017_f010;
/** The uncorrectable errors that are fatal after power-on. */
export const PCI_ERR_UNC_FATAL = 0x0006_2010;
/** Receiver, bad TLP, bad DLLP, replay rollover, replay timer, advisory non-fatal. */
export const PCI_ERR_COR_ENDPOINT = 0x0000_31c1;
export const PCI_ERR_COR_ADV_NFAT = 0x0000_2000; // masked after power-on

// Device serial number (PCIe 4.0, 7.9.3).

export const PCI_DSN_LOW = 4; // 32 bits
export const PCI_DSN_HIGH = 8; // 32 bits
export const PCI_DSN_SIZEOF = 12;

// Vendor-specific extended capability (PCIe 4.0, 7.9.5).

export const PCI_VNDR_HEADER = 4; // 32 bits: ID 15:0, revision 19:16, bytes of all 31:20
export const PCI_VNDR_BODY = 8;

// Address Translation Services (PCIe 5.0, 10.5.1).

export const PCI_ATS_CAP = 0x04; // 16 bits
export const PCI_ATS_CAP_QDEP = 0x001f; // invalidations it can queue; 0 means 32
export const PCI_ATS_CAP_PAGE_ALIGNED = 0x0020;
export const PCI_ATS_CAP_GLOBAL_INVALIDATE = 0x0040;
export const PCI_ATS_CTRL = 0x06; // 16 bits
export const PCI_ATS_CTRL_STU = 0x001f; // smallest translation unit: 4096 << STU bytes
export const PCI_ATS_CTRL_ENABLE = 0x8000;
export const PCI_EXT_CAP_ATS_SIZEOF = 8;
/** The invalidations that queue depth 0 stands for. */
export const PCI_ATS_MAX_QDEP = 32;

// Page Request Interface (PCIe 5.0, 10.5.2).

export const PCI_PRI_CTRL = 0x04; // 16 bits
export const PCI_PRI_CTRL_ENABLE = 0x0001;
export const PCI_PRI_CTRL_RESET = 0x0002; // write 1 to reset; reads 0
export const PCI_PRI_STATUS = 0x06; // 16 bits
export const PCI_PRI_STATUS_RF = 0x0001; // response failure, written by 1 to clear
export const PCI_PRI_STATUS_UPRGI = 0x0002; // unexpected group index, written by 1 to clear
export const PCI_PRI_STATUS_STOPPED = 0x0100;
export const PCI_PRI_STATUS_PASID = 0x8000; // group responses carry the PASID
export const PCI_PRI_MAX_REQ = 0x08; // capacity, 32 bits
export const PCI_PRI_ALLOC_REQ = 0x0c; // allocation, 32 bits
export const PCI_EXT_CAP_PRI_SIZEOF = 16;

// Process Address Space ID (PCIe 5.0, 7.8.9).

export const PCI_PASID_CAP = 0x04; // 16 bits
export const PCI_PASID_CAP_EXEC = 0x0002;
export const PCI_PASID_CAP_PRIV = 0x0004;
export const PCI_PASID_CAP_TRANSLATED = 0x0008; // Linux has no name for it
export const PCI_PASID_CAP_WIDTH_SHIFT = 8; // bits of a PASID, in 12:8
export const PCI_PASID_CTRL = 0x06; // 16 bits
export const PCI_PASID_CTRL_ENABLE = 0x0001;
export const PCI_PASID_CTRL_EXEC = 0x0002;
export const PCI_PASID_CTRL_PRIV = 0x0004;
export const PCI_PASID_CTRL_TRANSLATED = 0x0008;
export const PCI_EXT_CAP_PASID_SIZEOF = 8;
/** Bits of the widest PASID. */
export const PCI_PASID_MAX_WIDTH = 20;
