import { assert, assertEquals } from "@std/assert";
import { Access, Fault } from "../address.ts";
import { Counter } from "../observe/counters.ts";
import { RUN, TranslationTable } from "./translation_table.ts";

const PAGE = 0x1000;
const { READ, WRITE, READ_WRITE } = Access;
const counters = new Float64Array(8);

function table(...mappings: [number, number, number, number][]): TranslationTable {
  const result = new TranslationTable(1);
  for (const [start, last, target, flags] of mappings) result.insert(start, last, target, flags);
  return result;
}

/** Hits and misses of what `body` does. */
function counted(body: () => void): [number, number] {
  const hits = counters[Counter.IOTLB_HITS]!;
  const misses = counters[Counter.IOTLB_MISSES]!;
  body();
  return [counters[Counter.IOTLB_HITS]! - hits, counters[Counter.IOTLB_MISSES]! - misses];
}

Deno.test("TranslationTable.translate() is VA - virt_start + phys_start (virtio 1.3, 5.13.6.5)", () => {
  const subject = table([0x1000, 0x2fff, 0x8_0000, READ], [0x3000, 0x3004, 0x123, READ_WRITE]);
  const cases: [number, number, number][] = [
    [0x1000, 0x8_0000, 0x2000],
    [0x1abc, 0x8_0abc, 0x1544],
    [0x2fff, 0x8_1fff, 1],
    [0x3000, 0x123, 5],
    [0x3004, 0x127, 1],
  ];
  for (let round = 0; round < 3; round++) {
    for (const [address, target, run] of cases) {
      assertEquals(subject.translate(address, READ, 1, counters), target);
      // A cached page answers with what is left of the page.
      assert(
        subject.place[RUN]! >= Math.min(run, PAGE - address % PAGE) && subject.place[RUN]! <= run,
      );
    }
  }
});

Deno.test("TranslationTable.translate() faults outside of every range, at both ends of the space", () => {
  const subject = table([0x1000, 0x1fff, 0, READ_WRITE], [2 ** 52 - 1, 2 ** 52 - 1, 5, READ_WRITE]);
  for (const warm of [0x1000, 2 ** 52 - 1]) {
    assert(subject.translate(warm, READ, 1, counters) >= 0);
    for (const address of [0, 0xfff, 0x2000, 2 ** 52 - 2, 2 ** 52, -1, -PAGE, 2 ** 63, NaN]) {
      assertEquals(subject.translate(address, READ, 1, counters), Fault.UNMAPPED, `${address}`);
      assertEquals(subject.find(address, READ), Fault.UNMAPPED);
    }
  }
  assertEquals(subject.translate(2 ** 52 - 1, READ, 1, counters), 5);
});

Deno.test("TranslationTable.translate() wants every permission asked for, cached or not", () => {
  for (const flags of [0, READ, WRITE, READ_WRITE]) {
    const subject = table([0x1000, 0x1fff, 0x8000, flags], [0x5000, 0x5fff, 0x9000, READ_WRITE]);
    for (let round = 0; round < 4; round++) {
      for (const access of [READ, WRITE, READ_WRITE]) {
        const expected = (flags & access) === access ? 0x8010 : Fault.PERMISSION;
        assertEquals(subject.translate(0x1010, access, 1, counters), expected);
        // Puts the other range into the hot place, so that the page cache is asked next.
        if (round > 1) subject.translate(0x5000, READ, 1, counters);
      }
    }
  }
});

Deno.test("TranslationTable counts a walk as a miss, and what it knows as a hit", () => {
  const subject = table([0x1000, 0x1fff, 0x8000, READ], [0x5000, 0x5fff, 0x9000, READ]);
  const translate = (address: number, access: number = READ) => () => {
    subject.translate(address, access, 1, counters);
  };
  assertEquals(counted(translate(0x1000)), [0, 1]);
  assertEquals(counted(translate(0x1800)), [1, 0]);
  assertEquals(counted(translate(0x5000)), [0, 1]);
  assertEquals(counted(translate(0x1000)), [1, 0]);
  assertEquals(counted(translate(0x2000)), [0, 1]);
  assertEquals(counted(translate(0x1000, WRITE)), [0, 1]);
});

Deno.test("TranslationTable: a longer access walks a wide range once, and then gets its whole run", () => {
  const subject = table([0x10_0000, 0x1f_ffff, 0, READ], [0x20_0000, 0x20_0fff, 0x9000, READ]);
  subject.translate(0x10_0000, READ, 8, counters);
  subject.translate(0x20_0000, READ, 8, counters);
  // From the page cache, which knows of one page.
  assertEquals(subject.translate(0x10_0ff8, READ, 8, counters), 0xff8);
  assertEquals(subject.place[RUN]!, 8);
  assertEquals(counted(() => subject.translate(0x10_0ff8, READ, 9, counters)), [0, 1]);
  assertEquals(subject.place[RUN]!, 0xf_f008);
  // A range of one page has no more to give: no walk for it.
  assertEquals(counted(() => subject.translate(0x20_0ff8, READ, 100, counters)), [1, 0]);
  assertEquals(subject.place[RUN]!, 8);
});

