import { assertEquals } from "@std/assert";
import { checkIrqSet, DEVICE_GET_IRQ_INFO, DEVICE_SET_IRQS, disablesAll } from "./irqs.ts";

const view = new DataView(new ArrayBuffer(64));
const { request } = DEVICE_SET_IRQS;
const set = request.create();

interface Body {
  readonly argsz?: number;
  readonly flags?: number;
  readonly index?: number;
  readonly start?: number;
  readonly count?: number;
  readonly length?: number;
}

function decode(body: Body): number {
  [body.argsz ?? 20, body.flags ?? 0x24, body.index ?? 2, body.start ?? 0, body.count ?? 1]
    .forEach((value, index) => view.setUint32(index * 4, value, true));
  return request.decode(view, 0, body.length ?? 20, set);
}

Deno.test("spec/08 rule 12: SET_IRQS is EINVAL for a malformed request", () => {
  const cases: Readonly<Record<string, Body>> = {
    "short": { length: 19 },
    "argsz": { argsz: 19 },
    "index 5": { index: 5 },
    "no action": { flags: 0x04 },
    "no data type": { flags: 0x20 },
    "two actions": { flags: 0x34 },
    "two data types": { flags: 0x26 },
    "an unknown flag": { flags: 0x64 },
    "start+count overflow": { start: 0xffff_ffff, count: 1 },
    "MASK on ERR": { flags: 0x09, index: 3 },
    "UNMASK on REQ": { flags: 0x11, index: 4 },
    "count 0 with EVENTFD": { count: 0 },
    "count 0 with MASK": { count: 0, flags: 0x09 },
    "count 0 with start": { count: 0, flags: 0x21, start: 1 },
    "BOOL length not count": { flags: 0x22, argsz: 22, length: 21, count: 2 },
    "BOOL argsz not count": { flags: 0x22, argsz: 21, length: 22, count: 2 },
    "BOOL with more bytes than count": { flags: 0x22, argsz: 23, length: 23, count: 2 },
  };
  for (const [name, body] of Object.entries(cases)) assertEquals(decode(body), -22, name);
});

Deno.test("SET_IRQS accepts what QEMU sends", () => {
  // An argsz that counts the descriptors, which are not in the body.
  assertEquals(decode({ argsz: 24 }), 0);
  // Vector off: EVENTFD | TRIGGER without a descriptor (spec/09 rule 17).
  assertEquals(decode({ flags: 0x24, start: 3 }), 0);
  assertEquals(checkIrqSet(set, 4, 0), 0);
  // All off.
  assertEquals(decode({ flags: 0x21, count: 0 }), 0);
  assertEquals(disablesAll(set), true);
  assertEquals(checkIrqSet(set, 0, 0), 0);
});

Deno.test("spec/08 rule 12: out of range, and descriptors that do not fit, are EINVAL", () => {
  assertEquals(decode({ start: 2, count: 2 }), 0);
  assertEquals(checkIrqSet(set, 4, 2), 0);
  assertEquals(checkIrqSet(set, 3, 2), -22, "out of range");
  assertEquals(checkIrqSet(set, 4, 1), -22, "fewer descriptors than count");
  assertEquals(checkIrqSet(set, 4, 3), -22, "more descriptors than count");
  assertEquals(decode({ index: 3, count: 2 }), 0);
  assertEquals(checkIrqSet(set, 1, 2), -22, "count 2 on ERR");
  assertEquals(decode({ flags: 0x21 }), 0);
  assertEquals(checkIrqSet(set, 4, 1), -22, "descriptors with NONE");
  assertEquals(decode({ flags: 0x22, argsz: 21, length: 21 }), 0);
  assertEquals(checkIrqSet(set, 4, 1), -22, "descriptors with BOOL");
  assertEquals(decode({ flags: 0x21, count: 0 }), 0);
  assertEquals(checkIrqSet(set, 4, 1), -22, "descriptors with NONE of count 0");
});

Deno.test("spec/08 rule 9: GET_IRQ_INFO with argsz below 16 is EINVAL", () => {
  const info = DEVICE_GET_IRQ_INFO.request;
  const value = { argsz: 15, flags: 0, index: 2, count: 0 };
  info.encode(view, 0, value);
  assertEquals(info.decode(view, 0, 16, info.create()), -22);
  info.encode(view, 0, { ...value, argsz: 17 });
  assertEquals(info.decode(view, 0, 16, info.create()), 0);
});
