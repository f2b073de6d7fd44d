import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { commandName } from "./message_fields.ts";
import { formatLine, parseLine } from "./message_line.ts";
import { type Frame, MessageLog } from "./message_log.ts";
import { exampleFrames } from "./example_frames_test.ts";

function frame(
  id: number,
  command: number,
  flags: number,
  body: readonly number[] = [],
  error = 0,
): Uint8Array {
  const bytes = new Uint8Array(16 + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, id, true);
  view.setUint16(2, command, true);
  view.setUint32(4, bytes.length, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, error, true);
  bytes.set(body, 16);
  return bytes;
}

function line(direction: ">" | "<", timeNs: number, bytes: Uint8Array): Frame {
  return { direction, timeNs, bytes };
}

Deno.test("MessageLog.format() writes UX.md's two lines", () => {
  const log = new MessageLog();
  const map = [
    ...[32, 0, 0, 0, 3, 0, 0, 0],
    ...[0, 0, 0, 0, 0, 0, 0, 0],
    ...[0, 0, 0x10, 0, 0, 0, 0, 0],
    ...[0, 0x10, 0, 0, 0, 0, 0, 0],
  ];
  assertEquals(
    log.format(line(">", 4_213_000, frame(7, 2, 0, map))),
    "0.004213 > 0007 DMA_MAP len 48 addr 0x100000 size 0x1000 flags rw",
  );
  assertEquals(
    log.format(line("<", 4_391_000, frame(7, 2, 1))),
    "0.004391 < 0007 DMA_MAP ok 178us",
  );
  assertEquals(
    log.format(line("<", 4_400_000, frame(8, 3, 0x21, [], 2))),
    "0.004400 < 0008 DMA_UNMAP errno ENOENT",
  );
});

Deno.test("MessageLog.format() shows each command's own fields", () => {
  const log = new MessageLog();
  const lines = exampleFrames().map((example) => log.format(example));
  assertEquals(lines, [
    '0.000001 > 0000 VERSION len 55 major 0 minor 1 json {"capabilities":{"max_msg_fds":8}}',
    '0.000011 < 0000 VERSION ok 10us len 55 major 0 minor 1 json {"capabilities":{"max_msg_fds":8}}',
    "0.000021 > 0001 DMA_MAP len 48 addr 0x100000 size 0x200000 flags rw offset 0x40000 fds 1",
    "0.000031 < 0001 DMA_MAP ok 10us",
    "0.000041 > 0002 DEVICE_GET_INFO len 32",
    "0.000051 < 0002 DEVICE_GET_INFO ok 10us len 32 flags reset|pci regions 9 irqs 5",
    "0.000061 > 0003 DEVICE_GET_REGION_INFO len 48 region bar0 argsz 64",
    "0.000071 < 0003 DEVICE_GET_REGION_INFO ok 10us len 80 region bar0 size 0x4000 offset 0x1000 " +
    "flags read|write|mmap|caps argsz 64 areas 0x2000+0x1000 fds 1",
    "0.000081 > 0004 DEVICE_GET_REGION_IO_FDS len 32 region bar0 argsz 4096",
    "0.000091 < 0004 DEVICE_GET_REGION_IO_FDS ok 10us len 72 region bar0 argsz 56 count 1 " +
    "list ioeventfd:0x20+0x4 fds 1",
    "0.000101 > 0005 DEVICE_GET_IRQ_INFO len 32 irq msix",
    "0.000111 < 0005 DEVICE_GET_IRQ_INFO ok 10us len 32 irq msix count 4 flags eventfd|noresize",
    "0.000121 > 0006 DEVICE_SET_IRQS len 36 irq msix flags eventfd|trigger start 1 count 2 fds 2",
    "0.000131 < 0006 DEVICE_SET_IRQS ok 10us",
    "0.000141 > 0007 REGION_READ len 32 region config offset 0x10 count 4",
    "0.000151 < 0007 REGION_READ ok 10us len 36 region config offset 0x10 count 4 data 0000febf",
    "0.000161 > 0008 REGION_WRITE len 36 reply no region bar0 offset 0x98 count 4 data 01000000",
    "0.000171 < 0009 DMA_READ len 32 addr 0x101000 count 32",
    "0.000181 > 0009 DMA_READ ok 10us len 64 addr 0x101000 count 32 " +
    "data 000102030405060708090a0b0c0d0e0f..",
    "0.000191 < 000a DMA_WRITE len 36 addr 0x102000 count 4 data deadbeef",
    "0.000201 > 000a DMA_WRITE ok 10us len 32 addr 0x102000 count 4",
    "0.000211 > 000b REGION_WRITE_MULTI len 72 writes 2 list bar0:0x20=01,bar2:0x24=02000000",
    "0.000221 < 000b REGION_WRITE_MULTI ok 10us len 24 writes 2",
    "0.000231 > 000c DEVICE_FEATURE len 32 feature mig_device_state method set state stop_copy",
    "0.000241 < 000c DEVICE_FEATURE ok 10us len 32 feature mig_device_state method set state stop_copy",
    "0.000251 > 000d MIG_DATA_READ len 24 size 4",
    "0.000261 < 000d MIG_DATA_READ ok 10us len 28 size 4 data cafef00d",
    "0.000271 > 000e MIG_DATA_WRITE len 28 size 4 data cafef00d",
    "0.000281 < 000e MIG_DATA_WRITE errno EINVAL 10us",
    "0.000291 > 000f DMA_UNMAP len 56 addr 0x100000 size 0x200000 flags get_dirty_bitmap " +
    "pgsize 4096 bitmap 64",
    "0.000301 < 000f DMA_UNMAP ok 10us len 120 addr 0x100000 size 0x200000 flags get_dirty_bitmap " +
    "pgsize 4096 bitmap 64 data 01000000000000000000000000000000..",
    "0.000311 > 0010 DEVICE_RESET len 16",
    "0.000321 < 0010 DEVICE_RESET ok 10us",
    "0.000331 > 0011 DEVICE_FEATURE len 56 feature dma_logging_start method set pgsize 4096 ranges 1 " +
    "list 0x0+0x100000000",
    "0.000341 < 0011 DEVICE_FEATURE errno 4095 10us",
    "0.000351 > 0012 IOMMUFD_ALLOC_IOAS len 32 flags 0 out_ioas_id 0",
    "0.000361 > 0013 COMMAND_14 len 20 data 01020304",
    "0.000371 > 0014 REGION_READ len 24 offset 0xffffffffffffffff malformed short",
  ]);
});

