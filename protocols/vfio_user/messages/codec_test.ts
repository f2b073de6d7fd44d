import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { BodyCodec } from "./codec.ts";
import { EMPTY_REPLY, EMPTY_REQUEST } from "./codec.ts";
import { DEVICE_GET_INFO, DEVICE_RESET } from "./device.ts";
import { DMA_READ, DMA_WRITE } from "./dma_access.ts";
import { DMA_MAP, DMA_UNMAP } from "./dma_map.ts";
import {
  DEVICE_FEATURE,
  FEATURE_DMA_LOGGING_REPORT,
  FEATURE_DMA_LOGGING_REPORT_REPLY,
  FEATURE_DMA_LOGGING_START,
  FEATURE_MIG_STATE,
  FEATURE_MIGRATION,
} from "./feature.ts";
import * as iommufd from "./iommufd.ts";
import { DEVICE_GET_IRQ_INFO, DEVICE_SET_IRQS } from "./irqs.ts";
import { MIG_DATA_READ, MIG_DATA_WRITE } from "./migration_data.ts";
import { REGION_READ, REGION_WRITE, REGION_WRITE_MULTI } from "./region_access.ts";
import { DEVICE_GET_REGION_INFO, regionInfoSize } from "./region_info.ts";
import { DEVICE_GET_REGION_IO_FDS, regionIoFdsSize } from "./region_io_fds.ts";
import { VERSION } from "./version.ts";
import { addressRange, setRange } from "../wide.ts";

/** Any place in a view: nothing may depend on alignment or on starting at 0. */
const AT = 5;
const SPARE = 0xa5;

const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.oneof(fc.maxSafeNat(), fc.nat(0xffff), fc.constant(Number.MAX_SAFE_INTEGER));
const size = fc.integer({ min: 1, max: 2 ** 51 });
const address = fc.integer({ min: 0, max: 2 ** 51 });
const small = fc.nat(40);
const power = fc.integer({ min: 0, max: 51 }).map((bits) => 2 ** bits);
const range = fc.tuple(address, size).map(([start, length]) =>
  setRange(addressRange(), start, length)
);

/** One body and what it is tried with. */
interface Case {
  readonly name: string;
  /** Encodes a value, decodes it, and gives both, and the body's length, for comparison. */
  run(view: DataView, seed: fc.Arbitrary<unknown>): void;
  readonly arbitrary: fc.Arbitrary<unknown>;
  /** Result of decoding the first `length` bytes of what was encoded. */
  truncated(value: unknown, view: DataView, length: number): number;
  /** Bytes that the body needs; those after it may be cut. */
  encode(value: unknown, view: DataView): number;
  decodeAny(view: DataView, length: number): number;
}

function of<T>(
  name: string,
  codec: BodyCodec<T>,
  arbitrary: fc.Arbitrary<Partial<T>>,
): Case {
  const full = arbitrary.map((part): T => ({ ...codec.create(), ...part }));
  const normal = (value: T): T =>
    "dataAt" in (value as object) ? { ...value, dataAt: 0 } : { ...value };
  return {
    name,
    arbitrary: full,
    run(view, seed) {
      fc.assert(fc.property(seed as fc.Arbitrary<T>, (value) => {
        new Uint8Array(view.buffer).fill(SPARE);
        const length = codec.encode(view, AT, value);
        assert(length >= codec.size);
        assertEquals(view.getUint8(AT - 1), SPARE);
        assertEquals(view.getUint8(AT + length), SPARE);
        const decoded = codec.create();
        assertEquals(codec.decode(view, AT, length, decoded), 0);
        assertEquals(normal(decoded), normal(value));
      }));
    },
    truncated: (_value, view, length) => codec.decode(view, AT, length, codec.create()),
    encode(value, view) {
      new Uint8Array(view.buffer).fill(SPARE);
      return codec.encode(view, AT, value as T);
    },
    decodeAny: (view, length) => codec.decode(view, AT, length, codec.create()),
  };
}

