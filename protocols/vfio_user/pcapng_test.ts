import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { LINKTYPE_USER0, PcapngWriter, SNAP_LENGTH } from "./pcapng.ts";

/** Collects what is written, as a file does. */
class Collected {
  #parts: Uint8Array[] = [];
  write(bytes: Uint8Array): void {
    this.#parts.push(bytes.slice());
  }
  get bytes(): Uint8Array {
    const all = new Uint8Array(this.#parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
  get blocks(): number {
    return this.#parts.length;
  }
}

interface Block {
  readonly type: number;
  readonly view: DataView;
}

/** A reader by the format's rules alone: each block starts and ends with its length. */
function blocksOf(bytes: Uint8Array): Block[] {
  const all = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const blocks: Block[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = all.getUint32(at + 4, true);
    assertEquals(length % 4, 0);
    assertEquals(all.getUint32(at + length - 4, true), length);
    blocks.push({
      type: all.getUint32(at, true),
      view: new DataView(bytes.buffer, bytes.byteOffset + at + 8, length - 12),
    });
    at += length;
  }
  return blocks;
}

function optionsOf(view: DataView, at: number): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  for (;;) {
    const code = view.getUint16(at, true);
    const length = view.getUint16(at + 2, true);
    if (code === 0) {
      assertEquals(at + 4, view.byteLength);
      return options;
    }
    options.set(code, new Uint8Array(view.buffer, view.byteOffset + at + 4, length));
    at += 4 + Math.ceil(length / 4) * 4;
  }
}

const decode = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

Deno.test("PcapngWriter starts with a section header and an interface", () => {
  const out = new Collected();
  const writer = new PcapngWriter(out, { startSeconds: 1_700_000_000, application: "test" });
  assertEquals(writer.addInterface("edu.sock"), 0);
  assertEquals(writer.addInterface("net.sock"), 1);
  const [section, first] = blocksOf(out.bytes);
  assertEquals(section?.type, 0x0a0d_0d0a);
  assertEquals(section?.view.getUint32(0, true), 0x1a2b_3c4d);
  assertEquals(section?.view.getBigInt64(8, true), -1n);
  assertEquals(first?.type, 1);
  const view = first?.view ?? new DataView(new ArrayBuffer(0));
  assertEquals([view.getUint16(0, true), view.getUint32(4, true)], [LINKTYPE_USER0, SNAP_LENGTH]);
  const options = optionsOf(view, 8);
  assertEquals(decode(options.get(2)), "edu.sock");
  assertEquals([...options.get(9) ?? []], [9]);
  assertEquals(
    new DataView((options.get(14) ?? new Uint8Array(8)).slice().buffer).getBigInt64(0, true),
    1_700_000_000n,
  );
});

Deno.test("PcapngWriter.writeFrame() keeps bytes, time, direction and descriptors", () => {
  fc.assert(fc.property(
    fc.array(
      fc.record({
        timeNs: fc.maxSafeNat(),
        direction: fc.constantFrom(">" as const, "<" as const),
        bytes: fc.uint8Array({ maxLength: 9000 }),
        descriptors: fc.nat(3),
      }),
      { maxLength: 5 },
    ),
    (frames) => {
      const out = new Collected();
      const writer = new PcapngWriter(out);
      const number = writer.addInterface("a");
      for (const frame of frames) writer.writeFrame(number, frame);
      assertEquals(out.blocks, 2 + frames.length);
      blocksOf(out.bytes).slice(2).forEach(({ type, view }, index) => {
        const frame = frames[index];
        if (frame === undefined) throw new Error("more blocks than frames");
        assertEquals(type, 6);
        const time = view.getUint32(4, true) * 2 ** 32 + view.getUint32(8, true);
        const length = view.getUint32(12, true);
        assertEquals([time, length], [frame.timeNs, frame.bytes.length]);
        assertEquals(view.getUint32(16, true), frame.bytes.length);
        assertEquals(new Uint8Array(view.buffer, view.byteOffset + 20, length), frame.bytes);
        const options = optionsOf(view, 20 + Math.ceil(length / 4) * 4);
        assertEquals(options.get(2)?.[0], frame.direction === ">" ? 1 : 2);
        const comment = frame.descriptors === 0 ? "" : `descriptors: ${frame.descriptors}`;
        assertEquals(decode(options.get(1)), comment);
      });
    },
  ));
});

Deno.test("PcapngWriter.writeFrame() cuts a frame that Wireshark would refuse", () => {
  const out = new Collected();
  const writer = new PcapngWriter(out);
  writer.addInterface("a");
  const bytes = new Uint8Array(0x10_0020).fill(7);
  writer.writeFrame(0, { timeNs: 0, direction: ">", bytes });
  const view = blocksOf(out.bytes)[2]?.view;
  assertEquals([view?.getUint32(12, true), view?.getUint32(16, true)], [SNAP_LENGTH, 0x10_0020]);
});

Deno.test("PcapngWriter.writeFrame() refuses an interface that was not added", () => {
  const writer = new PcapngWriter(new Collected());
  assertThrows(
    () => writer.writeFrame(0, { timeNs: 0, direction: ">", bytes: new Uint8Array(16) }),
    RangeError,
    "Cannot write a frame of interface 0: there are 0",
  );
});
