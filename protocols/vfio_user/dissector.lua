-- Wireshark dissector for vfio-user, for captures with link type USER0 (147), one message a packet.
--
--   wireshark -X lua_script:dissector.lua capture.pcapng
--   tshark -X lua_script:dissector.lua -r capture.pcapng -Y 'vfio_user.command == 2' -V
--
-- Field names are those of the specification (QEMU's docs/interop/vfio-user.rst) and of linux/vfio.h,
-- after the name of the message: `vfio_user.dma_map.address`. A direction is that of the packet:
-- inbound from client to server, outbound from server to client.

local vfio_user = Proto("vfio_user", "vfio-user")

local HEADER_SIZE = 16
local COMMAND, REPLY = 0, 1
-- Entries of a list that are shown one by one.
local MAX_ENTRIES = 1024

local COMMANDS = {
  [1] = "VFIO_USER_VERSION",
  [2] = "VFIO_USER_DMA_MAP",
  [3] = "VFIO_USER_DMA_UNMAP",
  [4] = "VFIO_USER_DEVICE_GET_INFO",
  [5] = "VFIO_USER_DEVICE_GET_REGION_INFO",
  [6] = "VFIO_USER_DEVICE_GET_REGION_IO_FDS",
  [7] = "VFIO_USER_DEVICE_GET_IRQ_INFO",
  [8] = "VFIO_USER_DEVICE_SET_IRQS",
  [9] = "VFIO_USER_REGION_READ",
  [10] = "VFIO_USER_REGION_WRITE",
  [11] = "VFIO_USER_DMA_READ",
  [12] = "VFIO_USER_DMA_WRITE",
  [13] = "VFIO_USER_DEVICE_RESET",
  [15] = "VFIO_USER_REGION_WRITE_MULTI",
  [16] = "VFIO_USER_DEVICE_FEATURE",
  [17] = "VFIO_USER_MIG_DATA_READ",
  [18] = "VFIO_USER_MIG_DATA_WRITE",
  [19] = "VFIO_USER_IOMMUFD_ALLOC_IOAS",
  [20] = "VFIO_USER_IOMMUFD_DESTROY_IOAS",
  [21] = "VFIO_USER_IOMMUFD_IOAS_MAP",
  [22] = "VFIO_USER_IOMMUFD_IOAS_UNMAP",
  [23] = "VFIO_USER_IOMMUFD_IOAS_COPY",
  [24] = "VFIO_USER_IOMMUFD_BIND",
  [25] = "VFIO_USER_IOMMUFD_ATTACH_PT",
  [26] = "VFIO_USER_IOMMUFD_DETACH_PT",
  [100] = "VFIO_USER_DMA_PAGE_REQUEST",
}

local ERRNO = {
  [0] = "none",
  [1] = "EPERM", [2] = "ENOENT", [3] = "ESRCH", [4] = "EINTR", [5] = "EIO", [6] = "ENXIO",
  [7] = "E2BIG", [8] = "ENOEXEC", [9] = "EBADF", [10] = "ECHILD", [11] = "EAGAIN",
  [12] = "ENOMEM", [13] = "EACCES", [14] = "EFAULT", [15] = "ENOTBLK", [16] = "EBUSY",
  [17] = "EEXIST", [18] = "EXDEV", [19] = "ENODEV", [20] = "ENOTDIR", [21] = "EISDIR",
  [22] = "EINVAL", [23] = "ENFILE", [24] = "EMFILE", [25] = "ENOTTY", [26] = "ETXTBSY",
  [27] = "EFBIG", [28] = "ENOSPC", [29] = "ESPIPE", [30] = "EROFS", [31] = "EMLINK",
  [32] = "EPIPE", [33] = "EDOM", [34] = "ERANGE", [35] = "EDEADLK", [36] = "ENAMETOOLONG",
  [37] = "ENOLCK", [38] = "ENOSYS", [39] = "ENOTEMPTY", [40] = "ELOOP", [42] = "ENOMSG",
  [43] = "EIDRM", [44] = "ECHRNG", [45] = "EL2NSYNC", [46] = "EL3HLT", [47] = "EL3RST",
  [48] = "ELNRNG", [49] = "EUNATCH", [50] = "ENOCSI", [51] = "EL2HLT", [52] = "EBADE",
  [53] = "EBADR", [54] = "EXFULL", [55] = "ENOANO", [56] = "EBADRQC", [57] = "EBADSLT",
  [59] = "EBFONT", [60] = "ENOSTR", [61] = "ENODATA", [62] = "ETIME", [63] = "ENOSR",
  [64] = "ENONET", [65] = "ENOPKG", [66] = "EREMOTE", [67] = "ENOLINK", [68] = "EADV",
  [69] = "ESRMNT", [70] = "ECOMM", [71] = "EPROTO", [72] = "EMULTIHOP", [73] = "EDOTDOT",
  [74] = "EBADMSG", [75] = "EOVERFLOW", [76] = "ENOTUNIQ", [77] = "EBADFD", [78] = "EREMCHG",
  [79] = "ELIBACC", [80] = "ELIBBAD", [81] = "ELIBSCN", [82] = "ELIBMAX", [83] = "ELIBEXEC",
  [84] = "EILSEQ", [85] = "ERESTART", [86] = "ESTRPIPE", [87] = "EUSERS", [88] = "ENOTSOCK",
  [89] = "EDESTADDRREQ", [90] = "EMSGSIZE", [91] = "EPROTOTYPE", [92] = "ENOPROTOOPT",
  [93] = "EPROTONOSUPPORT", [94] = "ESOCKTNOSUPPORT", [95] = "EOPNOTSUPP", [96] = "EPFNOSUPPORT",
  [97] = "EAFNOSUPPORT", [98] = "EADDRINUSE", [99] = "EADDRNOTAVAIL", [100] = "ENETDOWN",
  [101] = "ENETUNREACH", [102] = "ENETRESET", [103] = "ECONNABORTED", [104] = "ECONNRESET",
  [105] = "ENOBUFS", [106] = "EISCONN", [107] = "ENOTCONN", [108] = "ESHUTDOWN",
  [109] = "ETOOMANYREFS", [110] = "ETIMEDOUT", [111] = "ECONNREFUSED", [112] = "EHOSTDOWN",
  [113] = "EHOSTUNREACH", [114] = "EALREADY", [115] = "EINPROGRESS", [116] = "ESTALE",
  [117] = "EUCLEAN", [118] = "ENOTNAM", [119] = "ENAVAIL", [120] = "EISNAM", [121] = "EREMOTEIO",
  [122] = "EDQUOT", [123] = "ENOMEDIUM", [124] = "EMEDIUMTYPE", [125] = "ECANCELED",
  [126] = "ENOKEY", [127] = "EKEYEXPIRED", [128] = "EKEYREVOKED", [129] = "EKEYREJECTED",
  [130] = "EOWNERDEAD", [131] = "ENOTRECOVERABLE", [132] = "ERFKILL", [133] = "EHWPOISON",
}

local TYPES = { [0] = "Command", [1] = "Reply" }
local REGIONS = {
  [0] = "BAR0", [1] = "BAR1", [2] = "BAR2", [3] = "BAR3", [4] = "BAR4", [5] = "BAR5",
  [6] = "ROM", [7] = "CONFIG", [8] = "VGA",
}
local IRQS = { [0] = "INTX", [1] = "MSI", [2] = "MSIX", [3] = "ERR", [4] = "REQ" }
local CAPABILITIES = { [1] = "SPARSE_MMAP", [2] = "TYPE", [3] = "MSIX_MAPPABLE" }
local IO_FD_TYPES = { [0] = "IOEVENTFD", [1] = "IOREGIONFD", [2] = "IOEVENTFD_SHADOW" }
local FEATURES = {
  [1] = "MIGRATION", [2] = "MIG_DEVICE_STATE", [6] = "DMA_LOGGING_START",
  [7] = "DMA_LOGGING_STOP", [8] = "DMA_LOGGING_REPORT",
}
local STATES = {
  [0] = "ERROR", [1] = "STOP", [2] = "RUNNING", [3] = "STOP_COPY", [4] = "RESUMING",
  [5] = "RUNNING_P2P", [6] = "PRE_COPY", [7] = "PRE_COPY_P2P",
}

local ACCESS = { { 0x1, "readable" }, { 0x2, "writeable" } }
local UNMAP = { { 0x1, "get_dirty_bitmap" }, { 0x2, "all" } }
local DEVICE = { { 0x1, "reset" }, { 0x2, "pci" } }
local REGION = { { 0x1, "read" }, { 0x2, "write" }, { 0x4, "mmap" }, { 0x8, "caps" } }
local IRQ_INFO = {
  { 0x1, "eventfd" }, { 0x2, "maskable" }, { 0x4, "automasked" }, { 0x8, "noresize" },
}
local IRQ_SET = {
  { 0x01, "data_none" }, { 0x02, "data_bool" }, { 0x04, "data_eventfd" },
  { 0x08, "action_mask" }, { 0x10, "action_unmask" }, { 0x20, "action_trigger" },
}
local METHODS = { { 0x10000, "get" }, { 0x20000, "set" }, { 0x40000, "probe" } }
local MIGRATION = { { 0x1, "stop_copy" }, { 0x2, "p2p" }, { 0x4, "pre_copy" } }
local IOAS_MAP = { { 0x1, "writeable" }, { 0x2, "readable" } }

local function has(flags, mask)
  return math.floor(flags / mask) % 2 == 1
end

-- Fields, made once. A structure is a list of { name, bytes, how, names }: `how` is "dec", "hex",
-- "names" (an enumeration) or "bits" (flags in the low 32 bits).

local fields = {}

local function keep(field)
  fields[#fields + 1] = field
  return field
end

local INTEGER = { [2] = ProtoField.uint16, [4] = ProtoField.uint32, [8] = ProtoField.uint64 }

local function structure(prefix, list)
  local result = { prefix = prefix, size = 0, at = {} }
  for _, entry in ipairs(list) do
    local name, bytes, how, names = entry[1], entry[2], entry[3] or "dec", entry[4]
    local abbreviation = "vfio_user." .. prefix .. "." .. name
    local display = (how == "hex" or how == "bits") and base.HEX or base.DEC
    local item = {
      name = name,
      bytes = bytes,
      field = keep(INTEGER[bytes](abbreviation, name, display, how == "names" and names or nil)),
    }
    if how == "bits" then
      item.bits = {}
      for _, bit in ipairs(names) do
        item.bits[#item.bits + 1] = keep(
          ProtoField.bool(abbreviation .. "." .. bit[2], bit[2], 32, nil, bit[1])
        )
      end
    end
    result.at[name] = result.size
    result.size = result.size + bytes
    result[#result + 1] = item
  end
  return result
end

local f_id = keep(ProtoField.uint16("vfio_user.id", "Message ID", base.HEX))
local f_command = keep(ProtoField.uint16("vfio_user.command", "Command", base.DEC, COMMANDS))
local f_size = keep(ProtoField.uint32("vfio_user.size", "Message size", base.DEC))
local f_flags = keep(ProtoField.uint32("vfio_user.flags", "Flags", base.HEX))
local f_type = keep(ProtoField.uint32("vfio_user.flags.type", "Type", base.DEC, TYPES, 0xf))
local f_no_reply = keep(ProtoField.bool("vfio_user.flags.no_reply", "No_reply", 32, nil, 0x10))
local f_error_flag = keep(ProtoField.bool("vfio_user.flags.error", "Error", 32, nil, 0x20))
local f_error = keep(ProtoField.uint32("vfio_user.error", "Error", base.DEC, ERRNO))
local f_data = keep(ProtoField.bytes("vfio_user.data", "Data"))
local f_json = keep(ProtoField.string("vfio_user.version.data", "Version data"))
local f_response_in = keep(
  ProtoField.framenum("vfio_user.response_in", "Reply in", base.NONE, frametype.RESPONSE)
)
local f_response_to = keep(
  ProtoField.framenum("vfio_user.response_to", "Reply to", base.NONE, frametype.REQUEST)
)
local f_time = keep(ProtoField.relative_time("vfio_user.time", "Time since the command"))

local VERSION = structure("version", { { "major", 2 }, { "minor", 2 } })
local DMA_MAP = structure("dma_map", {
  { "argsz", 4 }, { "flags", 4, "bits", ACCESS }, { "offset", 8, "hex" }, { "address", 8, "hex" },
  { "size", 8, "hex" },
})
local DMA_UNMAP = structure("dma_unmap", {
  { "argsz", 4 }, { "flags", 4, "bits", UNMAP }, { "address", 8, "hex" }, { "size", 8, "hex" },
})
local BITMAP = structure("dma_unmap.bitmap", { { "pgsize", 8 }, { "size", 8 } })
local DEVICE_INFO = structure("device_info", {
  { "argsz", 4 }, { "flags", 4, "bits", DEVICE }, { "num_regions", 4 }, { "num_irqs", 4 },
})
local REGION_INFO = structure("region_info", {
  { "argsz", 4 }, { "flags", 4, "bits", REGION }, { "index", 4, "names", REGIONS },
  { "cap_offset", 4 }, { "size", 8, "hex" }, { "offset", 8, "hex" },
})
local CAP_HEADER = structure("region_info.cap", {
  { "id", 2, "names", CAPABILITIES }, { "version", 2 }, { "next", 4 },
})
local SPARSE = structure("region_info.sparse", { { "nr_areas", 4 }, { "reserved", 4 } })
local AREA = structure("region_info.sparse.area", { { "offset", 8, "hex" }, { "size", 8, "hex" } })
local CAP_TYPE = structure("region_info.type", { { "type", 4, "hex" }, { "subtype", 4, "hex" } })
local REGION_IO_FDS = structure("region_io_fds", {
  { "argsz", 4 }, { "flags", 4, "hex" }, { "index", 4, "names", REGIONS }, { "count", 4 },
})
local IO_FD = structure("io_fd", {
  { "offset", 8, "hex" }, { "size", 8, "hex" }, { "fd_index", 4 },
  { "type", 4, "names", IO_FD_TYPES }, { "flags", 4, "hex" }, { "padding", 4, "hex" },
  { "datamatch", 8, "hex" },
})
local IO_FD_SHADOW = structure("io_fd_shadow", {
  { "offset", 8, "hex" }, { "size", 8, "hex" }, { "fd_index", 4 },
  { "type", 4, "names", IO_FD_TYPES }, { "flags", 4, "hex" }, { "shadow_mem_fd_index", 4 },
  { "shadow_offset", 8, "hex" }, { "datamatch", 8, "hex" },
})
local IRQ = structure("irq_info", {
  { "argsz", 4 }, { "flags", 4, "bits", IRQ_INFO }, { "index", 4, "names", IRQS }, { "count", 4 },
})
local SET_IRQS = structure("irq_set", {
  { "argsz", 4 }, { "flags", 4, "bits", IRQ_SET }, { "index", 4, "names", IRQS }, { "start", 4 },
  { "count", 4 },
})
local REGION_ACCESS = structure("region_access", {
  { "offset", 8, "hex" }, { "region", 4, "names", REGIONS }, { "count", 4 },
})
local DMA_ACCESS = structure("dma_access", { { "address", 8, "hex" }, { "count", 8 } })
local WRITE_MULTI = structure("write_multi", { { "wr_cnt", 8 } })
local WRITE_ENTRY = structure("write_multi.write", {
  { "offset", 8, "hex" }, { "region", 4, "names", REGIONS }, { "count", 4 }, { "data", 8, "hex" },
})
local FEATURE = structure("device_feature", { { "argsz", 4 }, { "flags", 4, "bits", METHODS } })
local f_feature = keep(
  ProtoField.uint32("vfio_user.device_feature.index", "index", base.DEC, FEATURES, 0xffff)
)
local FEATURE_MIGRATION = structure("migration", { { "flags", 8, "bits", MIGRATION } })
local MIG_STATE = structure("mig_state", {
  { "device_state", 4, "names", STATES }, { "data_fd", 4, "hex" },
})
local LOGGING = structure("dma_logging", { { "page_size", 8 }, { "num_ranges", 4 }, { "reserved", 4 } })
local LOGGING_RANGE = structure("dma_logging.range", { { "iova", 8, "hex" }, { "length", 8, "hex" } })
local REPORT = structure("dma_logging.report", {
  { "iova", 8, "hex" }, { "length", 8, "hex" }, { "page_size", 8 },
})
local MIG_DATA = structure("mig_data", { { "argsz", 4 }, { "size", 4 } })
local ALLOC_IOAS = structure("alloc_ioas", {
  { "argsz", 4 }, { "flags", 4, "hex" }, { "out_ioas_id", 4 }, { "reserved", 4 },
})
local DESTROY_IOAS = structure("destroy_ioas", {
  { "argsz", 4 }, { "flags", 4, "hex" }, { "ioas_id", 4 }, { "reserved", 4 },
})
local MAP_IOAS = structure("ioas_map", {
  { "argsz", 4 }, { "flags", 4, "bits", IOAS_MAP }, { "ioas_id", 4 }, { "reserved", 4 },
  { "user_va", 8, "hex" }, { "length", 8, "hex" }, { "iova", 8, "hex" }, { "offset", 8, "hex" },
})
local UNMAP_IOAS = structure("ioas_unmap", {
  { "argsz", 4 }, { "flags", 4, "hex" }, { "ioas_id", 4 }, { "reserved", 4 },
  { "iova", 8, "hex" }, { "length", 8, "hex" },
})
local COPY_IOAS = structure("ioas_copy", {
  { "argsz", 4 }, { "flags", 4, "hex" }, { "src_ioas_id", 4 }, { "dst_ioas_id", 4 },
  { "src_iova", 8, "hex" }, { "dst_iova", 8, "hex" }, { "length", 8, "hex" },
})
local BIND = structure("bind", {
  { "argsz", 4 }, { "flags", 4, "hex" }, { "iommufd", 4 }, { "out_devid", 4 },
})
local ATTACH_PT = structure("attach_pt", {
  { "argsz", 4 }, { "flags", 4, "hex" }, { "pt_id", 4 }, { "pasid", 4 },
})
local DETACH_PT = structure("detach_pt", {
  { "argsz", 4 }, { "flags", 4, "hex" }, { "pasid", 4 }, { "reserved", 4 },
})
local PAGE_REQUEST = structure("page_request", {
  { "address", 8, "hex" }, { "count", 8 }, { "flags", 4, "bits", ACCESS }, { "pasid", 4, "hex" },
})

vfio_user.fields = fields

local e_short = ProtoExpert.new(
  "vfio_user.short", "Message ends before its structure does", expert.group.MALFORMED,
  expert.severity.ERROR
)
local e_size = ProtoExpert.new(
  "vfio_user.bad_size", "Message size differs from the packet's", expert.group.MALFORMED,
  expert.severity.WARN
)
local e_failed = ProtoExpert.new(
  "vfio_user.failed", "Command failed", expert.group.RESPONSE_CODE, expert.severity.NOTE
)
local e_unknown = ProtoExpert.new(
  "vfio_user.unknown_command", "Unknown command", expert.group.UNDECODED, expert.severity.WARN
)
vfio_user.experts = { e_short, e_size, e_failed, e_unknown }

-- A body: the packet, the tree, and where the message ends. `at` values count from the packet's start.

local function lacks(body, at, bytes)
  if at + bytes <= body.last then
    return false
  end
  if not body.noted then
    body.tree:add_proto_expert_info(e_short)
    body.noted = true
  end
  return true
end

-- Adds a structure, under a line of its own when it has a title. True when all of it was there.
local function add(body, at, what, title)
  local tree = body.tree
  if title then
    tree = tree:add(vfio_user, body.tvb(at, math.max(0, math.min(what.size, body.last - at))), title)
  end
  for _, item in ipairs(what) do
    if lacks(body, at, item.bytes) then
      return false
    end
    local range = body.tvb(at, item.bytes)
    local line = tree:add_le(item.field, range)
    if item.bits then
      for _, bit in ipairs(item.bits) do
        line:add_le(bit, body.tvb(at, 4))
      end
    end
    at = at + item.bytes
  end
  return true
end

local function u32(body, at)
  if lacks(body, at, 4) then
    return 0
  end
  return body.tvb(at, 4):le_uint()
end

local function u64(body, at)
  if lacks(body, at, 8) then
    return 0
  end
  return body.tvb(at, 8):le_uint64():tonumber()
end

-- Adds `count` bytes of data, or what there is of them.
local function data(body, at, count)
  local there = math.min(count, body.last - at)
  if there < count then
    lacks(body, at, count)
  end
  if there > 0 then
    body.tree:add(f_data, body.tvb(at, there))
  end
end

local function list(body, at, count, size, each)
  local there = math.floor(math.max(0, body.last - at) / size)
  if count > there then
    lacks(body, at, count * size)
  end
  for index = 0, math.min(count, there, MAX_ENTRIES) - 1 do
    each(at + index * size, index)
  end
end

local function only(what)
  return function(body, at)
    add(body, at, what)
  end
end

local function nothing() end

local function version(body, at)
  if not add(body, at, VERSION) then
    return
  end
  local length = body.last - at - VERSION.size
  if length > 0 then
    body.tree:add(f_json, body.tvb(at + VERSION.size, length))
  end
end

local function dma_unmap(is_reply)
  return function(body, at)
    if not add(body, at, DMA_UNMAP) then
      return
    end
    if not has(u32(body, at + DMA_UNMAP.at.flags), 0x1) then
      return
    end
    local from = at + DMA_UNMAP.size
    if add(body, from, BITMAP, "Bitmap") and is_reply then
      data(body, from + BITMAP.size, u64(body, from + BITMAP.at.size))
    end
  end
end

local function region_info(body, at)
  if not add(body, at, REGION_INFO) or not has(u32(body, at + REGION_INFO.at.flags), 0x8) then
    return
  end
  local offset = u32(body, at + REGION_INFO.at.cap_offset)
  local least = REGION_INFO.size
  -- Forwards only, so that a list that points back ends.
  while offset >= least and not lacks(body, at + offset, CAP_HEADER.size) do
    local id = body.tvb(at + offset, 2):le_uint()
    add(body, at + offset, CAP_HEADER, "Capability " .. (CAPABILITIES[id] or id))
    least = offset + CAP_HEADER.size
    local from = at + least
    if id == 1 and add(body, from, SPARSE) then
      list(body, from + SPARSE.size, u32(body, from), AREA.size, function(area, index)
        add(body, area, AREA, "Area " .. index)
      end)
    elseif id == 2 then
      add(body, from, CAP_TYPE)
    end
    offset = u32(body, at + offset + CAP_HEADER.at.next)
  end
end

local function io_fds(body, at)
  if not add(body, at, REGION_IO_FDS) then
    return
  end
  local count = u32(body, at + REGION_IO_FDS.at.count)
  local argsz = u32(body, at)
  local from = at + REGION_IO_FDS.size
  -- A reply without room has the count and no entries.
  if count == 0 or body.last == from then
    return
  end
  local size = (argsz - REGION_IO_FDS.size) / count
  if size ~= math.floor(size) or size < IO_FD.size then
    body.tree:add_proto_expert_info(e_short)
    return
  end
  list(body, from, count, size, function(entry, index)
    local kind = u32(body, entry + IO_FD.at.type)
    local wide = size >= IO_FD_SHADOW.size and kind ~= 1
    add(body, entry, wide and IO_FD_SHADOW or IO_FD, "Sub-region " .. index)
  end)
end

local function set_irqs(body, at)
  if add(body, at, SET_IRQS) and has(u32(body, at + SET_IRQS.at.flags), 0x2) then
    data(body, at + SET_IRQS.size, u32(body, at + SET_IRQS.at.count))
  end
end

local function region_access(with_data)
  return function(body, at)
    if add(body, at, REGION_ACCESS) and with_data then
      data(body, at + REGION_ACCESS.size, u32(body, at + REGION_ACCESS.at.count))
    end
  end
end

local function dma_access(with_data)
  return function(body, at)
    if add(body, at, DMA_ACCESS) and with_data then
      data(body, at + DMA_ACCESS.size, u64(body, at + DMA_ACCESS.at.count))
    end
  end
end

local function write_multi(body, at)
  if add(body, at, WRITE_MULTI) then
    list(body, at + WRITE_MULTI.size, u64(body, at), WRITE_ENTRY.size, function(entry, index)
      add(body, entry, WRITE_ENTRY, "Write " .. index)
    end)
  end
end

local function device_feature(is_reply)
  return function(body, at)
    if not add(body, at, FEATURE) then
      return
    end
    local range = body.tvb(at + FEATURE.at.flags, 4)
    body.tree:add_le(f_feature, range)
    local flags = range:le_uint()
    local index = flags % 0x10000
    local get, set, probe = has(flags, 0x10000), has(flags, 0x20000), has(flags, 0x40000)
    local from = at + FEATURE.size
    if probe then
      return
    elseif index == 1 and is_reply then
      add(body, from, FEATURE_MIGRATION, "Migration")
    elseif index == 2 and (is_reply or set) then
      add(body, from, MIG_STATE, "Migration state")
    elseif index == 6 and (is_reply or set) then
      if add(body, from, LOGGING, "DMA logging") then
        local ranges = u32(body, from + LOGGING.at.num_ranges)
        list(body, from + LOGGING.size, ranges, LOGGING_RANGE.size, function(entry, number)
          add(body, entry, LOGGING_RANGE, "Range " .. number)
        end)
      end
    elseif index == 8 and get then
      if add(body, from, REPORT, "DMA logging report") and is_reply then
        data(body, from + REPORT.size, body.last - from - REPORT.size)
      end
    end
  end
end

local function mig_data(with_data)
  return function(body, at)
    if add(body, at, MIG_DATA) and with_data then
      data(body, at + MIG_DATA.size, u32(body, at + MIG_DATA.at.size))
    end
  end
end

local function both(what)
  return { only(what), only(what) }
end

-- Command and reply.
local BODIES = {
  [1] = { version, version },
  [2] = { only(DMA_MAP), nothing },
  [3] = { dma_unmap(false), dma_unmap(true) },
  [4] = both(DEVICE_INFO),
  [5] = { only(REGION_INFO), region_info },
  [6] = { only(REGION_IO_FDS), io_fds },
  [7] = both(IRQ),
  [8] = { set_irqs, nothing },
  [9] = { region_access(false), region_access(true) },
  [10] = { region_access(true), region_access(false) },
  [11] = { dma_access(false), dma_access(true) },
  [12] = { dma_access(true), dma_access(false) },
  [13] = { nothing, nothing },
  [15] = { write_multi, only(WRITE_MULTI) },
  [16] = { device_feature(false), device_feature(true) },
  [17] = { mig_data(false), mig_data(true) },
  [18] = { mig_data(true), nothing },
  [19] = both(ALLOC_IOAS),
  [20] = both(DESTROY_IOAS),
  [21] = both(MAP_IOAS),
  [22] = both(UNMAP_IOAS),
  [23] = both(COPY_IOAS),
  [24] = both(BIND),
  [25] = both(ATTACH_PT),
  [26] = both(DETACH_PT),
  [100] = { only(PAGE_REQUEST), nothing },
}

-- Which reply belongs to which command: by connection, direction of the command, command and ID. IDs
-- may be in use more than once, and are then answered in order.

local interface_of = Field.new("frame.interface_id")
local pending, reply_of, command_of

function vfio_user.init()
  pending, reply_of, command_of = {}, {}, {}
end

local P2P_RECEIVED = 1

local function match(pinfo, id, command, is_reply, wants_reply)
  local interface = interface_of()
  local inbound = pinfo.p2p_dir == P2P_RECEIVED
  local forward = inbound ~= is_reply
  local key = table.concat({
    interface and tostring(interface.value) or "0", forward and ">" or "<", command, id,
  }, " ")
  local queue = pending[key]
  if not is_reply then
    if wants_reply then
      queue = queue or {}
      pending[key] = queue
      queue[#queue + 1] = { number = pinfo.number, time = pinfo.rel_ts }
    end
  elseif queue then
    local sent = table.remove(queue, 1)
    if #queue == 0 then
      pending[key] = nil
    end
    command_of[pinfo.number] = sent
    reply_of[sent.number] = pinfo.number
  end
end

function vfio_user.dissector(tvb, pinfo, root)
  local length = tvb:len()
  if length < HEADER_SIZE then
    return 0
  end
  pinfo.cols.protocol = "vfio-user"
  local inbound = pinfo.p2p_dir == P2P_RECEIVED
  pinfo.cols.src = inbound and "client" or "server"
  pinfo.cols.dst = inbound and "server" or "client"

  local id, command = tvb(0, 2):le_uint(), tvb(2, 2):le_uint()
  local size, flags = tvb(4, 4):le_uint(), tvb(8, 4):le_uint()
  local errno = tvb(12, 4):le_uint()
  local is_reply, failed = flags % 16 == REPLY, has(flags, 0x20)
  local name = COMMANDS[command] or ("command " .. command)

  local tree = root:add(vfio_user, tvb(), "vfio-user " .. (is_reply and "reply " or "command ") .. name)
  tree:add_le(f_id, tvb(0, 2))
  local command_line = tree:add_le(f_command, tvb(2, 2))
  local size_line = tree:add_le(f_size, tvb(4, 4))
  local flags_line = tree:add_le(f_flags, tvb(8, 4))
  flags_line:add_le(f_type, tvb(8, 4))
  flags_line:add_le(f_no_reply, tvb(8, 4))
  flags_line:add_le(f_error_flag, tvb(8, 4))
  local error_line = tree:add_le(f_error, tvb(12, 4))
  if size ~= tvb:reported_len() then
    size_line:add_proto_expert_info(e_size)
  end

  local info = string.format("%s %s, ID 0x%04x", is_reply and "Reply" or "Command", name, id)
  if is_reply and failed then
    info = info .. ", error " .. (ERRNO[errno] or errno)
    error_line:add_proto_expert_info(e_failed)
  end
  pinfo.cols.info = info

  if not pinfo.visited then
    match(pinfo, id, command, is_reply, not has(flags, 0x10))
  end
  local sent = command_of[pinfo.number]
  if sent then
    tree:add(f_response_to, sent.number):set_generated()
    -- In whole nanoseconds: the times are fractions that lie close to them.
    local ns = math.floor((pinfo.rel_ts - sent.time) * 1e9 + 0.5)
    tree:add(f_time, NSTime.new(math.floor(ns / 1e9), ns % 1e9)):set_generated()
  end
  local answered = reply_of[pinfo.number]
  if answered then
    tree:add(f_response_in, answered):set_generated()
  end

  local body = { tvb = tvb, tree = tree, last = math.min(length, math.max(size, HEADER_SIZE)) }
  local known = BODIES[command]
  if not known then
    command_line:add_proto_expert_info(e_unknown)
    data(body, HEADER_SIZE, body.last - HEADER_SIZE)
  elseif not (is_reply and failed) then
    known[is_reply and 2 or 1](body, HEADER_SIZE)
  end
  return length
end

DissectorTable.get("wtap_encap"):add((wtap_encaps or wtap).USER0, vfio_user)