const area = fc.record({ offset: small, size: small });
const regionInfo = fc.record({
  flags: fc.nat(7),
  index: u32,
  size: fc.integer({ min: 80, max: 2 ** 52 }),
  offset: u64,
  sparse: fc.option(fc.array(area, { maxLength: 5 })),
  type: fc.option(fc.record({ type: u32, subtype: u32 })),
  msixMappable: fc.boolean(),
}).map((info) => {
  const capabilities = info.sparse !== null || info.type !== null || info.msixMappable;
  return {
    ...info,
    argsz: regionInfoSize({ ...info, argsz: 0 }),
    flags: info.flags | (capabilities ? 8 : 0),
  };
});
const ioFd = fc.record({
  offset: u64,
  size: u64,
  fd_index: u32,
  type: fc.nat(2),
  flags: u32,
  datamatch: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  shadow_mem_fd_index: u32,
  shadow_offset: u64,
}).map((part) => part.type === 2 ? part : { ...part, shadow_mem_fd_index: 0, shadow_offset: 0 });
const ioFds = fc.record({ index: u32, subRegions: fc.array(ioFd, { maxLength: 5 }) })
  .map((value) => ({ ...value, argsz: regionIoFdsSize(value.subRegions), complete: true }));
const irqSet = fc.oneof(
  fc.record({ index: fc.nat(2), start: fc.nat(9), count: fc.integer({ min: 1, max: 9 }) }).chain(
    (part) =>
      fc.constantFrom(0x09, 0x0a, 0x0c, 0x11, 0x12, 0x14, 0x21, 0x22, 0x24).map((flags) => ({
        ...part,
        flags,
        argsz: 20 + ((flags & 2) !== 0 ? part.count : 0),
      })),
  ),
  fc.constant({ index: 4, start: 0, count: 0, flags: 0x21, argsz: 20 }),
);
const structure = (fields: readonly string[], argsz: number) =>
  fc.record(Object.fromEntries(fields.map((name) => [name, u32]))).map((value) => ({
    ...value,
    argsz,
  }));

