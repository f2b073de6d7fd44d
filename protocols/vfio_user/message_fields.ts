/**
 * The fields of a message as words for people: `addr 0x100000`, `flags rw`. Unlike the codecs this
 * reads whatever is there, malformed or not, since such messages are the ones worth logging.
 * @module
 */

import type { Layout } from "../../core/layout.ts";
import { type Bits, bitWords, Body, type Field } from "./body_fields.ts";
import * as extension from "./extension_spec.ts";
import * as spec from "./spec.ts";
import * as vfio from "./vfio_spec.ts";

const COMMANDS = { ...spec.VfioUserCommand, ...extension.VfioUserExtensionCommand };
const COMMAND_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(COMMANDS).map(([name, number]) => [number, name.replace("VFIO_USER_", "")]),
);

/** `DMA_MAP` for 2: the specification's name without its prefix; `COMMAND_14` for what it does not name. */
export function commandName(command: number): string {
  return COMMAND_NAMES.get(command) ?? `COMMAND_${command}`;
}

/** `VFIO_IRQ_SET_DATA_NONE` becomes `none`: the words of a table after what all names share. */
function words(table: Readonly<Record<string, number>>, prefix: RegExp): Bits {
  return Object.fromEntries(
    Object.entries(table).map(([name, value]) => [value, name.replace(prefix, "").toLowerCase()]),
  );
}

const ACCESS: Bits = { 1: "r", 2: "w" };
const UNMAP = words(spec.VfioDmaUnmapFlags, /^VFIO_DMA_UNMAP_FLAG_/);
const DEVICE = words(vfio.VfioDeviceFlags, /^VFIO_DEVICE_FLAGS_/);
const REGION = words(vfio.VfioRegionInfoFlags, /^VFIO_REGION_INFO_FLAG_/);
const IRQ_INFO = words(vfio.VfioIrqInfoFlags, /^VFIO_IRQ_INFO_/);
const IRQ_SET = words(vfio.VfioIrqSetFlags, /^VFIO_IRQ_SET_(DATA|ACTION)_/);
const IRQ = words(vfio.VfioPciIrq, /^VFIO_PCI_|_IRQ_INDEX$/g);
const REGION_INDEX = words(vfio.VfioPciRegion, /^VFIO_PCI_|_REGION_INDEX$/g);
const IO_FD_TYPE = words(spec.VfioUserIoFdType, /^VFIO_USER_IO_FD_TYPE_/);
const FEATURE = words(vfio.VfioDeviceFeature, /^VFIO_DEVICE_FEATURE_/);
const METHOD = words(vfio.VfioDeviceFeatureFlags, /^VFIO_DEVICE_FEATURE_/);
const MIGRATION = words(vfio.VfioMigrationFlags, /^VFIO_MIGRATION_/);
const STATE = words(vfio.VfioDeviceMigState, /^VFIO_DEVICE_STATE_/);
const IOAS_MAP = words(extension.IommufdIoasMapFlags, /^$/);

type Describe = (body: Body) => void;

const nothing: Describe = () => {};

/** For a body that may be left out: nothing of none, and of any other what `describe` says. */
function ifAny(describe: Describe): Describe {
  return (body) => {
    if (body.length > 0) describe(body);
  };
}

const MAP_AT = spec.VFIO_USER_DMA_MAP_BODY.at;
const UNMAP_AT = spec.VFIO_USER_DMA_UNMAP_BODY.at;
const BITMAP_AT = spec.VFIO_USER_DMA_UNMAP_BODY.size;
const UNMAP_DIRTY = spec.VfioDmaUnmapFlags.VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;

function unmap(isReply: boolean): Describe {
  return (body) => {
    body.hex("addr", UNMAP_AT.address);
    body.hex("size", UNMAP_AT.size);
    if (body.value(UNMAP_AT.flags, 4) === 0n) return;
    body.bits("flags", UNMAP_AT.flags, UNMAP);
    if ((body.number(UNMAP_AT.flags) & UNMAP_DIRTY) === 0) return;
    body.decimal("pgsize", BITMAP_AT + spec.VFIO_USER_BITMAP.at.pgsize, 8);
    body.decimal("bitmap", BITMAP_AT + spec.VFIO_USER_BITMAP.at.size, 8);
    if (isReply) {
      const count = body.number(BITMAP_AT + spec.VFIO_USER_BITMAP.at.size, 8);
      body.data(BITMAP_AT + spec.VFIO_USER_BITMAP.size, count);
    }
  };
}