const u32 = (value: number): number[] => [0, 8, 16, 24].map((bits) => value >>> bits & 0xff);
const u64 = (value: number): number[] => [...u32(value), 0, 0, 0, 0];
/** Region 0, offset 0x98, 4 bytes. */
const ECHO = [...u64(0x98), ...u32(0), ...u32(4)];
const SUB_REGION = [...u64(0x20), ...u64(4), ...u32(0), ...u32(1), ...u64(0), ...u64(0)];

/** Replies: name, command, body, and the rest of the line. */
const REPLIES: readonly (readonly [string, number, readonly number[], string])[] = [
  ["REGION_WRITE", 10, ECHO, " len 32 region bar0 offset 0x98 count 4"],
  ["DMA_WRITE", 12, [...u64(0x1000), ...u64(64)], " len 32 addr 0x1000 count 64"],
  [
    "DEVICE_GET_REGION_IO_FDS",
    6,
    [...u32(56), ...u32(0), ...u32(2), ...u32(1), ...SUB_REGION],
    " len 72 region bar2 argsz 56 count 1 list ioregionfd:0x20+0x4",
  ],
  // No room for the entries, and a size that no entry has.
  [
    "DEVICE_GET_REGION_IO_FDS",
    6,
    [...u32(56), ...u32(0), ...u32(2), ...u32(1)],
    " len 32 region bar2 argsz 56 count 1",
  ],
  [
    "DEVICE_GET_REGION_IO_FDS",
    6,
    [...u32(0), ...u32(0), ...u32(2), ...u32(0xffff_ffff), ...SUB_REGION],
    " len 72 region bar2 argsz 0 count 4294967295 list ioregionfd:0x20+0x4 malformed short",
  ],
  // Replies that have no body by the specification, of peers that send one.
  ["DMA_MAP", 2, [], ""],
  [
    "DMA_MAP",
    2,
    [...u32(32), ...u32(3), ...u64(0), ...u64(0x10_0000), ...u64(0x1000)],
    " len 48 addr 0x100000 size 0x1000 flags rw",
  ],
  ["DEVICE_SET_IRQS", 8, [], ""],
  [
    "DEVICE_SET_IRQS",
    8,
    [...u32(20), ...u32(0x24), ...u32(2), ...u32(0), ...u32(1)],
    " len 36 irq msix flags eventfd|trigger start 0 count 1",
  ],
  ["MIG_DATA_WRITE", 18, [], ""],
  ["MIG_DATA_WRITE", 18, [...u32(8), ...u32(4)], " len 24 size 4"],
  ["DMA_PAGE_REQUEST", 100, [], ""],
  [
    "DMA_PAGE_REQUEST",
    100,
    [...u64(0x5000), ...u64(1), ...u32(1), ...u32(7)],
    " len 40 address 0x5000 count 0x1 flags r pasid 7",
  ],
];

Deno.test("MessageLog.format() shows what a reply carries, for each command", () => {
  for (const [name, command, body, rest] of REPLIES) {
    const text = new MessageLog().format(line("<", 0, frame(1, command, 1, body)));
    assertEquals(text, `0.000000 < 0001 ${name} ok${rest}`);
    assertEquals(formatLine(parseLine(text)!), text);
  }
});