const CASES: readonly Case[] = [
  of("VERSION", VERSION.request, fc.record({ major: u16, minor: u16, dataLength: small })),
  of(
    "DMA_MAP",
    DMA_MAP.request,
    fc.record({ flags: fc.integer({ min: 1, max: 3 }), offset: u64, address, size }),
  ),
  of("DMA_UNMAP", DMA_UNMAP.request, fc.record({ range })),
  of(
    "DMA_UNMAP with a bitmap",
    DMA_UNMAP.request,
    fc.record({ range, pgsize: power, bitmapSize: small })
      .map((part) => ({ ...part, flags: 1, argsz: 40 + part.bitmapSize })),
  ),
  of(
    "DMA_UNMAP reply with a bitmap",
    DMA_UNMAP.reply,
    fc.record({ range, pgsize: power, bitmapSize: small })
      .map((part) => ({ ...part, flags: 1, argsz: 40 + part.bitmapSize })),
  ),
  of("DMA_UNMAP all", DMA_UNMAP.request, fc.constant({ flags: 2 })),
  of(
    "DEVICE_GET_INFO",
    DEVICE_GET_INFO.reply,
    structure(["flags", "num_regions", "num_irqs"], 16),
  ),
  of(
    "DEVICE_GET_REGION_INFO",
    DEVICE_GET_REGION_INFO.request,
    fc.record({ argsz: fc.integer({ min: 32, max: 0xffff_ffff }), index: u32 }),
  ),
  of("DEVICE_GET_REGION_INFO reply", DEVICE_GET_REGION_INFO.reply, regionInfo),
  of(
    "DEVICE_GET_REGION_IO_FDS",
    DEVICE_GET_REGION_IO_FDS.request,
    fc.record({ argsz: fc.integer({ min: 16, max: 0x10_0000 }), index: u32 }),
  ),
  of("DEVICE_GET_REGION_IO_FDS reply", DEVICE_GET_REGION_IO_FDS.reply, ioFds),
  of("DEVICE_GET_IRQ_INFO", DEVICE_GET_IRQ_INFO.reply, structure(["flags", "index", "count"], 16)),
  of("DEVICE_SET_IRQS", DEVICE_SET_IRQS.request, irqSet),
  of(
    "REGION_READ",
    REGION_READ.request,
    fc.record({ offset: u64, region: u32, count: u32 }),
  ),
  of(
    "REGION_READ reply",
    REGION_READ.reply,
    fc.record({ offset: u64, region: u32, count: small }),
  ),
  of("REGION_WRITE", REGION_WRITE.request, fc.record({ offset: u64, region: u32, count: small })),
  of(
    "REGION_WRITE reply",
    REGION_WRITE.reply,
    fc.record({ offset: u64, region: u32, count: u32 }),
  ),
  of("DMA_READ", DMA_READ.request, fc.record({ address: u64, count: u64 })),
  of("DMA_READ reply", DMA_READ.reply, fc.record({ address: u64, count: small })),
  of("DMA_WRITE", DMA_WRITE.request, fc.record({ address: u64, count: small })),
  of(
    "DMA_WRITE reply",
    DMA_WRITE.reply,
    fc.record({ address: u64, count: u64 }),
  ),
  of("REGION_WRITE_MULTI", REGION_WRITE_MULTI.request, fc.record({ wr_cnt: fc.nat(8) })),
  of("REGION_WRITE_MULTI reply", REGION_WRITE_MULTI.reply, fc.record({ wr_cnt: u64 })),
  of(
    "DEVICE_FEATURE",
    DEVICE_FEATURE.request,
    fc.record({ dataLength: small, argsz: fc.integer({ min: 8, max: 0xffff_ffff }) })
      .chain((part) =>
        fc.tuple(u16, fc.constantFrom(1, 2, 4, 5, 6, 7)).map(([index, methods]) => ({
          ...part,
          flags: methods * 0x1_0000 + index,
        }))
      ),
  ),
  of(
    "DEVICE_FEATURE reply",
    DEVICE_FEATURE.reply,
    fc.record({ flags: u32, dataLength: small }).map((part) => ({
      ...part,
      argsz: 8 + part.dataLength,
    })),
  ),
  of("FEATURE_MIGRATION", FEATURE_MIGRATION, fc.record({ flags: u64 })),
  of("FEATURE_MIG_STATE", FEATURE_MIG_STATE, fc.record({ device_state: u32, data_fd: u32 })),
  of(
    "FEATURE_DMA_LOGGING_START",
    FEATURE_DMA_LOGGING_START,
    fc.record({ page_size: power, ranges: fc.array(range, { maxLength: 5 }) }),
  ),
  of(
    "FEATURE_DMA_LOGGING_REPORT",
    FEATURE_DMA_LOGGING_REPORT,
    fc.record({ range, page_size: power }),
  ),
  of(
    "FEATURE_DMA_LOGGING_REPORT reply",
    FEATURE_DMA_LOGGING_REPORT_REPLY,
    fc.record({
      range: fc.tuple(address, fc.integer({ min: 1, max: 200_000 })).map(([start, length]) =>
        setRange(addressRange(), start, length)
      ),
      page_size: fc.integer({ min: 12, max: 30 }).map((bits) => 2 ** bits),
    }),
  ),
  of(
    "MIG_DATA_READ",
    MIG_DATA_READ.request,
    small.map((bytes) => ({ size: bytes, argsz: 8 + bytes })),
  ),
  of(
    "MIG_DATA_READ reply",
    MIG_DATA_READ.reply,
    small.map((bytes) => ({ size: bytes, argsz: 8 + bytes })),
  ),
  of("MIG_DATA_WRITE", MIG_DATA_WRITE.request, fc.record({ size: small, argsz: u32 })),
  of(
    "IOMMUFD_ALLOC_IOAS",
    iommufd.ALLOC_IOAS.request,
    structure(["flags", "out_ioas_id", "reserved"], 16),
  ),
  of(
    "IOMMUFD_DESTROY_IOAS",
    iommufd.DESTROY_IOAS.request,
    structure(["flags", "ioas_id", "reserved"], 16),
  ),
  of(
    "IOMMUFD_IOAS_MAP",
    iommufd.IOAS_MAP.request,
    structure(["flags", "ioas_id", "reserved", "user_va", "length", "iova", "offset"], 48),
  ),
  of(
    "IOMMUFD_IOAS_UNMAP",
    iommufd.IOAS_UNMAP.request,
    structure(["flags", "ioas_id", "reserved", "iova", "length"], 32),
  ),
  of(
    "IOMMUFD_IOAS_COPY",
    iommufd.IOAS_COPY.request,
    structure(["flags", "src_ioas_id", "dst_ioas_id", "src_iova", "dst_iova", "length"], 40),
  ),
  of("IOMMUFD_BIND", iommufd.BIND.request, structure(["flags", "iommufd", "out_devid"], 16)),
  of("IOMMUFD_ATTACH_PT", iommufd.ATTACH_PT.request, structure(["flags", "pt_id", "pasid"], 16)),
  of(
    "IOMMUFD_DETACH_PT",
    iommufd.DETACH_PT.request,
    structure(["flags", "pasid", "reserved"], 16),
  ),
  of(
    "DMA_PAGE_REQUEST",
    iommufd.DMA_PAGE_REQUEST.request,
    fc.record({ address: u64, count: u64, flags: u32, pasid: u32 }),
  ),
];

