/**
 * The rules of PCI and PCI Express that a function keeps, one case a rule.
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Fault, type Iova } from "../../core/address.ts";
import {
  advancedFeaturesCapability,
  atsCapability,
  capability,
  errorReportingCapability,
  expressCapability,
  extendedCapability,
  pasidCapability,
  powerManagementCapability,
  priCapability,
  serialNumberCapability,
  vendorCapability,
  vendorExtendedCapability,
} from "../../devices/pci/capabilities.ts";
import type { MessageRouter } from "../../devices/pci/interrupts.ts";
import type { BarLayout, DeviceState, PciHost } from "../../devices/pci/pci_device.ts";
import type { PciFunction } from "../../devices/pci/pci_function.ts";
import * as spec from "../../devices/pci/spec.ts";
import { FakeDevice, host, hostDevice } from "../../devices/pci/_test_fakes.ts";

const ALL: readonly BarLayout[] = [
  { index: 0, size: 0x1000, kind: "mmio32" },
  { index: 1, size: 0x20, kind: "io" },
  { index: 2, size: 0x4000, kind: "mmio64", prefetchable: true },
  { index: 4, size: 2 ** 33, kind: "mmio64" },
];
const MEMORY = spec.PCI_COMMAND_MEMORY, IO = spec.PCI_COMMAND_IO;
const MASTER = spec.PCI_COMMAND_MASTER;

function at(fn: PciFunction, id: number): number {
  const offset = [...fn.capabilities].find((placed) => placed.id === id)?.offset;
  assert(offset !== undefined, `no capability 0x${id.toString(16)}`);
  return offset;
}

function extendedAt(fn: PciFunction, id: number): number {
  const offset = fn.extendedCapabilities.find((placed) => placed.id === id)?.offset;
  assert(offset !== undefined, `no extended capability 0x${id.toString(16)}`);
  return offset;
}

function command(fn: PciFunction, bits: number): void {
  fn.configWrite(spec.PCI_COMMAND, 2, bits);
}

// ---------------------------------------------------------------- header

Deno.test("PCI 3.0, 6.2.1: identity reads as the device says, and is read-only", () => {
  const { fn } = host({ interrupts: { pin: 2 } });
  const before = fn.config.snapshot();
  assertEquals(fn.configRead(spec.PCI_VENDOR_ID, 4), 0x5678_1234);
  assertEquals(fn.configRead(spec.PCI_REVISION_ID, 4), 0xff00_0003);
  assertEquals(fn.configRead(spec.PCI_SUBSYSTEM_VENDOR_ID, 4), 0x1100_1af4);
  assertEquals(fn.configRead(spec.PCI_INTERRUPT_PIN, 1), 2);
  const fixed: [number, 1 | 2 | 4][] = [
    [spec.PCI_VENDOR_ID, 4],
    [spec.PCI_REVISION_ID, 4],
    [spec.PCI_HEADER_TYPE, 2],
    [spec.PCI_CARDBUS_CIS, 4],
    [spec.PCI_SUBSYSTEM_VENDOR_ID, 4],
    [spec.PCI_CAPABILITY_LIST, 4],
    [spec.PCI_INTERRUPT_PIN, 1],
  ];
  for (const [offset, size] of fixed) fn.configWrite(offset, size, 0xffff_ffff);
  assertEquals(fn.config.snapshot(), before);
});

Deno.test("PCI 3.0, 6.2.4: the interrupt line register keeps what software stores", () => {
  const { fn } = host();
  fn.configWrite(spec.PCI_INTERRUPT_LINE, 1, 0x0b);
  assertEquals(fn.configRead(spec.PCI_INTERRUPT_LINE, 1), 0x0b);
});

Deno.test("PCI 3.0, 6.1: a byte write affects its byte alone", () => {
  const { fn } = host({ bars: ALL });
  command(fn, MEMORY | MASTER);
  fn.configWrite(spec.PCI_COMMAND + 1, 1, 0x04);
  assertEquals(fn.configRead(spec.PCI_COMMAND, 2), MEMORY | MASTER | spec.PCI_COMMAND_INTX_DISABLE);
});

Deno.test("PCI 3.0, 6.2.2: command bits that mean nothing to the function are read-only 0", () => {
  const cases: [readonly BarLayout[], number][] = [
    [ALL, 0x0547],
    [[], 0x0544],
    [[{ index: 0, size: 16, kind: "io" }], 0x0545],
    [[{ index: 0, size: 16, kind: "mmio32" }], 0x0546],
  ];
  for (const [bars, expected] of cases) {
    const { fn } = host({ bars });
    command(fn, 0xffff);
    assertEquals(fn.configRead(spec.PCI_COMMAND, 2), expected);
  }
});

Deno.test("PCI 3.0, 6.2.3: status error bits are cleared by writing ones, and by nothing else", () => {
  const { fn } = host();
  const bits = [0x0100, 0x0800, 0x1000, 0x2000, 0x4000, 0x8000];
  for (const bit of bits) {
    fn.config.set(spec.PCI_STATUS, 2, spec.PCI_STATUS_ERROR_BITS);
    fn.configWrite(spec.PCI_STATUS, 2, 0);
    assertEquals(fn.configRead(spec.PCI_STATUS, 2), spec.PCI_STATUS_ERROR_BITS);
    fn.configWrite(spec.PCI_STATUS, 2, bit);
    assertEquals(fn.configRead(spec.PCI_STATUS, 2), spec.PCI_STATUS_ERROR_BITS & ~bit);
  }
  fn.config.set(spec.PCI_STATUS, 2, 0);
  fn.configWrite(spec.PCI_STATUS, 2, 0xffff);
  assertEquals(fn.configRead(spec.PCI_STATUS, 2), 0);
});

Deno.test("PCI 3.0, 6.2.3: a command write by byte leaves the status errors beside it alone", () => {
  const { fn } = host();
  fn.config.set(spec.PCI_STATUS, 2, 0x2000);
  command(fn, 0xffff);
  assertEquals(fn.configRead(spec.PCI_STATUS, 2), 0x2000);
});

Deno.test("PCIe 4.0, 7.2: a conventional function has 256 bytes, beyond all reads ones", () => {
  const { fn } = host();
  assertEquals(fn.config.length, 256);
  assertEquals(fn.configRead(0x100, 4), 0xffff_ffff);
  assertEquals(fn.configRead(0xfe, 4), 0xffff_0000);
  fn.configWrite(0x100, 4, 0);
  assertEquals(host({ capabilities: [expressCapability()] }).fn.config.length, 4096);
});

// ---------------------------------------------------------------- BARs

Deno.test("PCI 3.0, 6.2.5.1: writing all ones to a BAR shows its size and kind", () => {
  const { fn } = host({ bars: ALL });
  const expected: number[] = [
    0xffff_f000,
    0xffff_ffe1,
    0xffff_c00c,
    0xffff_ffff,
    0x0000_0004,
    0xffff_fffe,
  ];
  for (let bar = 0; bar < 6; bar++) fn.configWrite(0x10 + 4 * bar, 4, 0xffff_ffff);
  assertEquals([0, 1, 2, 3, 4, 5].map((bar) => fn.configRead(0x10 + 4 * bar, 4)), expected);
});

Deno.test("PCI 3.0, 6.2.5.1: a BAR of every size of every kind sizes as itself", () => {
  const kinds: [BarLayout["kind"], number, number][] = [["io", 2, 8], ["mmio32", 4, 31], [
    "mmio64",
    4,
    51,
  ]];
  for (const [kind, least, most] of kinds) {
    for (let log2 = least; log2 <= most; log2++) {
      const { fn } = host({ bars: [{ index: 0, size: 2 ** log2, kind }] });
      fn.configWrite(0x10, 4, 0xffff_ffff);
      fn.configWrite(0x14, 4, 0xffff_ffff);
      const low = fn.configRead(0x10, 4), high = fn.configRead(0x14, 4);
      const mask = kind === "io" ? 3n : 15n;
      const both = BigInt(low) & ~mask | BigInt(high) << 32n;
      const width = kind === "mmio64" ? 64 : 32;
      assertEquals(BigInt.asUintN(width, -both), 2n ** BigInt(log2), `${kind} 2^${log2}`);
    }
  }
});

Deno.test("PCI 3.0, 6.2.5: unused BARs and the absent expansion ROM read 0", () => {
  const { fn } = host();
  for (const offset of [0x14, 0x18, 0x1c, 0x20, 0x24, spec.PCI_ROM_ADDRESS]) {
    fn.configWrite(offset, 4, 0xffff_ffff);
    assertEquals(fn.configRead(offset, 4), 0);
  }
});

Deno.test("PCI 3.0, 6.2.2: memory BARs answer only while Memory Space is set", () => {
  const { fn, device } = host();
  fn.configWrite(0x10, 4, 0xfe00_0000);
  assertEquals(fn.decode("memory", 0xfe00_0010, 4), null);
  assertEquals(fn.barRead(0, 0, 4), 0xffff_ffff);
  fn.barWrite(0, 0, 4, 1);
  assertEquals(device.log, []);
  command(fn, MEMORY);
  assertEquals(fn.decode("memory", 0xfe00_0010, 4), { bar: 0, offset: 0x10 });
  assertEquals(fn.decode("io", 0xfe00_0010, 4), null);
  assertEquals(fn.barRead(0, 0, 4), 0);
  command(fn, 0);
  assertEquals(fn.decode("memory", 0xfe00_0010, 4), null);
});

Deno.test("PCI 3.0, 6.2.2: I/O BARs answer only while I/O Space is set", () => {
  const { fn } = host({ bars: ALL });
  fn.configWrite(0x14, 4, 0xc000);
  command(fn, MEMORY);
  assertEquals(fn.decode("io", 0xc004, 4), null);
  assertEquals(fn.barRead(1, 4, 4), 0xffff_ffff);
  command(fn, IO);
  assertEquals(fn.decode("io", 0xc004, 4), { bar: 1, offset: 4 });
  assertEquals(fn.barRead(1, 4, 4), 0);
  assertEquals(fn.barRead(0, 4, 4), 0xffff_ffff);
});

Deno.test("PCI 3.0, 6.2.5.1: a 64-bit BAR answers at the address of both its halves", () => {
  const { fn } = host({ bars: ALL });
  fn.configWrite(0x18, 4, 0x1234_4000);
  fn.configWrite(0x1c, 4, 0x0000_0080);
  command(fn, MEMORY);
  assertEquals(fn.barAddress(2), 0x80_1234_4000);
  assertEquals(fn.decode("memory", 0x80_1234_7ffc, 4), { bar: 2, offset: 0x3ffc });
  assertEquals(fn.decode("memory", 0x80_1234_8000, 4), null);
  assertEquals(fn.decode("memory", 0x80_1234_7ffe, 4), null);
  fn.configWrite(0x1c, 4, 0xffff_ffff);
  assertEquals(fn.barAddress(2), null, "above 2^52 it can be reached by nobody");
});

Deno.test("PCI 3.0, 6.2.5.1: BAR layouts that cannot be are refused by name", () => {
  const cases: [BarLayout[], string][] = [
    [[{ index: 0, size: 0x1001, kind: "mmio32" }], "0x1001 bytes: the size is a power of two"],
    [[{ index: 0, size: 8, kind: "mmio32" }], "0x8 bytes"],
    [[{ index: 0, size: 512, kind: "io" }], "from 0x4 to 0x100"],
    [[{ index: 0, size: 2, kind: "io" }], "0x2 bytes"],
    [[{ index: 0, size: 2 ** 32, kind: "mmio32" }], "to 0x80000000"],
    [[{ index: 0, size: NaN, kind: "mmio64" }], "power of two"],
    [[{ index: 5, size: 16, kind: "mmio64" }], "there is none"],
    [[{ index: 0, size: 16, kind: "io", prefetchable: true }], "only memory is"],
    [
      [{ index: 0, size: 16, kind: "mmio64" }, { index: 1, size: 16, kind: "mmio32" }],
      "BAR 0 takes",
    ],
    [
      [{ index: 1, size: 16, kind: "mmio32" }, { index: 0, size: 16, kind: "mmio64" }],
      "BAR 1 takes",
    ],
    [[{ index: 2, size: 16, kind: "io" }, { index: 2, size: 16, kind: "io" }], "BAR 2 takes"],
    [[{ index: 6 as 5, size: 16, kind: "io" }], "indices are 0 to 5"],
  ];
  for (const [bars, message] of cases) {
    assertThrows(() => host({ bars }), RangeError, message);
  }
});

// ---------------------------------------------------------------- register accesses

Deno.test("PciFunction.barRead() passes aligned accesses on and answers the others with ones", () => {
  const { fn, device } = host();
  command(fn, MEMORY);
  const ones: [number, number][] = [
    [0, 0],
    [1, 2],
    [2, 4],
    [4, 8],
    [0, 3],
    [0, 5],
    [0, 16],
    [
      0xffe,
      4,
    ],
    [0xffc, 8],
    [0x1000, 1],
    [-4, 4],
    [2 ** 40, 4],
  ];
  for (const [offset, length] of ones) {
    const into = new Uint8Array(length);
    fn.barReadBytes(0, offset, into);
    assertEquals(into, new Uint8Array(length).fill(0xff), `${offset} ${length}`);
    fn.barWriteBytes(0, offset, new Uint8Array(length));
  }
  assertEquals(device.log, []);
  fn.barWriteBytes(0, 0x10, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  const into = new Uint8Array(8);
  fn.barReadBytes(0, 0x10, into);
  assertEquals([...into], [1, 2, 3, 4, 5, 6, 7, 8]);
  assertEquals(device.log, [
    "write 0 10 4 4030201",
    "write 0 14 4 8070605",
    "read 0 10 4",
    "read 0 14 4",
  ]);
  assertEquals(fn.barRead(1, 0, 4), 0xffff_ffff, "no such BAR");
});

Deno.test("PciFunction.barRead64() goes to a device that tells 8 bytes from two of 4", () => {
  class Wide extends FakeDevice {
    value = 0n;
    barRead64(): bigint {
      return this.value;
    }
    barWrite64(_bar: number, _offset: number, value: bigint): void {
      this.value = value;
    }
  }
  const { fn, device } = hostDevice(new Wide());
  command(fn, MEMORY);
  fn.barWriteBytes(0, 8, new Uint8Array(8).fill(0xfe));
  assertEquals(device.value, 0xfefe_fefe_fefe_fefen);
  assertEquals(fn.barRead64(0, 8), 0xfefe_fefe_fefe_fefen);
  assertEquals(fn.barRead64(0, 4), 0xffff_ffff_ffff_ffffn, "not aligned to 8");
  assertEquals(device.log, []);
});

/** A device that answers reads by `answer`, whatever that gives: it need not be TypeScript. */
function answering(answer: () => unknown) {
  class Answering extends FakeDevice {
    override barRead(): number {
      return answer() as number;
    }
    barRead64(): bigint {
      return answer() as bigint;
    }
    barWrite64(): void {}
  }
  const hosted = hostDevice(new Answering({ type: "odd" }));
  command(hosted.fn, MEMORY);
  return hosted;
}