const version: Describe = (body) => {
  body.decimal("major", spec.VFIO_USER_VERSION_BODY.at.major, 2);
  body.decimal("minor", spec.VFIO_USER_VERSION_BODY.at.minor, 2);
  body.json(spec.VFIO_USER_VERSION_BODY.size);
};

const dmaMap: Describe = (body) => {
  body.hex("addr", MAP_AT.address);
  body.hex("size", MAP_AT.size);
  body.bits("flags", MAP_AT.flags, ACCESS, 4, "");
  body.hexUnlessZero("offset", MAP_AT.offset);
};

const deviceInfo: Describe = (body) => {
  body.bits("flags", vfio.VFIO_DEVICE_INFO.at.flags, DEVICE);
  body.decimal("regions", vfio.VFIO_DEVICE_INFO.at.num_regions);
  body.decimal("irqs", vfio.VFIO_DEVICE_INFO.at.num_irqs);
};

const regionInfo: Describe = (body) => {
  const at = vfio.VFIO_REGION_INFO.at;
  body.word("region", at.index, REGION_INDEX);
  body.hex("size", at.size);
  body.hexUnlessZero("offset", at.offset);
  body.bits("flags", at.flags, REGION);
  body.decimal("argsz", at.argsz);
  const cap = body.number(at.cap_offset);
  const header = vfio.VFIO_INFO_CAP_HEADER;
  const { VFIO_REGION_INFO_CAP_SPARSE_MMAP } = vfio.VfioRegionInfoCap;
  if (cap === 0 || body.number(cap + header.at.id, 2) !== VFIO_REGION_INFO_CAP_SPARSE_MMAP) return;
  const areas = cap + header.size + vfio.VFIO_REGION_SPARSE_MMAP.size;
  const count = body.number(cap + header.size + vfio.VFIO_REGION_SPARSE_MMAP.at.nr_areas);
  const size = vfio.VFIO_REGION_SPARSE_MMAP_AREA.size;
  body.list("areas", areas, count, size, (area) => body.range(area));
};

const irqSet: Describe = (body) => {
  const at = vfio.VFIO_IRQ_SET.at;
  body.word("irq", at.index, IRQ);
  body.bits("flags", at.flags, IRQ_SET);
  body.decimal("start", at.start);
  body.decimal("count", at.count);
  if ((body.number(at.flags) & vfio.VfioIrqSetFlags.VFIO_IRQ_SET_DATA_BOOL) !== 0) {
    body.data(vfio.VFIO_IRQ_SET.size, body.number(at.count));
  }
};

function regionAccess(data: "data" | "no-data"): Describe {
  const at = spec.VFIO_USER_REGION_ACCESS.at;
  return (body) => {
    body.word("region", at.region, REGION_INDEX);
    body.hex("offset", at.offset);
    body.decimal("count", at.count);
    if (data === "data") body.data(spec.VFIO_USER_REGION_ACCESS.size, body.number(at.count));
  };
}

function dmaAccess(data: "data" | "no-data"): Describe {
  const at = spec.VFIO_USER_DMA_ACCESS.at;
  return (body) => {
    body.hex("addr", at.address);
    body.decimal("count", at.count, 8);
    if (data === "data") {
      body.data(spec.VFIO_USER_DMA_ACCESS.size, body.number(at.count, 8));
    }
  };
}

const writeMulti: Describe = (body) => {
  const entry = spec.VFIO_USER_WRITE_MULTI_ENTRY;
  body.decimal("writes", 0, 8);
  body.list("list", spec.VFIO_USER_WRITE_MULTI_BODY.size, body.number(0, 8), entry.size, (at) => {
    const count = Math.min(8, body.number(at + entry.at.count));
    const region = body.number(at + entry.at.region);
    const offset = body.value(at + entry.at.offset, 8) ?? 0n;
    return `${REGION_INDEX[region] ?? region}:0x${offset.toString(16)}=${
      body.hexBytes(at + entry.at.data, count)
    }`;
  });
};