/** Bodies of which a beginning is a whole body too: by definition, not by leniency. */
const PREFIX_FREE_FROM: Readonly<Record<string, (length: number, whole: number) => boolean>> = {
  // A version without JSON is whole.
  "VERSION": (length) => length !== 4,
  // Data is what the length leaves for it.
  "DEVICE_FEATURE": (length) => length < 8,
  "DEVICE_FEATURE reply": (length) => length < 8,
  // The specification's table gives the count 4 bytes.
  "DMA_WRITE reply": (length) => length !== 12,
  // The fixed part alone says how much room is needed.
  "DEVICE_GET_REGION_IO_FDS reply": (length) => length !== 16,
};

for (const entry of CASES) {
  Deno.test(`${entry.name} decodes to what was encoded`, () => {
    entry.run(new DataView(new ArrayBuffer(4096)), entry.arbitrary);
  });

  Deno.test(`${entry.name} cut at any byte is EINVAL`, () => {
    const view = new DataView(new ArrayBuffer(4096));
    const isCut = PREFIX_FREE_FROM[entry.name] ?? (() => true);
    fc.assert(
      fc.property(entry.arbitrary, (value) => {
        const length = entry.encode(value, view);
        for (let cut = 0; cut < length; cut++) {
          if (isCut(cut, length)) assertEquals(entry.truncated(value, view, cut), -22, `at ${cut}`);
        }
      }),
      { numRuns: 20 },
    );
  });

  Deno.test(`${entry.name} decodes any bytes without throwing`, () => {
    const bytes = new Uint8Array(4096);
    const view = new DataView(bytes.buffer);
    const changes = fc.array(fc.tuple(fc.nat(63), fc.nat(255)), { minLength: 1, maxLength: 3 });
    fc.assert(fc.property(entry.arbitrary, changes, (value, changed) => {
      const length = entry.encode(value, view);
      for (const [at, byte] of changed) bytes[AT + at] = byte;
      const result = entry.decodeAny(view, length);
      assert(result === 0 || result === -22);
    }));
    fc.assert(fc.property(fc.uint8Array({ maxLength: 128 }), (body) => {
      bytes.set(body, AT);
      const result = entry.decodeAny(view, body.length);
      assert(result === 0 || result === -22);
    }));
  });
}

Deno.test("spec/08 rule 4: a payload where none is defined is EINVAL, but in a reply", () => {
  const view = new DataView(new ArrayBuffer(16));
  assertEquals(EMPTY_REQUEST.decode(view, 0, 0, {}), 0);
  assertEquals(EMPTY_REQUEST.decode(view, 0, 1, {}), -22);
  assertEquals(DEVICE_RESET.request.decode(view, 0, 4, {}), -22);
  assertEquals(EMPTY_REPLY.decode(view, 0, 4, {}), 0);
});
