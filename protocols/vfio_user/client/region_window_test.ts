import { assert, assertEquals } from "@std/assert";
import { Descriptor, liveDescriptors } from "../../linux/descriptor.ts";
import { EventFd } from "../../linux/eventfd.ts";
import { ftruncate, memfdCreate } from "../../linux/libc.ts";
import { createSharedMemory, liveMappings, Mapping } from "../../linux/mapping.ts";
import type { RegionInfo } from "../messages/region_info.ts";
import { RegionWindow } from "./region_window.ts";

function info(changes: Partial<RegionInfo> = {}): RegionInfo {
  return {
    argsz: 32,
    flags: 7,
    index: 0,
    size: 0x4000,
    offset: 0,
    sparse: null,
    type: null,
    msixMappable: false,
    ...changes,
  };
}

/** Runs `body`, and sees to it that nothing stays open. */
function tidy(body: () => void): void {
  const before = [liveDescriptors(), liveMappings()];
  body();
  assertEquals([liveDescriptors(), liveMappings()], before);
}

Deno.test("RegionWindow maps the sparse areas of a sealed file, at the region's offset in it", () => {
  tidy(() => {
    using file = createSharedMemory("region", 0x6000);
    using whole = Mapping.map(file.fd, 0, 0x6000, "read-write") as Mapping;
    using mapped = RegionWindow.open(
      info({
        offset: 0x2000,
        sparse: [{ offset: 0x1000, size: 0x1000 }, { offset: 0x3000, size: 0x1000 }],
      }),
      file.duplicate(),
    )!;
    assertEquals(mapped.areas.map(({ offset, size }) => [offset, size]), [
      [0x1000, 0x1000],
      [0x3000, 0x1000],
    ]);
    const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    for (const size of [1, 2, 4, 8]) {
      const at = 0x1000 + 16 * size;
      assertEquals(mapped.write(at, bytes.subarray(0, size)), true);
      assertEquals(
        whole.bytes.slice(0x2000 + at, 0x2000 + at + 8),
        bytes.map((byte) => byte <= size ? byte : 0),
      );
      const into = new Uint8Array(size);
      assertEquals(mapped.read(at, into), true);
      assertEquals(into, bytes.slice(0, size));
    }
    // Not aligned, and longer than a register.
    assertEquals(mapped.write(0x1ff5, bytes), true);
    const into = new Uint8Array(9);
    assertEquals(mapped.read(0x1ff4, into), true);
    assertEquals([...into], [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    // Over an end, and between the areas.
    assertEquals(mapped.covers(0x1ffc, 8), false);
    assertEquals(mapped.read(0x1ffc, new Uint8Array(8)), false);
    assertEquals(mapped.write(0x2000, bytes), false);
    assertEquals(mapped.covers(0x3ff8, 8), true);
  });
});

Deno.test("RegionWindow reaches a file that may shrink by calls, and survives that it does", () => {
  tidy(() => {
    using file = new Descriptor(memfdCreate("unsealed", 0));
    ftruncate(file.fd, 0x4000);
    using mapped = RegionWindow.open(info(), file.duplicate())!;
    assertEquals(mapped.write(0x10, Uint8Array.of(9, 8, 7, 6)), true);
    const into = new Uint8Array(4);
    assertEquals(mapped.read(0x10, into), true);
    assertEquals([...into], [9, 8, 7, 6]);
    ftruncate(file.fd, 0);
    assertEquals(mapped.read(0x10, into), false);
    assertEquals(mapped.write(0x10, into), false);
  });
});

Deno.test("RegionWindow does not write to a region that is read-only", () => {
  tidy(() => {
    using file = createSharedMemory("region", 0x4000);
    using mapped = RegionWindow.open(info({ flags: 5 }), file.duplicate())!;
    assertEquals(mapped.read(0, new Uint8Array(4)), true);
    assertEquals(mapped.write(0, new Uint8Array(4)), false);
  });
});

Deno.test("RegionWindow.open() leaves what is no file, too short or not offered to messages", () => {
  tidy(() => {
    using file = createSharedMemory("region", 0x1000);
    using event = EventFd.create();
    const eventFd = new Descriptor(event.fd);
    assertEquals(RegionWindow.open(info(), null), null);
    assertEquals(RegionWindow.open(info(), file.duplicate()), null);
    assertEquals(RegionWindow.open(info({ flags: 3, size: 0x1000 }), file.duplicate()), null);
    assertEquals(RegionWindow.open(info({ size: 0 }), file.duplicate()), null);
    assertEquals(RegionWindow.open(info({ size: 0x1000, offset: 1 }), file.duplicate()), null);
    assertEquals(RegionWindow.open(info(), eventFd.duplicate()), null);
    eventFd.take();
    const short = info({ sparse: [{ offset: 0, size: 0x1000 }, { offset: 0x1000, size: 0x1000 }] });
    using mapped = RegionWindow.open(short, file.duplicate());
    assert(mapped !== null);
    assertEquals(mapped.areas.length, 1);
  });
});

Deno.test("RegionWindow.close() unmaps: it covers nothing any more", () => {
  tidy(() => {
    using file = createSharedMemory("region", 0x4000);
    const mapped = RegionWindow.open(info(), file.duplicate())!;
    mapped.close();
    assertEquals(mapped.read(0, new Uint8Array(4)), false);
    assertEquals(mapped.write(0, new Uint8Array(4)), false);
    mapped.close();
  });
});