function thrower(): never {
  throw 1;
}

function revokedProxy(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

Deno.test("PciFunction reports a device whatever it throws", () => {
  const hidden = "a value that cannot be shown";
  const cases: [unknown, string][] = [
    [{ toString: thrower }, hidden],
    [Object.create(null), hidden],
    [Object.defineProperty(new Error("x"), "message", { get: thrower }), hidden],
    [Object.defineProperty(new Error("boom"), "stack", { get: thrower }), "boom"],
    [new Proxy({}, { get: thrower, getPrototypeOf: thrower, has: thrower }), hidden],
    [revokedProxy(), hidden],
    [Symbol("s"), "Symbol(s)"],
    [undefined, "undefined"],
    [{ message: 5 }, "[object Object]"],
    ["x".repeat(1e6), `${"x".repeat(4096)}… (1000000 characters)`],
  ];
  for (const [thrown, text] of cases) {
    const { fn, errors } = answering(() => {
      throw thrown;
    });
    assertEquals(fn.barRead(0, 8, 2), 0xffff);
    assertEquals(fn.barRead64(0, 8), 0xffff_ffff_ffff_ffffn);
    assertEquals(errors.map(({ message }) => message), [
      `Cannot read 2 bytes at BAR 0 offset 0x8 of odd: the model threw: ${text}`,
      `Cannot read 8 bytes at BAR 0 offset 0x8 of odd: the model threw: ${text}`,
    ]);
    assert(errors.every(({ cause }) => Object.is(cause, thrown)));
    assertEquals(fn.inspect()["lastError"], errors[1]!.message);
  }
});

Deno.test("PciFunction reads all ones where a device returns no integer, and reports it", async () => {
  const cases: [() => unknown, string][] = [
    [() => undefined, "undefined"],
    [() => null, "null"],
    [() => NaN, "NaN"],
    [() => Infinity, "Infinity"],
    [() => 0.5, "0.5"],
    [() => "7", "a string"],
    [() => true, "a boolean"],
    [() => Promise.resolve(7), "a promise"],
    [() => Promise.reject(new Error("later")), "a promise"],
    [() => ({ valueOf: thrower }), "an object"],
    [() => revokedProxy(), "an object"],
  ];
  for (const [answer, text] of cases) {
    const { fn, errors } = answering(answer);
    for (const size of [1, 2, 4] as const) {
      assertEquals(fn.barRead(0, 8, size), 2 ** (8 * size) - 1, text);
    }
    assertEquals(fn.barRead64(0, 8), 0xffff_ffff_ffff_ffffn, text);
    assertEquals(errors.map(({ message }) => message), [
      `Cannot read 1 bytes at BAR 0 offset 0x8 of odd: the model returned ${text} instead of an integer of 1 bytes`,
      `Cannot read 2 bytes at BAR 0 offset 0x8 of odd: the model returned ${text} instead of an integer of 2 bytes`,
      `Cannot read 4 bytes at BAR 0 offset 0x8 of odd: the model returned ${text} instead of an integer of 4 bytes`,
      `Cannot read 8 bytes at BAR 0 offset 0x8 of odd: the model returned ${text} instead of a bigint of 8 bytes`,
    ]);
    assertEquals(fn.errorCount, 4);
  }
  // A rejection that nobody looked at would end the test run about here.
  await new Promise((resolve) => setTimeout(resolve, 0));
});

Deno.test("PciFunction reads a bigint of a 4-byte register, and a number of an 8-byte one, as a mistake", () => {
  const big = answering(() => 7n);
  assertEquals(big.fn.barRead(0, 8, 4), 0xffff_ffff);
  assertEquals(big.fn.barRead64(0, 8), 7n);
  assertEquals(big.errors.map(({ operation }) => operation.size), [4]);
  const small = answering(() => 7);
  assertEquals(small.fn.barRead(0, 8, 4), 7);
  assertEquals(small.fn.barRead64(0, 8), 0xffff_ffff_ffff_ffffn);
  assertEquals(small.errors.map(({ operation }) => operation.size), [8]);
});

Deno.test("PciFunction answers for a device that throws, and reports it", () => {
  class Broken extends FakeDevice {
    override barRead(): number {
      throw new Error("boom");
    }
    override barWrite(): void {
      throw new Error("boom");
    }
    override reset(): void {
      throw new Error("boom");
    }
    override inspect(): Record<string, unknown> {
      throw new Error("boom");
    }
  }
  const { fn, device, clock, errors } = hostDevice(
    new Broken({
      type: "broken",
      capabilities: [
        vendorCapability(new Uint8Array(1), {
          observer: {
            written: () => {
              throw new Error("boom");
            },
          },
        }),
      ],
    }),
  );
  command(fn, MEMORY);
  assertEquals(fn.barRead(0, 8, 2), 0xffff);
  fn.barWrite(0, 8, 4, 0x55);
  assertEquals(fn.inspect()["device"], null);
  fn.configWrite(at(fn, spec.PCI_CAP_ID_VNDR), 4, 0);
  device.host.clock.defer(1, () => {
    throw new Error("boom");
  });
  clock.runAll();
  command(fn, MEMORY | MASTER);
  const pin = device.host.memory.pin(0 as Iova, 1, 1);
  assert(typeof pin !== "number");
  pin.onRevoke = () => {
    throw new Error("boom");
  };
  fn.reset();
  assertEquals(errors.map((error) => error.operation.method), [
    "barRead",
    "barWrite",
    "inspect",
    "config",
    "timer",
    "reset",
    "revoke",
  ]);
  assertEquals(errors[0]?.operation, { method: "barRead", bar: 0, offset: 8, size: 2 });
  assertEquals(
    errors[1]?.message,
    "Cannot write 0x55 to 4 bytes at BAR 0 offset 0x8 of broken: the model threw: boom",
  );
  assertEquals(fn.errorCount, 7);
});

/** A device whose every method is `async`, as far as the types let it be and beyond, and fails. */
class Async extends FakeDevice {
  constructor() {
    super({
      type: "later",
      bars: [{ index: 0, size: 0x1000, kind: "mmio32", shared: { offset: 0, length: 0x1000 } }, {
        index: 1,
        size: 0x1000,
        kind: "mmio32",
      }],
      capabilities: [
        vendorCapability(new Uint8Array(1), {
          observer: {
            placed: () => this.later("placed"),
            reading: () => this.later("reading"),
            written: () => this.later("written"),
          },
        }),
      ],
    });
  }

  // deno-lint-ignore require-await
  async later(what: string): Promise<never> {
    throw new Error(what);
  }

  override async attach(host: PciHost): Promise<void> {
    super.attach(host);
    await this.later("attach");
  }
  share = () => this.later("share");
  override barRead = () => this.later("barRead") as unknown as number;
  override barWrite = () => this.later("barWrite");
  barRead64 = () => this.later("barRead64") as unknown as bigint;
  barWrite64 = () => this.later("barWrite64");
  override reset = () => this.later("reset");
  override inspect = () => this.later("inspect") as unknown as Record<string, unknown>;
  pause = () => this.later("pause");
  resume = () => this.later("resume");
  save = () => this.later("save") as unknown as DeviceState;
  restore = () => this.later("restore") as unknown as string;
}

Deno.test("PciFunction reports a device for each promise that it gives, and for what it is rejected with", async () => {
  const { fn, device, clock, errors } = hostDevice(new Async());
  command(fn, MEMORY | MASTER);
  const seen: string[] = [];
  /** What `body` is reported for at once, and then, where no value was due, for the rejection. */
  const reported = async (body: () => unknown, rejections = true): Promise<unknown> => {
    const result = body();
    const now = errors.splice(0);
    await new Promise((resolve) => setTimeout(resolve, 0));
    const later = errors.splice(0);
    for (const { message } of now) {
      assert(message.includes(": the model returned a promise instead of "), message);
    }
    if (!rejections) {
      seen.push(...now.map(({ operation }) => operation.method));
      assertEquals(later, []);
      return result;
    }
    assertEquals(later.map(({ operation }) => operation), now.map(({ operation }) => operation));
    for (const { cause, operation, message } of later) {
      seen.push(`${operation.method} ${(cause as Error).message}`);
      assert(message.endsWith(`the model threw: ${(cause as Error).message}`), message);
    }
    return result;
  };
  await reported(() => {});
  assertEquals(seen.splice(0), ["config placed", "share share", "attach attach"]);
  assertEquals(await reported(() => fn.barRead(1, 8, 2), false), 0xffff);
  assertEquals(await reported(() => fn.barRead64(1, 8), false), 0xffff_ffff_ffff_ffffn);
  await reported(() => fn.barWrite(1, 8, 4, 1));
  await reported(() => fn.barWrite64(1, 8, 1n));
  const shown = await reported(() => fn.inspect(), false) as { device: unknown };
  assertEquals(shown.device, null);
  await reported(() => fn.pause());
  assertEquals(await reported(() => fn.save(), false), null);
  const snapshot = { config: fn.config.snapshot(), msix: new Uint8Array(0), state: null };
  assertEquals(
    await reported(() => fn.restore(snapshot), false),
    "the model does not say what is wrong",
  );
  await reported(() => fn.resume());
  await reported(() => fn.configRead(0x42, 1));
  await reported(() => fn.configWrite(0x42, 1, 0));
  device.host.clock.defer(1, () => device.later("timer"));
  await reported(() => clock.runAll());
  const pin = device.host.memory.pin(0 as Iova, 1, 1);
  assert(typeof pin !== "number");
  pin.onRevoke = () => device.later("onRevoke");
  await reported(() => command(fn, MEMORY));
  pin.release();
  await reported(() => fn.reset());
  assertEquals(seen, [
    "barRead",
    "barRead",
    "barWrite barWrite",
    "barWrite barWrite64",
    "inspect",
    "pause pause",
    "save",
    "restore",
    "resume resume",
    "config reading",
    "config written",
    "timer timer",
    "revoke onRevoke",
    "reset reset",
  ]);
  assertEquals(fn.errorCount, 2 * (3 + seen.length) - 5);
});

Deno.test("PciFunction reports a promise that is never settled at once, and says what was asked for", () => {
  class Waiting extends FakeDevice {
    override barWrite(): Promise<void> {
      return new Promise(() => {});
    }
  }
  const { fn, errors } = hostDevice(new Waiting({ type: "later" }));
  command(fn, MEMORY);
  fn.barWrite(0, 8, 4, 0x55);
  assertEquals(errors.map(({ message }) => message), [
    "Cannot write 0x55 to 4 bytes at BAR 0 offset 0x8 of later: the model returned a promise instead of being done",
  ]);
});

Deno.test("PciFunction takes whatever else a method returns that has nothing to say", () => {
  for (const value of [0, 1n, "text", null, {}, () => {}, { then: () => {} }]) {
    class Talking extends FakeDevice {
      override barWrite(): void {
        return value as unknown as void;
      }
      override reset(): void {
        return value as unknown as void;
      }
    }
    const { fn, errors } = hostDevice(new Talking());
    command(fn, MEMORY);
    fn.barWrite(0, 8, 4, 1);
    fn.reset();
    assertEquals(errors, []);
  }
});

Deno.test("PciFunction.barRead() cuts what a device returns to the width asked for", () => {
  const { fn, device } = host();
  command(fn, MEMORY);
  device.registers.set("0 0", -1);
  assertEquals([fn.barRead(0, 0, 1), fn.barRead(0, 0, 2), fn.barRead(0, 0, 4)], [
    0xff,
    0xffff,
    0xffff_ffff,
  ]);
  device.registers.set("0 0", 0x1_2345);
  assertEquals(fn.barRead(0, 0, 1), 0x45);
});

// ---------------------------------------------------------------- bus mastering

Deno.test("PCI 3.0, 6.2.2: DMA needs Bus Master Enable", () => {
  const { fn, device, memory } = host();
  const dma = device.host.memory, into = new Uint8Array(4), address = 0x100 as Iova;
  const accesses = (): unknown[] => [
    dma.read(address, into),
    dma.write(address, into),
    dma.readU8(address),
    dma.readU16(address),
    dma.readU32(address),
    dma.readU64(address),
    dma.writeU8(address, 1),
    dma.writeU16(address, 1),
    dma.writeU32(address, 1),
    dma.writeU64(address, 1),
    dma.atomicLoad(address, 4),
    dma.atomicStore(address, 4, 1),
    dma.check(address, 4, 1),
    dma.slices(address, 4, 1),
    dma.pin(address, 4, 1),
  ];
  for (const result of accesses()) assertEquals(result, Fault.BUS_MASTER_OFF);
  assertEquals(dma.transferred, 0);
  assertEquals(memory.bytes.every((byte) => byte === 0), true);
  assertEquals([dma.read(address, new Uint8Array(0)), dma.check(address, 0, 1)], [0, 0]);
  command(fn, MASTER);
  for (const result of accesses()) assert(result !== Fault.BUS_MASTER_OFF);
  assertEquals(dma.write(address, Uint8Array.of(1, 2, 3)), 0);
  assertEquals(dma.transferred, 3);
  command(fn, 0);
  assertEquals(dma.readU8(address), Fault.BUS_MASTER_OFF);
});

Deno.test("PCI 3.0, 6.2.2: clearing Bus Master Enable, and reset, ask DMA in flight to stop", () => {
  for (const stop of [(fn: PciFunction) => command(fn, 0), (fn: PciFunction) => fn.reset()]) {
    const { fn, device } = host();
    command(fn, MASTER);
    const pin = device.host.memory.pin(0 as Iova, 64, 1);
    const released = device.host.memory.pin(0 as Iova, 64, 1);
    assert(typeof pin !== "number" && typeof released !== "number");
    let told = 0;
    pin.onRevoke = () => told++;
    released.release();
    released.onRevoke = () => told++;
    command(fn, MASTER | spec.PCI_COMMAND_SERR);
    assertEquals([pin.revoked, told], [false, 0]);
    stop(fn);
    assertEquals([pin.revoked, told], [true, 1]);
    stop(fn);
    assertEquals(told, 1);
    pin.release();
  }
});

Deno.test("PciFunction passes on what a device says that it wrote to a pin, and the answer", () => {
  const { fn, device, memory } = host();
  command(fn, MASTER);
  const told: [number, number][] = [];
  const { pin: pinned } = memory;
  memory.pin = (...args) => {
    const pin = pinned.apply(memory, args);
    if (typeof pin === "number") return pin;
    return { ...pin, wrote: (...bytes) => (told.push(bytes), Fault.NO_MEMORY) };
  };
  const pin = device.host.memory.pin(0 as Iova, 64, 2);
  assert(typeof pin !== "number");
  // What it wrote before it was asked to stop, it wrote.
  command(fn, 0);
  assertEquals([pin.revoked, pin.wrote(3, 5), told], [true, Fault.NO_MEMORY, [[3, 5]]]);
});

Deno.test("PCI 3.0, 6.8: messages are memory writes and need Bus Master Enable", () => {
  for (const msix of [false, true]) {
    const { fn, device, sink } = withMessages(msix ? "msix" : "msi");
    device.host.interrupts.raise(0);
    assertEquals(sink.take(), [], "bus mastering is off");
    command(fn, MASTER);
    assertEquals(sink.take(), [], "what could not leave is lost, not late");
    device.host.interrupts.raise(0);
    assertEquals(sink.take(), [0]);
  }
});

// ---------------------------------------------------------------- INTx

Deno.test("PCI 3.0, 6.2.3: Interrupt Status shows the level whatever Interrupt Disable says", () => {
  const { fn, device, sink } = host({ interrupts: { pin: 1 } });
  const pending = (): boolean =>
    (fn.configRead(spec.PCI_STATUS, 2) & spec.PCI_STATUS_INTERRUPT) !== 0;
  command(fn, spec.PCI_COMMAND_INTX_DISABLE);
  device.host.interrupts.setIntx(true);
  assertEquals([pending(), fn.intxAsserted, sink.levels], [true, false, []]);
  command(fn, 0);
  assertEquals([pending(), fn.intxAsserted, sink.levels], [true, true, [true]]);
  command(fn, spec.PCI_COMMAND_INTX_DISABLE);
  assertEquals([pending(), fn.intxAsserted, sink.levels], [true, false, [true, false]]);
  device.host.interrupts.setIntx(false);
  command(fn, 0);
  assertEquals([pending(), fn.intxAsserted, sink.levels], [false, false, [true, false]]);
  fn.configWrite(spec.PCI_STATUS, 2, 0xffff);
  device.host.interrupts.setIntx(true);
  fn.configWrite(spec.PCI_STATUS, 2, 0xffff);
  assertEquals(pending(), true, "read-only");
});

Deno.test("PCI 3.0, 6.2.3: Interrupt Status is clear after a reset, whatever the device does on the way", () => {
  const { fn, device } = host({ interrupts: { pin: 1 } });
  device.reset = () => device.host.interrupts.setIntx(true);
  fn.reset();
  assertEquals(fn.configRead(spec.PCI_STATUS, 2) & spec.PCI_STATUS_INTERRUPT, 0);
  assertEquals(fn.intxAsserted, false);
});

Deno.test("PCI 3.0, 6.2.4: a function without a pin asserts nothing", () => {
  const { fn, device, sink } = host();
  device.host.interrupts.setIntx(true);
  assertEquals([fn.configRead(spec.PCI_STATUS, 2), fn.intxAsserted, sink.levels], [0, false, []]);
});

Deno.test("PCI 3.0, 6.8.1.3: INTx is not used while messages are on, and comes back after", () => {
  for (const form of ["msi", "msix"] as const) {
    const { fn, device, sink, set } = withMessages(form);
    set(false);
    device.host.interrupts.setIntx(true);
    assertEquals(device.host.interrupts.mode, "intx");
    set(true);
    assertEquals(device.host.interrupts.mode, form);
    assertEquals(sink.levels, [true, false]);
    set(false);
    assertEquals([sink.levels, fn.intxAsserted], [[true, false, true], true]);
  }
});

// ---------------------------------------------------------------- MSI

function withMessages(form: "msi" | "msix", perVectorMasking = false) {
  const machine = host({
    interrupts: {
      pin: 1,
      ...(form === "msi" ? { msi: { vectors: 4, perVectorMasking } } : {
        msix: { vectors: 70, bar: 0, tableOffset: 0x400, pendingOffset: 0x200 },
      }),
    },
  });
  const { fn } = machine;
  const set = (on: boolean): void => {
    if (form === "msi") fn.configWrite(0x42, 2, on ? 0x21 : 0x20);
    else fn.configWrite(0x42, 2, on ? 0x8000 : 0);
  };
  command(fn, MEMORY);
  if (form === "msi") {
    fn.configWrite(0x44, 4, 0xfee0_1003);
    fn.configWrite(0x4c, 2, 0x4127);
  } else {
    for (let vector = 0; vector < 70; vector++) {
      fn.barWrite(0, 0x400 + 16 * vector, 4, 0xfee0_0000 + 0x1000 * vector);
      fn.barWrite(0, 0x408 + 16 * vector, 4, 0x100 + vector);
      fn.barWrite(0, 0x40c + 16 * vector, 4, 0);
    }
  }
  set(true);
  return { ...machine, set };
}

Deno.test("PCI 3.0, 6.8.1: the MSI capability has the length and registers of its form", () => {
  const cases: [boolean, boolean, number, number][] = [
    [false, false, 10, 0x000],
    [true, false, 14, 0x080],
    [false, true, 20, 0x100],
    [true, true, 24, 0x180],
  ];
  for (const [address64, perVectorMasking, length, bits] of cases) {
    const { fn } = host({ interrupts: { msi: { vectors: 8, address64, perVectorMasking } } });
    assertEquals(fn.capabilities, [{ id: 5, offset: 0x40, length }]);
    assertEquals(fn.configRead(0x42, 2), bits | 0x6);
    fn.configWrite(0x42, 2, 0xffff);
    assertEquals(fn.configRead(0x42, 2), bits | 0x77);
  }
  assertThrows(() => host({ interrupts: { msi: { vectors: 3 } } }), RangeError, "1, 2, 4, 8");
  assertThrows(() => host({ interrupts: { msi: { vectors: 64 } } }), RangeError, "1, 2, 4, 8");
});

Deno.test("PCI 3.0, 6.8.1.6: MSI vectors differ in the low bits of the data", () => {
  const { fn, device, sink } = withMessages("msi");
  command(fn, MASTER);
  for (const vector of [0, 1, 2, 3]) device.host.interrupts.raise(vector);
  assertEquals(sink.messages, [
    [0xfee0_1000, 0x4124, 0],
    [0xfee0_1000, 0x4125, 1],
    [0xfee0_1000, 0x4126, 2],
    [0xfee0_1000, 0x4127, 3],
  ]);
});

Deno.test("PCI 3.0, 6.8.1.3: a vector beyond those granted is not sent", () => {
  const { fn, device, sink } = withMessages("msi");
  command(fn, MASTER);
  const granted: [number, number][] = [[0, 1], [1, 2], [2, 4], [3, 4], [7, 4]];
  for (const [log2, count] of granted) {
    fn.configWrite(0x42, 2, 1 | log2 << 4);
    for (const vector of [0, 1, 2, 3, 4, 31, 32, -1, 0.5]) device.host.interrupts.raise(vector);
    assertEquals(sink.take(), [0, 1, 2, 3].slice(0, count));
  }
});

Deno.test("PCI 3.0, 6.8.1.4: MSI has a 64-bit address, and what is beyond 2^52 is lost", () => {
  const { fn, device, sink } = withMessages("msi");
  command(fn, MASTER);
  fn.configWrite(0x48, 4, 0x12);
  device.host.interrupts.raise(1);
  assertEquals(sink.messages, [[0x12_fee0_1000, 0x4125, 1]]);
  fn.configWrite(0x48, 4, 0xffff_ffff);
  device.host.interrupts.raise(1);
  assertEquals(sink.messages.length, 1);
});

Deno.test("PCI 3.0, 6.8.1.9: a masked MSI vector is pending, and is sent once when unmasked", () => {
  const { fn, device, sink } = withMessages("msi", true);
  command(fn, MASTER);
  const pending = (): number => fn.configRead(0x54, 4);
  fn.configWrite(0x50, 4, 0xffff_ffff);
  assertEquals(fn.configRead(0x50, 4), 0xf, "only vectors that exist can be masked");
  device.host.interrupts.raise(1);
  device.host.interrupts.raise(3);
  device.host.interrupts.raise(3);
  assertEquals([sink.take(), pending()], [[], 0b1010]);
  fn.configWrite(0x54, 4, 0);
  assertEquals(pending(), 0b1010, "read-only");
  fn.configWrite(0x50, 1, 0b0010);
  assertEquals([sink.take(), pending()], [[3], 0b0010]);
  command(fn, 0);
  fn.configWrite(0x50, 1, 0);
  assertEquals([sink.take(), pending()], [[], 0b0010], "bus mastering is off");
  command(fn, MASTER);
  assertEquals([sink.take(), pending()], [[1], 0]);
});

Deno.test("PCI 3.0, 6.8.1.9: 32 vectors mask and pend in all 32 bits", () => {
  const { fn, device, sink } = host({
    interrupts: { msi: { vectors: 32, perVectorMasking: true } },
  });
  command(fn, MASTER);
  fn.configWrite(0x42, 2, 0x51);
  fn.configWrite(0x50, 4, 0xffff_ffff);
  for (let vector = 0; vector < 32; vector++) device.host.interrupts.raise(vector);
  assertEquals([fn.configRead(0x50, 4), fn.configRead(0x54, 4)], [0xffff_ffff, 0xffff_ffff]);
  fn.configWrite(0x50, 4, 0);
  assertEquals(sink.take().length, 32);
});

// ---------------------------------------------------------------- MSI-X

Deno.test("PCI 3.0, 6.8.2: the MSI-X capability says where table and pending bits are", () => {
  const { fn } = withMessages("msix");
  assertEquals(fn.configRead(0x40, 2), 0x0011);
  fn.configWrite(0x42, 2, 0xffff);
  assertEquals(fn.configRead(0x42, 2), 0xc000 | 69);
  fn.configWrite(0x44, 4, 0xffff_ffff);
  fn.configWrite(0x48, 4, 0xffff_ffff);
  assertEquals([fn.configRead(0x44, 4), fn.configRead(0x48, 4)], [0x400, 0x200]);
  const msix = {
    vectors: 1,
    bar: 4,
    tableOffset: 0xffff_fff0,
    pendingOffset: 0x8000_0000,
  } as const;
  const far = host({ bars: ALL, interrupts: { msix } }).fn;
  assertEquals([far.configRead(0x44, 4), far.configRead(0x48, 4)], [0xffff_fff4, 0x8000_0004]);
});

Deno.test("PCI 3.0, 6.8.2.9: vectors are masked after reset", () => {
  const { fn, device, sink } = withMessages("msix");
  fn.reset();
  command(fn, MEMORY | MASTER);
  fn.configWrite(0x42, 2, 0x8000);
  assertEquals(fn.barRead(0, 0x40c, 4), 1);
  device.host.interrupts.raise(0);
  assertEquals(sink.take(), []);
  assertEquals(fn.barRead(0, 0x200, 4), 1);
});

Deno.test("PCI 3.0, 6.8.2: table accesses are of 4 and 8 bytes and never reach the device", () => {
  const { fn, device } = withMessages("msix");
  fn.barWrite64(0, 0x410, 0x0000_0012_3456_7897n);
  fn.barWrite64(0, 0x418, 0xffff_fffe_aaaa_5555n);
  assertEquals(fn.barRead(0, 0x410, 4), 0x3456_7894);
  assertEquals(fn.barRead64(0, 0x410), 0x0000_0012_3456_7894n);
  assertEquals(fn.barRead64(0, 0x418), 0x0000_0000_aaaa_5555n, "reserved bits of vector control");
  for (const size of [1, 2] as const) {
    fn.barWrite(0, 0x410, size, 0);
    assertEquals(fn.barRead(0, 0x410, size), size === 1 ? 0xff : 0xffff);
    assertEquals(fn.barRead(0, 0x410, 4), 0x3456_7894);
  }
  fn.barWrite(0, 0x200, 4, 0xffff_ffff);
  fn.barWrite64(0, 0x208, ~0n);
  assertEquals(fn.barRead64(0, 0x200), 0n, "pending bits are read-only");
  assertEquals(device.log, []);
  fn.barRead(0, 0x210, 4);
  fn.barRead(0, 0x400 + 16 * 70, 4);
  fn.barRead(0, 0x1fc, 4);
  assertEquals(device.log, ["read 0 210 4", "read 0 860 4", "read 0 1fc 4"]);
});

Deno.test("PCI 3.0, 6.8.2: each MSI-X vector has an address and data of its own", () => {
  const { fn, device, sink } = withMessages("msix");
  command(fn, MEMORY | MASTER);
  fn.barWrite(0, 0x404 + 16 * 69, 4, 0x7);
  for (const vector of [0, 69, 70, 2048, -1]) device.host.interrupts.raise(vector);
  assertEquals(sink.messages, [[0xfee0_0000, 0x100, 0], [0x7_fee4_5000, 0x145, 69]]);
});

Deno.test("PCI 3.0, 6.8.2.9: a masked MSI-X vector is pending, and is sent once when unmasked", () => {
  const { fn, device, sink } = withMessages("msix");
  command(fn, MEMORY | MASTER);
  fn.barWrite(0, 0x40c + 16 * 65, 4, 1);
  device.host.interrupts.raise(65);
  device.host.interrupts.raise(65);
  assertEquals([sink.take(), fn.barRead64(0, 0x208)], [[], 2n]);
  fn.barWrite(0, 0x400 + 16 * 65, 4, 0xfee7_7000);
  fn.barWrite(0, 0x40c + 16 * 65, 4, 0);
  assertEquals([sink.messages, fn.barRead64(0, 0x208)], [[[0xfee7_7000, 0x141, 65]], 0n]);
});

Deno.test("PCI 3.0, 6.8.2.3: the function mask masks every vector, and its end sends what pends", () => {
  const { fn, device, sink } = withMessages("msix");
  command(fn, MEMORY | MASTER);
  fn.configWrite(0x42, 2, 0xc000);
  fn.barWrite(0, 0x40c + 16 * 3, 4, 1);
  for (const vector of [1, 3, 64]) device.host.interrupts.raise(vector);
  assertEquals([sink.take(), fn.barRead64(0, 0x200), fn.barRead64(0, 0x208)], [[], 0b1010n, 1n]);
  fn.barWrite(0, 0x41c, 4, 0);
  assertEquals(sink.take(), [], "the vector's own mask is not what holds it");
  fn.configWrite(0x42, 2, 0x8000);
  assertEquals([sink.take(), fn.barRead64(0, 0x200)], [[1, 64], 0b1000n]);
});

Deno.test("PCI 3.0, 6.8.2: an 8-byte write that unmasks sends the new data", () => {
  const { fn, device, sink } = withMessages("msix");
  command(fn, MEMORY | MASTER);
  fn.barWrite(0, 0x40c, 4, 1);
  device.host.interrupts.raise(0);
  fn.barWrite64(0, 0x408, 0x0000_0000_0000_0abcn);
  assertEquals(sink.messages, [[0xfee0_0000, 0xabc, 0]]);
});

Deno.test("PCI 3.0, 6.8.2: MSI-X layouts that cannot be are refused by name", () => {
  const cases: [number, number, number, number, string][] = [
    [0, 0, 0, 0x800, "1 to 2048"],
    [2049, 0, 0, 0x800, "1 to 2048"],
    [1, 3, 0, 0x800, "no memory BAR"],
    [1, 1, 0, 0x10, "no memory BAR"],
    [1, 0, 4, 0x800, "multiple of 8"],
    [1, 0, 0, 0x801, "multiple of 8"],
    [257, 0, 0, 0xff8, "BAR 0 has 0x1000 bytes"],
    [1, 0, 0, 0x1000, "BAR 0 has 0x1000 bytes"],
    [2, 0, 0, 0x18, "the table is at 0x0..0x1f"],
    [64, 0, 8, 0, ""],
  ];
  for (const [vectors, bar, tableOffset, pendingOffset, message] of cases) {
    const build = () =>
      host({
        bars: ALL,
        interrupts: { msix: { vectors, bar: bar as 0, tableOffset, pendingOffset } },
      });
    if (message === "") build();
    else assertThrows(build, RangeError, message);
  }
});

Deno.test("PciFunction takes MSI-X when software turns both message forms on", () => {
  const { fn, device } = host({
    interrupts: {
      msi: { vectors: 1 },
      msix: { vectors: 1, bar: 0, tableOffset: 0, pendingOffset: 0x10 },
    },
  });
  assertEquals(fn.capabilities.map(({ id, offset }) => [id, offset]), [[5, 0x40], [0x11, 0x50]]);
  fn.configWrite(0x42, 2, 1);
  fn.configWrite(0x52, 2, 0x8000);
  assertEquals(device.host.interrupts.mode, "msix");
});

Deno.test("PciFunction leaves vectors to a router that its host brings", () => {
  let mode: "msix" | null = null;
  const raised: number[] = [];
  const router: MessageRouter = {
    get mode() {
      return mode;
    },
    raise: (vector) => raised.push(vector),
    flush: () => {},
    reset: () => {},
    inspect: () => ({}),
  };
  const device = new FakeDevice({
    interrupts: {
      pin: 1,
      msix: { vectors: 2, bar: 0, tableOffset: 0, pendingOffset: 0x20 },
    },
  });
  const { fn, sink } = hostDevice(device, router);
  command(fn, MASTER);
  device.host.interrupts.setIntx(true);
  device.host.interrupts.raise(1);
  assertEquals([raised, sink.levels], [[], [true]]);
  mode = "msix";
  fn.refreshInterrupts();
  assertEquals([sink.levels, device.host.interrupts.mode], [[true, false], "msix"]);
  device.host.interrupts.raise(1);
  command(fn, 0);
  device.host.interrupts.raise(0);
  assertEquals(raised, [1], "the bus-master rule stays the function's");
  assertEquals(sink.messages, []);
});

// ---------------------------------------------------------------- capability lists

function everything(): FakeDevice {
  return new FakeDevice({
    bars: ALL,
    interrupts: {
      pin: 1,
      msi: { vectors: 8, perVectorMasking: true },
      msix: { vectors: 9, bar: 0, tableOffset: 0x800, pendingOffset: 0xf00 },
    },
    capabilities: [
      powerManagementCapability({ d1: true }),
      expressCapability({ endToEndPrefixes: 1 }),
      vendorCapability(Uint8Array.of(1, 2, 3, 4, 5, 6)),
      vendorCapability(Uint8Array.of(1)),
      advancedFeaturesCapability(),
    ],
    extendedCapabilities: [
      errorReportingCapability(),
      serialNumberCapability(0x0123_4567_89ab_cdefn),
      pasidCapability(),
      atsCapability(),
      priCapability({ capacity: 128, allocation: 64, allocationMask: 0x7f }),
      vendorExtendedCapability({ vsecId: 0x42, revision: 1, body: new Uint8Array(5) }),
    ],
  });
}

const LIST = [0x05, 0x11, 0x01, 0x10, 0x09, 0x09, 0x13];
const EXTENDED_LIST = [0x01, 0x03, 0x1b, 0x0f, 0x13, 0x0b];

/** What software finds by walking, with a bound in case the list is a ring. */
function walk(fn: PciFunction): { ids: number[]; extended: number[] } {
  const ids: number[] = [], extended: number[] = [];
  assert((fn.configRead(spec.PCI_STATUS, 2) & spec.PCI_STATUS_CAP_LIST) !== 0);
  let offset = fn.configRead(spec.PCI_CAPABILITY_LIST, 1);
  while (offset !== 0 && ids.length < 64) {
    assert(offset >= 0x40 && offset % 4 === 0);
    ids.push(fn.configRead(offset, 1));
    offset = fn.configRead(offset + 1, 1);
  }
  offset = 0x100;
  while (offset !== 0 && extended.length < 1024) {
    assert(offset >= 0x100 && offset % 4 === 0);
    const header = fn.configRead(offset, 4);
    extended.push(header & 0xffff);
    offset = header >>> 20;
  }
  return { ids, extended };
}

Deno.test("PCI 3.0, 6.7: the capability lists hold every capability once, in order, and end", () => {
  const { fn } = hostDevice(everything());
  assertEquals(walk(fn), { ids: LIST, extended: EXTENDED_LIST });
});

Deno.test("PCI 3.0, 6.7: without capabilities there is no list", () => {
  const { fn } = host();
  assertEquals(fn.configRead(spec.PCI_STATUS, 2) & spec.PCI_STATUS_CAP_LIST, 0);
  assertEquals(fn.configRead(spec.PCI_CAPABILITY_LIST, 1), 0);
});

Deno.test("PCI 3.0, 6.7: capabilities that cannot be are refused by name", () => {
  const cases: [Parameters<typeof host>[0], string][] = [
    [{ extendedCapabilities: [atsCapability()] }, "no PCI Express capability"],
    [{ capabilities: [expressCapability(), expressCapability()] }, "two capabilities 0x10"],
    [{ capabilities: [{ ...vendorCapability(new Uint8Array(0)), id: 5 }] }, "ask for it by"],
    [{ capabilities: [vendorCapability(new Uint8Array(200))] }, "capabilities end at 0xff"],
    [{ capabilities: [{ ...vendorCapability(new Uint8Array(0)), id: 256 }] }, "IDs end at 0xff"],
    [{ capabilities: [{ id: 9, length: 1, initial: new Uint8Array(1) }] }, "its header alone 2"],
    [{
      capabilities: [{
        id: 9,
        length: 4,
        initial: new Uint8Array(4),
        writable: new Uint8Array(4).fill(0xff),
      }],
    }, "header would be writable"],
    [{ ident: { vendorId: 0xffff } }, "no function is there"],
    [{ ident: { classCode: 0x100_0000 } }, "it has 24 bits"],
    [{ interrupts: { pin: 5 as 4 } }, "1 to 4"],
  ];
  for (const [parts, message] of cases) assertThrows(() => host(parts), RangeError, message);
});

Deno.test("capability() and its like refuse what a register has no room for, by name", () => {
  const wide: [() => unknown, string][] = [
    [() => capability(9, 4, [{ at: 2, size: 1, initial: 0x100 }]), "0x2: it has 8 bits"],
    [() => capability(9, 4, [{ at: 2, size: 2, writable: 0x1_0000 }]), "`writable`"],
    [() => capability(9, 4, [{ at: 2, size: 2, clearable: -1 }]), "`clearable`"],
    [() => extendedCapability(9, 8, [{ at: 4, size: 4, kept: 2 ** 32 }]), "it has 32 bits"],
    [() => extendedCapability(9, 8, [{ at: 4, size: 4, initial: 0.5 }]), "Cannot use 0.5"],
    [() => priCapability({ capacity: 2 ** 32 }), "0x8: it has 32 bits"],
    [() => priCapability({ capacity: 1, allocation: -1 }), "0xc: it has 32 bits"],
    [() => priCapability({ capacity: 1, allocationMask: NaN }), "Cannot use NaN"],
  ];
  for (const [make, message] of wide) assertThrows(make, RangeError, message);
});

Deno.test("PCIe 5.0, 10.5.1: ATS takes STU and enable, and STU stays while enabled", () => {
  const { fn } = hostDevice(everything());
  const offset = extendedAt(fn, spec.PCI_EXT_CAP_ID_ATS);
  assertEquals(fn.configRead(offset + 4, 2), 0x0020);
  fn.configWrite(offset + 6, 2, 0x7fe3);
  assertEquals(fn.configRead(offset + 6, 2), 0x0003);
  fn.configWrite(offset + 6, 2, 0x8005);
  assertEquals(fn.configRead(offset + 6, 2), 0x8005);
  fn.configWrite(offset + 6, 2, 0x8001);
  assertEquals(fn.configRead(offset + 6, 2), 0x8005);
  fn.configWrite(offset + 6, 2, 0x0001);
  assertEquals(fn.configRead(offset + 6, 2), 0x0001);
});

Deno.test("PCIe 5.0, 10.5.2: PRI starts stopped, reset reads 0, RF and UPRGI clear by ones", () => {
  const { fn } = hostDevice(everything());
  const offset = extendedAt(fn, spec.PCI_EXT_CAP_ID_PRI);
  assertEquals(fn.configRead(offset + 4, 4), 0x0100_0000);
  fn.configWrite(offset + 4, 2, 0xffff);
  assertEquals(fn.configRead(offset + 4, 2), 1);
  fn.config.set(offset + 6, 2, 0x0103);
  fn.configWrite(offset + 6, 2, 0xfffe);
  assertEquals(fn.configRead(offset + 6, 2), 0x0101);
  fn.configWrite(offset + 8, 4, 0);
  fn.configWrite(offset + 12, 4, 0xffff_ffff);
  assertEquals([fn.configRead(offset + 8, 4), fn.configRead(offset + 12, 4)], [128, 0x7f]);
});

Deno.test("PCIe 5.0, 7.8.9: a PASID enable without its capability stays 0", () => {
  const cases: [Parameters<typeof pasidCapability>[0], number, number][] = [
    [{}, 0x1400, 1],
    [{ width: 0 }, 0, 1],
    [{ width: 8, execute: true }, 0x0802, 3],
    [{ privileged: true }, 0x1404, 5],
    [{ execute: true, privileged: true }, 0x1406, 7],
    [{ translated: true }, 0x1408, 9],
    [{ execute: true, privileged: true, translated: true }, 0x140e, 0xf],
  ];
  for (const [options, offered, control] of cases) {
    const { fn } = host({
      capabilities: [expressCapability()],
      extendedCapabilities: [pasidCapability(options)],
    });
    fn.configWrite(0x106, 2, 0xffff);
    assertEquals([fn.configRead(0x104, 2), fn.configRead(0x106, 2)], [offered, control]);
  }
  assertThrows(() => pasidCapability({ width: 21 }), RangeError, "0 to 20");
});

Deno.test("RegisterObserver sees offered bits, the value before, and may set read-only bits", () => {
  const seen: unknown[] = [];
  const { fn } = host({
    capabilities: [expressCapability()],
    extendedCapabilities: [
      priCapability({
        capacity: 1,
        observer: {
          placed: (registers) => seen.push(registers.get(spec.PCI_PRI_STATUS, 2)),
          written(registers, write) {
            seen.push([
              write.bits(spec.PCI_PRI_CTRL, 2),
              write.before(spec.PCI_PRI_CTRL, 2),
              write.touches(spec.PCI_PRI_STATUS, 2),
            ]);
            registers.set(spec.PCI_PRI_STATUS, 2, 0);
          },
          reading: (registers, offset, length) => {
            if (length === 2) registers.set(spec.PCI_PRI_MAX_REQ, 4, offset);
          },
        },
      }),
    ],
  });
  fn.configWrite(0x104, 2, 3);
  fn.configWrite(0x104, 1, 2);
  assertEquals(seen, [0x100, [3, 0, false], [2, 1, false]]);
  assertEquals(fn.configRead(0x104, 4), 0);
  assertEquals(fn.configRead(0x108, 2), 8);
});

// ---------------------------------------------------------------- resets and power

Deno.test("PCI 3.0, 4.3.1: a bus reset brings every register back, and deasserts the pin", () => {
  const { fn, device, sink } = hostDevice(everything());
  const before = fn.config.snapshot();
  for (let offset = 0; offset < 4096; offset += 4) {
    if (offset !== at(fn, spec.PCI_CAP_ID_PM) + 4) fn.configWrite(offset, 4, 0x7fff_7ffe);
  }
  command(fn, MEMORY | MASTER);
  fn.configWrite(at(fn, spec.PCI_CAP_ID_MSI) + 2, 2, 0);
  fn.configWrite(at(fn, spec.PCI_CAP_ID_MSIX) + 2, 2, 0);
  device.host.interrupts.setIntx(true);
  assertEquals(fn.intxAsserted, true);
  fn.barWrite(0, 0x800, 4, 0xfee0_0000);
  const resets = device.resets;
  fn.reset();
  assertEquals(fn.config.snapshot(), before);
  assertEquals([fn.intxAsserted, sink.levels.at(-1), device.resets], [false, false, resets + 1]);
  command(fn, MEMORY);
  assertEquals([fn.barRead(0, 0x800, 4), fn.barRead(0, 0x80c, 4)], [0, 1]);
});

for (
  const [name, trigger] of [
    ["PCIe 4.0, 6.6.2: Initiate Function Level Reset", (fn: PciFunction) => {
      const control = at(fn, spec.PCI_CAP_ID_EXP) + spec.PCI_EXP_DEVCTL;
      fn.configWrite(control, 2, fn.configRead(control, 2) | spec.PCI_EXP_DEVCTL_BCR_FLR);
      assertEquals(fn.configRead(control, 2) & spec.PCI_EXP_DEVCTL_BCR_FLR, 0);
    }],
    ["PCI Advanced Capabilities ECN: Initiate FLR", (fn: PciFunction) => {
      fn.configWrite(at(fn, spec.PCI_CAP_ID_AF) + spec.PCI_AF_CTRL, 1, 1);
      assertEquals(fn.configRead(at(fn, spec.PCI_CAP_ID_AF) + spec.PCI_AF_CTRL, 1), 0);
    }],
  ] as const
) {
  Deno.test(`${name} resets the function, except what it must keep`, () => {
    const { fn, device, sink } = hostDevice(everything());
    const express = at(fn, spec.PCI_CAP_ID_EXP), aer = extendedAt(fn, spec.PCI_EXT_CAP_ID_ERR);
    const before = fn.config.snapshot();
    fn.configWrite(0x10, 4, 0xfe00_0000);
    fn.configWrite(spec.PCI_INTERRUPT_LINE, 1, 11);
    fn.configWrite(express + spec.PCI_EXP_DEVCTL, 2, 0x0020);
    fn.configWrite(express + spec.PCI_EXP_LNKCTL, 2, 0x0043);
    fn.config.set(aer + spec.PCI_ERR_COR_STATUS, 4, 1);
    fn.configWrite(extendedAt(fn, spec.PCI_EXT_CAP_ID_ATS) + 6, 2, 0x8000);
    fn.configWrite(extendedAt(fn, spec.PCI_EXT_CAP_ID_PRI) + 4, 2, 1);
    fn.configWrite(extendedAt(fn, spec.PCI_EXT_CAP_ID_PASID) + 6, 2, 1);
    command(fn, MEMORY | MASTER);
    device.host.interrupts.setIntx(true);
    fn.configWrite(at(fn, spec.PCI_CAP_ID_MSI) + 2, 2, 1);
    fn.configWrite(at(fn, spec.PCI_CAP_ID_MSIX) + 2, 2, 0x8000);
    device.host.interrupts.raise(0);

    trigger(fn);

    assertEquals(device.resets, 1);
    const expected = before.slice();
    expected[express + spec.PCI_EXP_DEVCTL] = (expected[express + spec.PCI_EXP_DEVCTL] ?? 0) | 0x20;
    expected[express + spec.PCI_EXP_LNKCTL] = 0x43;
    expected[aer + spec.PCI_ERR_COR_STATUS] = 1;
    assertEquals(fn.config.snapshot(), expected);
    assertEquals([fn.intxAsserted, device.host.interrupts.mode], [false, "intx"]);
    assertEquals(device.host.memory.readU8(0 as Iova), Fault.BUS_MASTER_OFF);
    command(fn, MEMORY | MASTER);
    fn.configWrite(at(fn, spec.PCI_CAP_ID_MSIX) + 2, 2, 0x8000);
    fn.barWrite(0, 0x80c, 4, 0);
    assertEquals(sink.take(), [], "what was pending is dropped");
  });
}

Deno.test("PCIe 4.0, 7.5.3.3: a function without FLR ignores Initiate Function Level Reset", () => {
  const { fn, device } = host({ capabilities: [expressCapability({ functionLevelReset: false })] });
  command(fn, MASTER);
  fn.configWrite(0x48, 2, 0x8000);
  assertEquals([device.resets, fn.configRead(spec.PCI_COMMAND, 2)], [0, MASTER]);
});

Deno.test("PCIe 4.0, 6.6.2: a write beside Initiate FLR resets nothing", () => {
  const { fn, device } = hostDevice(everything());
  const express = at(fn, spec.PCI_CAP_ID_EXP);
  fn.configWrite(express + spec.PCI_EXP_DEVSTA, 2, 0xffff);
  fn.configWrite(express + spec.PCI_EXP_DEVCTL, 2, 0x7fff);
  fn.configWrite(express + spec.PCI_EXP_DEVCTL, 1, 0xff);
  fn.configWrite(at(fn, spec.PCI_CAP_ID_AF) + spec.PCI_AF_STATUS, 1, 0xff);
  assertEquals(device.resets, 0);
});

Deno.test("PCI Power Management 1.2, 5.4: outside D0 nothing answers but configuration space", () => {
  const { fn, device, sink } = hostDevice(everything());
  const control = at(fn, spec.PCI_CAP_ID_PM) + spec.PCI_PM_CTRL;
  fn.configWrite(0x10, 4, 0xfe00_0000);
  command(fn, MEMORY | IO | MASTER);
  device.host.interrupts.setIntx(true);
  const states: [number, "D1" | "D3hot"][] = [[1, "D1"], [3, "D3hot"]];
  for (const [state, name] of states) {
    fn.configWrite(control, 2, state);
    assertEquals(fn.power, name);
    assertEquals(fn.barRead(0, 0, 4), 0xffff_ffff);
    assertEquals(fn.decode("memory", 0xfe00_0000, 4), null);
    assertEquals(fn.intxAsserted, false);
    assertEquals(device.host.memory.readU8(0 as Iova), Fault.BUS_MASTER_OFF);
    assertEquals(fn.configRead(spec.PCI_COMMAND, 2), MEMORY | IO | MASTER);
    fn.configWrite(at(fn, spec.PCI_CAP_ID_MSI) + 2, 2, 1);
    device.host.interrupts.raise(0);
    assertEquals(sink.take(), []);
    fn.configWrite(at(fn, spec.PCI_CAP_ID_MSI) + 2, 2, 0);
    if (state === 1) {
      fn.configWrite(control, 2, 0);
      assertEquals([fn.barRead(0, 0, 4), fn.intxAsserted, device.resets], [0, true, 0]);
    }
  }
});

Deno.test("PCI Power Management 1.2, 3.2.4: a state that does not exist is discarded", () => {
  const { fn } = host({ capabilities: [powerManagementCapability()] });
  for (const state of [1, 2]) {
    fn.configWrite(0x44, 2, state);
    assertEquals([fn.power, fn.configRead(0x44, 2)], ["D0", 0]);
  }
  fn.configWrite(0x44, 2, 3);
  fn.configWrite(0x44, 2, 2);
  assertEquals([fn.power, fn.configRead(0x44, 2)], ["D3hot", 3]);
});

Deno.test("PCI Power Management 1.2, 5.4.1: D3hot to D0 resets, unless No_Soft_Reset is set", () => {
  for (const noSoftReset of [false, true]) {
    const { fn, device, sink } = host({
      interrupts: { pin: 1 },
      capabilities: [powerManagementCapability({ noSoftReset })],
    });
    fn.configWrite(0x10, 4, 0xfe00_0000);
    command(fn, MEMORY | MASTER);
    fn.configWrite(0x44, 2, 3);
    device.host.interrupts.setIntx(true);
    fn.configWrite(0x44, 2, 0);
    assertEquals(fn.power, "D0");
    assertEquals(device.resets, noSoftReset ? 0 : 1);
    assertEquals(fn.configRead(spec.PCI_COMMAND, 2), noSoftReset ? MEMORY | MASTER : 0);
    assertEquals(fn.barAddress(0), noSoftReset ? 0xfe00_0000 : 0);
    assertEquals(sink.levels, noSoftReset ? [true] : [], "nothing leaves on the way");
  }
});

// ---------------------------------------------------------------- hostile software

/** Dwords of `everything()` that software can change, and the bits of them, from the specifications. */
const WRITABLE: readonly (readonly [number, number])[] = [
  [0x004, 0x0000_0547], // command
  [0x00c, 0x0000_00ff], // cache line size
  [0x010, 0xffff_f000],
  [0x014, 0xffff_ffe0],
  [0x018, 0xffff_c000],
  [0x01c, 0xffff_ffff],
  [0x024, 0xffff_fffe],
  [0x03c, 0x0000_00ff], // interrupt line
  [0x040, 0x0071_0000], // MSI: control, address, data, masks
  [0x044, 0xffff_fffc],
  [0x048, 0xffff_ffff],
  [0x04c, 0x0000_ffff],
  [0x050, 0x0000_00ff],
  [0x058, 0xc000_0000], // MSI-X control
  [0x068, 0x0000_0003], // power state
  [0x074, 0x0000_79ff], // PCI Express: device, link, device 2, link 2 control
  [0x07c, 0x0000_02cb],
  [0x094, 0x0000_0010],
  [0x09c, 0x0000_002f],
  [0x108, 0x0017_f010], // error masks and severity
  [0x10c, 0x0017_f010],
  [0x114, 0x0000_31c1],
  [0x13c, 0x0001_0000], // PASID enable
  [0x144, 0x801f_0000], // ATS enable and unit
  [0x14c, 0x0000_0001], // PRI enable
  [0x154, 0x0000_007f], // PRI allocation
];

Deno.test("every bit that the specifications make writable is writable", () => {
  for (const [offset, mask] of WRITABLE) {
    for (let bit = 0; bit < 32; bit++) {
      const one = 2 ** bit;
      const { fn } = hostDevice(everything());
      const before = fn.configRead(offset, 4);
      fn.configWrite(offset, 4, (before ^ one) >>> 0);
      const changed = (before ^ fn.configRead(offset, 4)) >>> 0;
      // D2 does not exist here, so that its one bit alone is discarded.
      const expected = offset === 0x068 && bit === 1 ? 0 : (mask & one) >>> 0;
      assertEquals(changed, expected, `offset 0x${offset.toString(16)} bit ${bit}`);
    }
  }
});

Deno.test("any configuration writes keep the read-only bits and the capability lists", () => {
  const base = hostDevice(everything()).fn.config.snapshot();
  const changeable = new Uint8Array(4096);
  for (const [offset, mask] of WRITABLE) {
    for (let byte = 0; byte < 4; byte++) changeable[offset + byte] = mask >>> 8 * byte;
  }
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 });
  const writes = fc.array(fc.tuple(fc.integer({ min: -8, max: 4200 }), bytes), { maxLength: 60 });
  fc.assert(
    fc.property(writes, (sequence) => {
      const { fn, errors } = hostDevice(everything());
      for (const [offset, from] of sequence) fn.configWriteBytes(offset, from);
      const now = fn.config.snapshot();
      for (let offset = 0; offset < 4096; offset++) {
        const changed = (base[offset] ?? 0) ^ (now[offset] ?? 0);
        assertEquals(changed & ~(changeable[offset] ?? 0), 0, `offset 0x${offset.toString(16)}`);
      }
      assertEquals(walk(fn), { ids: LIST, extended: EXTENDED_LIST });
      assertEquals(errors, []);
    }),
    { numRuns: 150 },
  );
});