function feature(isReply: boolean): Describe {
  const FLAGS = vfio.VFIO_DEVICE_FEATURE_BODY.at.flags;
  const DATA = vfio.VFIO_DEVICE_FEATURE_BODY.size;
  const { VFIO_DEVICE_FEATURE_SET: SET, VFIO_DEVICE_FEATURE_GET: GET } =
    vfio.VfioDeviceFeatureFlags;
  const PROBE = vfio.VfioDeviceFeatureFlags.VFIO_DEVICE_FEATURE_PROBE;
  return (body) => {
    const flags = body.value(FLAGS, 4);
    if (flags === null) return;
    const index = Number(flags) & vfio.VFIO_DEVICE_FEATURE_MASK;
    body.put("feature", FEATURE[index] ?? String(index));
    body.put("method", bitWords(flags & ~BigInt(vfio.VFIO_DEVICE_FEATURE_MASK), METHOD, "|"));
    const methods = Number(flags);
    if ((methods & PROBE) !== 0) return;
    const filled = isReply || (methods & SET) !== 0;
    const { VfioDeviceFeature: known } = vfio;
    switch (index) {
      case known.VFIO_DEVICE_FEATURE_MIGRATION:
        if (filled) body.bits("flags", DATA, MIGRATION, 8);
        break;
      case known.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE:
        if (filled) body.word("state", DATA, STATE);
        break;
      case known.VFIO_DEVICE_FEATURE_DMA_LOGGING_START: {
        if (!filled) break;
        const control = vfio.VFIO_DEVICE_FEATURE_DMA_LOGGING_CONTROL;
        body.decimal("pgsize", DATA + control.at.page_size, 8);
        body.decimal("ranges", DATA + control.at.num_ranges);
        body.list(
          "list",
          DATA + control.size,
          body.number(DATA + control.at.num_ranges),
          vfio.VFIO_DEVICE_FEATURE_DMA_LOGGING_RANGE.size,
          (at) => body.range(at),
        );
        break;
      }
      case known.VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT: {
        if ((methods & GET) === 0) break;
        const report = vfio.VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT_DATA;
        body.hex("addr", DATA + report.at.iova);
        body.hex("size", DATA + report.at.length);
        body.decimal("pgsize", DATA + report.at.page_size, 8);
        if (isReply) body.data(DATA + report.size, body.length - DATA - report.size);
      }
    }
  };
}

function migrationData(data: "data" | "no-data"): Describe {
  return (body) => {
    const at = spec.VFIO_USER_MIG_DATA.at.size;
    body.decimal("size", at);
    if (data === "data") body.data(spec.VFIO_USER_MIG_DATA.size, body.number(at));
  };
}

/** All fields of a structure but the ones that say nothing, in the order of their bytes. */
function structure<F extends string>(layout: Layout<F>, flags: Bits): Describe {
  const names = (Object.keys(layout.at) as F[]).sort((a, b) => layout.at[a] - layout.at[b]);
  return (body) => {
    names.forEach((name, index) => {
      if (name === "argsz" || name === "reserved") return;
      const next = names[index + 1];
      const at = layout.at[name];
      const width = (next === undefined ? layout.size : layout.at[next]) - at;
      if (name === "flags") body.bits(name, at, flags);
      else if (width === 8) body.hex(name, at);
      else body.decimal(name, at);
    });
  };
}

function index(layout: Layout<"index">, name: string, names: Bits): Describe {
  return (body) => body.word(name, layout.at.index, names);
}

function indexAndRoom(layout: Layout<"index" | "argsz">): Describe {
  return (body) => {
    body.word("region", layout.at.index, REGION_INDEX);
    body.decimal("argsz", layout.at.argsz);
  };
}

const ioFds: Describe = (body) => {
  indexAndRoom(spec.VFIO_USER_REGION_IO_FDS)(body);
  const { at, size: fixed } = spec.VFIO_USER_REGION_IO_FDS;
  body.decimal("count", at.count);
  const count = body.number(at.count);
  // Without room for its entries a reply has their number alone.
  if (count === 0 || body.length <= fixed) return;
  // All entries are 40 bytes long, or all 48.
  const each = Math.floor((body.number(at.argsz) - fixed) / count);
  body.list("list", fixed, count, Math.max(each, spec.VFIO_USER_IO_FD.size), (entry) => {
    const type = body.number(entry + spec.VFIO_USER_IO_FD.at.type);
    return `${IO_FD_TYPE[type] ?? type}:${body.range(entry)}`;
  });
};

const irqInfo: Describe = (body) => {
  body.word("irq", vfio.VFIO_IRQ_INFO.at.index, IRQ);
  body.decimal("count", vfio.VFIO_IRQ_INFO.at.count);
  body.bits("flags", vfio.VFIO_IRQ_INFO.at.flags, IRQ_INFO);
};

function both(describe: Describe): readonly [Describe, Describe] {
  return [describe, describe];
}

