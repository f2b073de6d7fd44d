import { assertEquals, assertThrows } from "@std/assert";
import { DmaPin, InFlight } from "./in_flight.ts";

const NO_SLICES: readonly Uint8Array[] = [];

function pin(
  owner: InFlight,
  start: number,
  length: number,
  endpoint = 1,
  released: (() => void) | null = null,
): DmaPin {
  return new DmaPin(owner, NO_SLICES, start, length, endpoint, released);
}

Deno.test("InFlight.drain() of what nobody uses is done at once, with its bytes", () => {
  const inFlight = new InFlight();
  const completion = inFlight.drain(0, 0xfff, 0x1000);
  assertEquals([completion.done, completion.bytes], [true, 0x1000]);
});

Deno.test("InFlight.drain() waits for the pins that meet the range, and for no other", () => {
  // Pin [0x2000, 0x2fff] against ranges, ends inclusive.
  const cases: [number, number, boolean][] = [
    [0, 0x1fff, false],
    [0, 0x2000, true],
    [0x2fff, 0x2fff, true],
    [0x2400, 0x2500, true],
    [0, 2 ** 52 - 1, true],
    [0x3000, 0x4000, false],
    [0, Infinity, true],
  ];
  for (const [start, last, waits] of cases) {
    const inFlight = new InFlight();
    const held = pin(inFlight, 0x2000, 0x1000);
    const completion = inFlight.drain(start, last, 0);
    assertEquals([completion.done, held.revoked], [!waits, waits], `${start}..${last}`);
    held.release();
    assertEquals(completion.done, true);
  }
});

Deno.test("InFlight.drain() is done when the last of its pins is released, in any order", () => {
  for (const order of [[0, 1, 2], [2, 1, 0], [1, 2, 0]]) {
    const inFlight = new InFlight();
    const pins = [0x1000, 0x1800, 0x2000].map((start) => pin(inFlight, start, 0x1000));
    const completion = inFlight.drain(0x1000, 0x2fff, 0);
    let told = 0;
    completion.whenDone(() => told++);
    for (const at of order) {
      assertEquals([completion.done, told], [false, 0]);
      pins[at]!.release();
    }
    assertEquals([completion.done, told, inFlight.count], [true, 1, 0]);
  }
});

Deno.test("InFlight.drain() does not wait for a pin that begins later", () => {
  const inFlight = new InFlight();
  const before = pin(inFlight, 0, 0x1000);
  const completion = inFlight.drain(0, 0xfff, 0);
  const after = pin(inFlight, 0, 0x1000);
  before.release();
  assertEquals([completion.done, after.revoked, inFlight.count], [true, false, 1]);
});

Deno.test("InFlight: a pin of length 0 touches nothing, and nobody waits for it", () => {
  const inFlight = new InFlight();
  const empty = pin(inFlight, 0x2000, 0);
  assertEquals(inFlight.drain(0, 0x4000, 0).done, true);
  assertEquals(inFlight.drainEndpoint(1).done, true);
  assertEquals(empty.revoked, false);
  empty.release();
  assertEquals(inFlight.count, 0);
});

Deno.test("DmaPin.release() counts once, however often it is called", () => {
  const inFlight = new InFlight();
  let released = 0;
  const first = pin(inFlight, 0, 0x1000, 1, () => released++);
  pin(inFlight, 0, 0x1000);
  const completion = inFlight.drain(0, 0xfff, 0);
  first.release();
  first.release();
  assertEquals([released, completion.done, inFlight.count], [1, false, 1]);
});

Deno.test("DmaPin marks what it wrote before anyone who waits is told", () => {
  const inFlight = new InFlight();
  const order: string[] = [];
  const held = pin(inFlight, 0, 0x1000, 1, () => order.push("marked"));
  inFlight.drain(0, 0xfff, 0).whenDone(() => order.push("done"));
  held.release();
  assertEquals(order, ["marked", "done"]);
});

Deno.test("DmaPin.onRevoke is called once, when the first waits", () => {
  const inFlight = new InFlight();
  const held = pin(inFlight, 0, 0x1000);
  let told = 0;
  held.onRevoke = () => told++;
  inFlight.drain(0x1000, 0x1fff, 0);
  assertEquals(told, 0);
  inFlight.drain(0, 0xfff, 0);
  inFlight.drain(0, 0xfff, 0);
  inFlight.drainEndpoint(1);
  assertEquals([told, held.revoked], [1, true]);
});

Deno.test("InFlight: two changes that wait for one pin end together", () => {
  const inFlight = new InFlight();
  const held = pin(inFlight, 0, 0x2000);
  const first = inFlight.drain(0, 0xfff, 1);
  const second = inFlight.drain(0x1000, 0x1fff, 2);
  const detach = inFlight.drainEndpoint(1);
  assertEquals([first.done, second.done, detach.done], [false, false, false]);
  held.release();
  assertEquals([first.done, second.done, detach.done], [true, true, true]);
});

Deno.test("DmaPin released inside its own onRevoke ends the change before drain() returns", () => {
  const inFlight = new InFlight();
  const held = pin(inFlight, 0, 0x1000);
  held.onRevoke = () => held.release();
  assertEquals(inFlight.drain(0, 0xfff, 0).done, true);
  assertEquals(inFlight.count, 0);
});