Deno.test("parseLine() reads what MessageLog.format() wrote, and formatLine() gives it back", () => {
  const log = new MessageLog();
  for (const example of exampleFrames()) {
    const made = log.line(example);
    const text = formatLine(made);
    assertEquals(parseLine(text), made);
  }
});

Deno.test("any bytes make one line that parses back", () => {
  const command = fc.oneof(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 0xffff }));
  const log = new MessageLog();
  fc.assert(
    fc.property(
      command,
      fc.integer({ min: 0, max: 0xffff }),
      fc.constantFrom(0, 0, 0, 1, 1, 0x10, 0x21, 0xf),
      fc.uint8Array({ maxLength: 96 }),
      fc.nat(0xffff_ffff),
      fc.nat(2 ** 40),
      (command, id, flags, body, error, timeNs) => {
        const bytes = frame(id, command, flags, [...body], error);
        const made = log.line(line(">", timeNs, bytes));
        const text = formatLine(made);
        assertEquals(/^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(text), true, text);
        assertEquals(parseLine(text), made);
      },
    ),
    { numRuns: 1000 },
  );
});

Deno.test("version JSON cannot break the line", () => {
  const json = new TextEncoder().encode('{ "a b\\n" : "c d\\u2028\u2029é" }\0');
  const text = new MessageLog().format(line(">", 0, frame(1, 1, 0, [0, 0, 0, 0, ...json])));
  const found = parseLine(text)?.fields.find(([name]) => name === "json")?.[1] ?? "";
  assertEquals(JSON.parse(found), { "a b\n": "c d\u2028\u2029é" });
  assertEquals(/^[\x20-\x7e]+$/.test(text), true);
  const broken = new MessageLog().format(line(">", 0, frame(1, 1, 0, [0, 0, 0, 0, 0x7b, 0])));
  assertEquals(broken.endsWith("json invalid"), true);
});

Deno.test("parseLine() is null for other text", () => {
  for (
    const text of [
      "",
      "hello",
      "0.004213 > 0007 DMA_MAP len",
      "0.004213 > 0007 DMA_MAP 12us",
      "0.004213 = 0007 DMA_MAP len 48",
      "0.4213 > 0007 DMA_MAP len 48",
      "0.004213 > 0007 DMA_MAP len  48",
      "0.004213 > 0007 DMA_MAP len 48 ",
      "0.004213 > 7 DMA_MAP len 48",
      "0.004213 > 0007 DMA_MAPx len 48",
    ]
  ) {
    assertEquals(parseLine(text), null, text);
  }
});

Deno.test("MessageLog matches by direction, ID and command, oldest first", () => {
  const log = new MessageLog();
  const reply = (direction: ">" | "<", timeNs: number, command: number): number | null =>
    log.line(line(direction, timeNs, frame(5, command, 1))).latencyUs;
  log.line(line(">", 1000, frame(5, 9, 0)));
  log.line(line(">", 3000, frame(5, 9, 0)));
  log.line(line("<", 4000, frame(5, 11, 0)));
  assertEquals(reply("<", 9000, 9), 8);
  assertEquals(reply("<", 9000, 9), 6);
  assertEquals(reply("<", 9000, 9), null);
  assertEquals(reply("<", 9000, 11), null);
  assertEquals(reply(">", 9000, 11), 5);
  assertEquals(log.waiting, 0);
});

Deno.test("MessageLog forgets the oldest of more commands than it keeps, and no_reply at once", () => {
  const log = new MessageLog();
  log.line(line(">", 0, frame(1, 10, 0x10)));
  assertEquals(log.waiting, 0);
  for (let id = 0; id < 10_000; id++) log.line(line(">", id, frame(id, 9, 0)));
  assertEquals(log.waiting, 4096);
  assertEquals(log.line(line("<", 20_000, frame(0, 9, 1))).latencyUs, null);
  assertEquals(log.line(line("<", 20_000, frame(9_999, 9, 1))).latencyUs, 10);
  for (let count = 0; count < 10_000; count++) log.line(line(">", count, frame(1, 13, 0)));
  assertEquals(log.waiting, 4096);
});

Deno.test("commandName() drops the prefix", () => {
  assertEquals([2, 26, 100, 14].map(commandName), [
    "DMA_MAP",
    "IOMMUFD_DETACH_PT",
    "DMA_PAGE_REQUEST",
    "COMMAND_14",
  ]);
});

Deno.test("MessageLog notes a frame that is not as long as it says", () => {
  const bytes = frame(3, 13, 0);
  new DataView(bytes.buffer).setUint32(4, 0xffff_fff0, true);
  const text = new MessageLog().format(line(">", 0, bytes));
  assertEquals(text, "0.000000 > 0003 DEVICE_RESET len 4294967280 got 16");
  assert(new MessageLog().format(line(">", 0, bytes.subarray(0, 7))).includes("malformed short"));
});