Deno.test("TranslationTable keeps targets whole up to the top of the address space, flags apart", () => {
  for (const flags of [READ, WRITE, READ_WRITE]) {
    const subject = table(
      [0, PAGE - 1, 2 ** 52 - PAGE, flags],
      [PAGE, 2 * PAGE - 1, 2 ** 51, flags],
    );
    for (let round = 0; round < 3; round++) {
      assertEquals(subject.translate(PAGE - 1, flags, 1, counters), 2 ** 52 - 1);
      assertEquals(subject.translate(PAGE + 1, flags, 1, counters), 2 ** 51 + 1);
    }
  }
});

Deno.test("TranslationTable caches no page that a range covers in part, or whose target is not aligned", () => {
  const subject = table(
    [0x1000, 0x17ff, 0x8000, READ],
    [0x1800, 0x1fff, 0x2_0800, READ],
    [0x3000, 0x4fff, 0x10_0001, READ],
    [0x6800, 0x8800, 0x30_0800, READ],
  );
  const cases: [number, number][] = [
    [0x17ff, 0x87ff],
    [0x1800, 0x2_0800],
    [0x3000, 0x10_0001],
    [0x4fff, 0x10_2000],
    [0x6800, 0x30_0800],
    [0x7000, 0x30_1000],
    [0x8800, 0x30_2800],
  ];
  for (let round = 0; round < 3; round++) {
    for (const [address, target] of cases) {
      assertEquals(subject.translate(address, READ, 1, counters), target);
    }
    for (const address of [0xfff, 0x2000, 0x2fff, 0x5000, 0x67ff, 0x8801]) {
      assertEquals(subject.translate(address, READ, 1, counters), Fault.UNMAPPED);
    }
  }
});

/** Lets the table learn `address`: by the hot range, and by the page cache behind another hot range. */
const WARMINGS: Record<string, (subject: TranslationTable, address: number) => void> = {
  "hot range": (subject, address) => {
    subject.translate(address, 0, 1, counters);
  },
  "page cache": (subject, address) => {
    subject.translate(address, 0, 1, counters);
    subject.translate(0x900_0000, 0, 1, counters);
  },
};

Deno.test("TranslationTable is not stale after remove()", () => {
  for (const [name, warm] of Object.entries(WARMINGS)) {
    for (const last of [0x1fff, 0x2fff, 0x5f_ffff, 0x17ff]) {
      const subject = table(
        [0x1000, last, 0x8_0000, READ_WRITE],
        [0x900_0000, 0x900_0fff, 0, READ],
      );
      for (let page = 0x1000; page < Math.min(last, 0x10_0000); page += PAGE) warm(subject, page);
      subject.remove(0x1000);
      for (let page = 0x1000; page < Math.min(last, 0x10_0000); page += PAGE) {
        assertEquals(subject.translate(page, READ, 1, counters), Fault.UNMAPPED, name);
      }
      assertEquals(subject.size, 1);
    }
  }
});

Deno.test("TranslationTable is not stale after remove() and insert() with another target or fewer permissions", () => {
  const remappings: [number, number][] = [
    [0x20_0000, READ_WRITE],
    [0x8_0000, READ],
    [0x8_0000, WRITE],
    [0x8_0000, 0],
    [0x20_0001, READ_WRITE],
  ];
  for (const [name, warm] of Object.entries(WARMINGS)) {
    for (const [target, flags] of remappings) {
      const subject = table(
        [0x1000, 0x2fff, 0x8_0000, READ_WRITE],
        [0x900_0000, 0x900_0fff, 0, READ],
      );
      warm(subject, 0x1000);
      warm(subject, 0x2000);
      subject.remove(0x1000);
      subject.insert(0x1000, 0x2fff, target, flags);
      for (const access of [READ, WRITE, READ_WRITE]) {
        const allowed = (flags & access) === access;
        for (const offset of [0, 0xfff, 0x1000]) {
          assertEquals(
            subject.translate(0x1000 + offset, access, 1, counters),
            allowed ? target + offset : Fault.PERMISSION,
            `${name}, target ${target}, flags ${flags}`,
          );
        }
      }
    }
  }
});