Deno.test("any BAR accesses throw nothing, and what is not wholly inside never reaches the device", () => {
  const access = fc.record({
    bar: fc.integer({ min: -1, max: 7 }),
    offset: fc.oneof(
      fc.integer({ min: -16, max: 0x4010 }),
      fc.constantFrom(2 ** 31, 2 ** 32 - 4, 2 ** 33 - 8, 2 ** 33, 2 ** 52, NaN, 0.5),
    ),
    from: fc.uint8Array({ maxLength: 20 }),
  });
  fc.assert(
    fc.property(fc.array(access, { maxLength: 40 }), (sequence) => {
      const { fn, device, errors } = hostDevice(everything());
      command(fn, MEMORY | IO);
      for (const { bar, offset, from } of sequence) {
        fn.barWriteBytes(bar, offset, from);
        fn.barReadBytes(bar, offset, from);
      }
      for (const line of device.log) {
        const [, bar, offset, size] = line.split(" ");
        const layout = ALL.find(({ index }) => index === Number(bar));
        assert(layout !== undefined, line);
        assert(parseInt(offset ?? "", 16) % Number(size) === 0, line);
        assert(parseInt(offset ?? "", 16) + Number(size) <= layout.size, line);
      }
      assertEquals(errors, []);
    }),
    { numRuns: 200 },
  );
});

Deno.test("a reset drops the device's work before it revokes pins: no interrupt leaves on the way", () => {
  const { fn, device, sink } = host({ interrupts: { pin: 1 } });
  command(fn, MEMORY | MASTER);
  const pin = device.host.memory.pin(0 as Iova, 1, 1);
  assert(typeof pin !== "number");
  pin.onRevoke = () => device.host.interrupts.setIntx(true);
  device.reset = () => pin.release();
  fn.reset();
  assertEquals(sink.levels, []);
});