Deno.test("InFlight: pins released inside onRevoke do not end a change before the others are told", () => {
  const inFlight = new InFlight();
  const first = pin(inFlight, 0, 0x1000);
  const second = pin(inFlight, 0, 0x1000);
  first.onRevoke = () => first.release();
  const completion = inFlight.drain(0, 0xfff, 0);
  assertEquals([completion.done, second.revoked], [false, true]);
  second.release();
  assertEquals(completion.done, true);
});

Deno.test("InFlight: a pin whose onRevoke releases all pins of its device leaves nobody waiting", () => {
  for (const drain of ["range", "endpoint"]) {
    const inFlight = new InFlight();
    const pins = [0, 1, 2, 3].map(() => pin(inFlight, 0, 0x1000));
    for (const each of pins) each.onRevoke = () => pins.forEach((other) => other.release());
    const completion = drain === "range" ? inFlight.drain(0, 0xfff, 0) : inFlight.drainEndpoint(1);
    assertEquals([completion.done, inFlight.count], [true, 0]);
  }
});

Deno.test("InFlight: a pin that begins inside onRevoke is not waited for", () => {
  const inFlight = new InFlight();
  const first = pin(inFlight, 0, 0x1000);
  first.onRevoke = () => {
    pin(inFlight, 0, 0x1000);
    first.release();
  };
  assertEquals(inFlight.drain(0, 0xfff, 0).done, true);
  assertEquals(inFlight.count, 1);
});

Deno.test("InFlight.drainEndpoint() waits for the pins of its endpoint, and for no other's", () => {
  const inFlight = new InFlight();
  const own = pin(inFlight, 0, 0x1000, 1);
  const other = pin(inFlight, 0, 0x1000, 2);
  const completion = inFlight.drainEndpoint(1);
  assertEquals([own.revoked, other.revoked, completion.done], [true, false, false]);
  own.release();
  assertEquals(completion.done, true);
});

Deno.test("InFlight.drainEndpoint() joins a completion that waits for more", () => {
  const spaces = [new InFlight(), new InFlight()];
  const pins = spaces.map((space) => pin(space, 0, 0x1000));
  const completion = spaces[0]!.drainEndpoint(1);
  spaces[1]!.drainEndpoint(1, completion);
  pins[0]!.release();
  assertEquals(completion.done, false);
  pins[1]!.release();
  assertEquals(completion.done, true);
});

Deno.test("InFlight: an onRevoke that throws keeps no other from being told, and is reported for its pin", () => {
  const inFlight = new InFlight();
  const failures: unknown[] = [];
  const pins = [0, 1, 2].map((i) =>
    new DmaPin(inFlight, NO_SLICES, 0, 0x1000, 1, null, null, (error) => failures.push([i, error]))
  );
  const errors = [new Error("broken 0"), new Error("broken 1")];
  const told: number[] = [];
  pins.forEach((each, i) =>
    each.onRevoke = () => {
      told.push(i);
      if (i < 2) throw errors[i]!;
    }
  );
  const first = inFlight.drain(0, 0xfff, 0);
  assertEquals([told, failures], [[0, 1, 2], [[0, errors[0]], [1, errors[1]]]]);
  assertEquals(pins.map((each) => each.revoked), [true, true, true]);
  const again = inFlight.drain(0, 0xfff, 0);
  assertEquals([first.done, again.done, failures.length], [false, false, 2]);
  for (const each of pins) each.release();
  assertEquals([first.done, again.done], [true, true]);
});

Deno.test("DmaPin: what onRevoke threw is an uncaught error where nobody asked for it", () => {
  const inFlight = new InFlight();
  const broken = new Error("broken device");
  pin(inFlight, 0, 0x1000).onRevoke = () => {
    throw broken;
  };
  const seen: unknown[] = [];
  const listener = (event: ErrorEvent): void => {
    event.preventDefault();
    seen.push(event.error);
  };
  globalThis.addEventListener("error", listener);
  try {
    assertEquals(inFlight.drain(0, 0xfff, 0).done, false);
  } finally {
    globalThis.removeEventListener("error", listener);
  }
  assertEquals(seen, [broken]);
});

Deno.test("DmaPin.release(): who waits is told, also when marking what was written throws", () => {
  const inFlight = new InFlight();
  const held = pin(inFlight, 0, 0x1000, 1, () => {
    throw new Error("broken memory");
  });
  const unmap = inFlight.drain(0, 0xfff, 0);
  assertThrows(() => held.release(), Error, "broken memory");
  assertEquals([unmap.done, inFlight.count], [true, 0]);
});

Deno.test("DmaPin.release(): who waits is told, also when another's callback throws", () => {
  const inFlight = new InFlight();
  const held = pin(inFlight, 0, 0x1000);
  inFlight.drain(0, 0xfff, 0).whenDone(() => {
    throw new Error("broken");
  });
  const other = inFlight.drain(0, 0xfff, 0);
  let told = 0;
  other.whenDone(() => told++);
  assertThrows(() => held.release(), Error, "broken");
  assertEquals([other.done, told, inFlight.count], [true, 1, 0]);
});