/** Request and reply of each command. A reply has no body where it is `nothing` or `ifAny`, as specified. */
const DESCRIBE: Readonly<Record<number, readonly [Describe, Describe]>> = {
  [COMMANDS.VFIO_USER_VERSION]: [version, version],
  [COMMANDS.VFIO_USER_DMA_MAP]: [dmaMap, ifAny(dmaMap)],
  [COMMANDS.VFIO_USER_DMA_UNMAP]: [unmap(false), unmap(true)],
  [COMMANDS.VFIO_USER_DEVICE_GET_INFO]: [nothing, deviceInfo],
  [COMMANDS.VFIO_USER_DEVICE_GET_REGION_INFO]: [indexAndRoom(vfio.VFIO_REGION_INFO), regionInfo],
  [COMMANDS.VFIO_USER_DEVICE_GET_REGION_IO_FDS]: [
    indexAndRoom(spec.VFIO_USER_REGION_IO_FDS),
    ioFds,
  ],
  [COMMANDS.VFIO_USER_DEVICE_GET_IRQ_INFO]: [index(vfio.VFIO_IRQ_INFO, "irq", IRQ), irqInfo],
  [COMMANDS.VFIO_USER_DEVICE_SET_IRQS]: [irqSet, ifAny(irqSet)],
  [COMMANDS.VFIO_USER_REGION_READ]: [regionAccess("no-data"), regionAccess("data")],
  [COMMANDS.VFIO_USER_REGION_WRITE]: [regionAccess("data"), regionAccess("no-data")],
  [COMMANDS.VFIO_USER_DMA_READ]: [dmaAccess("no-data"), dmaAccess("data")],
  [COMMANDS.VFIO_USER_DMA_WRITE]: [dmaAccess("data"), dmaAccess("no-data")],
  [COMMANDS.VFIO_USER_DEVICE_RESET]: [nothing, nothing],
  [COMMANDS.VFIO_USER_REGION_WRITE_MULTI]: [writeMulti, (body) => body.decimal("writes", 0, 8)],
  [COMMANDS.VFIO_USER_DEVICE_FEATURE]: [feature(false), feature(true)],
  [COMMANDS.VFIO_USER_MIG_DATA_READ]: [migrationData("no-data"), migrationData("data")],
  [COMMANDS.VFIO_USER_MIG_DATA_WRITE]: [migrationData("data"), ifAny(migrationData("no-data"))],
  [COMMANDS.VFIO_USER_IOMMUFD_ALLOC_IOAS]: both(structure(extension.IOMMUFD_ALLOC_IOAS, {})),
  [COMMANDS.VFIO_USER_IOMMUFD_DESTROY_IOAS]: both(structure(extension.IOMMUFD_DESTROY_IOAS, {})),
  [COMMANDS.VFIO_USER_IOMMUFD_IOAS_MAP]: both(structure(extension.IOMMUFD_IOAS_MAP, IOAS_MAP)),
  [COMMANDS.VFIO_USER_IOMMUFD_IOAS_UNMAP]: both(structure(extension.IOMMUFD_IOAS_UNMAP, {})),
  [COMMANDS.VFIO_USER_IOMMUFD_IOAS_COPY]: both(structure(extension.IOMMUFD_IOAS_COPY, {})),
  [COMMANDS.VFIO_USER_IOMMUFD_BIND]: both(structure(extension.IOMMUFD_BIND, {})),
  [COMMANDS.VFIO_USER_IOMMUFD_ATTACH_PT]: both(structure(extension.IOMMUFD_ATTACH_PT, {})),
  [COMMANDS.VFIO_USER_IOMMUFD_DETACH_PT]: both(structure(extension.IOMMUFD_DETACH_PT, {})),
  [COMMANDS.VFIO_USER_DMA_PAGE_REQUEST]: [
    structure(extension.VFIO_USER_PAGE_REQUEST, ACCESS),
    ifAny(structure(extension.VFIO_USER_PAGE_REQUEST, ACCESS)),
  ],
};

/** Whether a message is a command or the reply to one. */
export type MessageKind = "command" | "reply";

/**
 * The fields of the body of `length` bytes at `at`, for the log: those that say something. Ends with
 * `malformed short` when the body is shorter than its command needs. Never throws.
 */
export function describeBody(
  command: number,
  kind: MessageKind,
  view: DataView,
  at: number,
  length: number,
): readonly Field[] {
  const body = new Body(view, at, length);
  const describe = DESCRIBE[command];
  if (describe === undefined) body.data(0, length);
  else describe[kind === "command" ? 0 : 1](body);
  return body.finish();
}