Deno.test("TranslationTable is not stale when a smaller range takes the place of a bigger one", () => {
  for (const [name, warm] of Object.entries(WARMINGS)) {
    const subject = table([0, 0xf_ffff, 0x10_0000, READ], [0x900_0000, 0x900_0fff, 0, READ]);
    for (let page = 0; page < 0x10_0000; page += PAGE) warm(subject, page);
    subject.remove(0);
    subject.insert(0x4000, 0x4fff, 0x7000, READ);
    assertEquals(subject.translate(0x4000, READ, 1, counters), 0x7000, name);
    assertEquals(subject.place[RUN]!, PAGE);
    for (const address of [0, 0x3fff, 0x5000, 0xf_f000]) {
      assertEquals(subject.translate(address, READ, 1, counters), Fault.UNMAPPED, name);
    }
  }
});

Deno.test("TranslationTable.remove() wants the start of a range, and leaves its neighbours", () => {
  const subject = table([0, 0xfff, 0x8000, READ], [0x1000, 0x1fff, 0x9000, READ]);
  for (const address of [1, 0xfff, 0x1001, 0x2000]) subject.remove(address);
  assertEquals(subject.size, 2);
  subject.remove(0x1000);
  assertEquals(subject.translate(0, READ, 1, counters), 0x8000);
  assertEquals(subject.translate(0x1000, READ, 1, counters), Fault.UNMAPPED);
});

Deno.test("TranslationTable.clear() forgets everything, and gives the memory back", () => {
  const subject = new TranslationTable(1);
  const fresh = subject.byteLength;
  for (let page = 0; page < 10_000; page++) {
    subject.insert(page * PAGE, page * PAGE + 0xfff, 0, READ);
    subject.translate(page * PAGE, READ, 1, counters);
  }
  subject.clear();
  assertEquals([subject.size, subject.byteLength], [0, fresh]);
  for (let page = 0; page < 10_000; page += 99) {
    assertEquals(subject.translate(page * PAGE, READ, 1, counters), Fault.UNMAPPED);
  }
});

Deno.test("TranslationTable costs at most 96 bytes a page, and one entry for a big range", () => {
  const many = new TranslationTable(1);
  for (let page = 0; page < 65536; page++) many.insert(page * PAGE, page * PAGE + 0xfff, 0, READ);
  assert(many.byteLength / 65536 <= 96, `${many.byteLength / 65536} bytes`);
  const big = table([0, 2 ** 30 - 1, 0, READ]);
  assert(big.byteLength < 8192, `${big.byteLength} bytes`);
});

Deno.test("TranslationTable: a warm table of 64 k pages answers nearly all from its caches", () => {
  for (const seed of [0, 1, 2]) {
    const subject = new TranslationTable(seed);
    for (let page = 0; page < 65536; page++) {
      subject.insert(page * PAGE, page * PAGE + 0xfff, page * PAGE, READ);
    }
    const sweep = () => {
      for (let page = 0; page < 65536; page++) {
        assertEquals(subject.translate(page * PAGE, READ, 8, counters) === page * PAGE, true);
      }
    };
    sweep();
    const [hits] = counted(sweep);
    assert(hits / 65536 > 0.95, `seed ${seed}: ${hits} hits`);
  }
});

Deno.test("TranslationTable.answererOf() names who answers, and changes nothing", () => {
  const subject = table(
    [0x1000, 0x1fff, 0x8000, READ],
    [0x5000, 0x6fff, 0x9000, READ_WRITE],
    [0x9000, 0x90ff, 0x123, READ],
  );
  const all = () => [0x1000, 0x5abc, 0x6000, 0x90ff, 0x9100].map((at) => subject.answererOf(at));
  const look = (wanted: ReturnType<typeof all>) => {
    // Twice: the first look could have warmed what the second would find.
    assertEquals(counted(() => assertEquals([all(), all()], [wanted, wanted])), [0, 0]);
  };
  look(["tree", "tree", "tree", "tree", null]);

  subject.translate(0x1010, READ, 1, counters);
  look(["hot-range", "tree", "tree", "tree", null]);
  subject.translate(0x5000, READ, 1, counters);
  look(["page-cache", "hot-range", "hot-range", "tree", null]);
  // No whole page: such a range is never in the page cache.
  subject.translate(0x9000, READ, 1, counters);
  look(["page-cache", "page-cache", "tree", "hot-range", null]);
  assertEquals(counted(() => subject.translate(0x1000, READ, 1, counters)), [1, 0]);
  assertEquals(counted(() => subject.translate(0x6000, READ, 1, counters)), [0, 1]);

  subject.remove(0x1000);
  subject.remove(0x5000);
  look([null, null, null, "tree", null]);
  subject.clear();
  look([null, null, null, null, null]);
  for (const bad of [-1, 2 ** 52, 2 ** 63, NaN]) assertEquals(subject.answererOf(bad), null);
});
