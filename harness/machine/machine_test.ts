import { assert, assertEquals, assertRejects } from "@std/assert";
import { Access, type Gpa, type Iova } from "../../core/address.ts";
import { IommuError } from "../../core/iommu/iommu_error.ts";
import { edu } from "../../devices/edu/mod.ts";
import { defineDevice, type PciDevice, type PciHost } from "../../devices/pci/pci_device.ts";
import { HIGH_RAM, type Machine, ROM } from "./machine.ts";
import type { Mode } from "../scenario.ts";
import { buildMachine } from "../via/registry.ts";

function machine(mode: Mode, seed = 1): Promise<Machine> {
  return buildMachine("direct", { mode, memoryMib: 16, seed, trace: "on" });
}

const bytes = (length: number) => Uint8Array.from({ length }, (_, at) => (at * 7 + 3) & 0xff);

for (const mode of ["identity", "remap"] as const) {
  Deno.test(`Machine moves DMA both ways in mode ${mode}`, async () => {
    const m = await machine(mode);
    const device = await m.plug(edu, {});
    const from = await m.dmaBuffer(device.endpoint, 4096);
    const to = await m.dmaBuffer(device.endpoint, 4096);
    from.write(bytes(4096));
    await device.driver.dmaToDevice(from.iova, 0, 4096);
    await m.clock.advance(100);
    await device.driver.dmaFromDevice(0, to.iova, 4096);
    await m.clock.advance(100);
    assertEquals(to.read(), bytes(4096));
    assertEquals(await m.takeFaults(), []);
    const metrics = m.metrics();
    assertEquals([metrics.dmaReadBytes, metrics.dmaWriteBytes], [4096, 4096]);
    assertEquals(m.deviceErrors(), []);
    await m.close();
  });
}

Deno.test("Machine.dmaBuffer() is contiguous at its GPA in identity mode", async () => {
  const m = await machine("identity");
  const { endpoint } = await m.plug(edu, {});
  const buffer = await m.dmaBuffer(endpoint, 5 * 4096 - 1);
  assertEquals(buffer.length, 5 * 4096);
  assertEquals(buffer.pages.map(Number), [0, 1, 2, 3, 4].map((at) => buffer.iova + at * 4096));
  await buffer.unmap();
  await assertRejects(
    () => m.dmaBuffer(endpoint, 4096, { iova: 0x1000 as Iova }),
    Error,
    "in identity mode the IOVA is the GPA",
  );
});

Deno.test("Machine.dmaBuffer() is scattered over RAM below and above 4 GiB in remap mode", async () => {
  const m = await machine("remap");
  const { endpoint } = await m.plug(edu, {});
  const buffer = await m.dmaBuffer(endpoint, 16 * 4096);
  assert(buffer.pages.some((page) => page < HIGH_RAM));
  assert(buffer.pages.some((page) => page >= HIGH_RAM));
  assert(buffer.iova + buffer.length <= 2 ** 28);
  buffer.write(bytes(10_000), 3000);
  assertEquals(buffer.read(3000, 10_000), bytes(10_000));
  assertEquals(m.memory.cpu.readU8(buffer.pages[0]! + 3001 as Gpa), bytes(2)[1]!);
});

Deno.test("DmaBuffer.unmap() takes the device's access away, and the fault says where", async () => {
  const m = await machine("remap");
  const device = await m.plug(edu, {});
  const buffer = await m.dmaBuffer(device.endpoint, 4096);
  await buffer.unmap();
  await buffer.unmap();
  await m.clock.advance(1);
  await device.driver.dmaToDevice(buffer.iova, 0, 16);
  await m.clock.advance(100);
  assertEquals(await m.takeFaults(), [{
    endpoint: device.endpoint,
    pasid: null,
    iova: buffer.iova,
    access: Access.READ,
    reason: "unmapped",
    timeNs: 101e6,
  }]);
  assertEquals(await m.takeFaults(), []);
  assertEquals(m.metrics().faults, 1);
});

Deno.test("Machine.dmaBuffer() keeps the place and access asked for, and says so when it is taken", async () => {
  const m = await machine("remap");
  const { endpoint, domain } = await m.plug(edu, {});
  const iova = 0x10_0000 as Iova;
  const buffer = await m.dmaBuffer(endpoint, 8192, { iova, access: Access.READ });
  assertEquals(buffer.iova, iova);
  const before = 0xf_f000 as Iova;
  await assertRejects(() => m.dmaBuffer(endpoint, 8192, { iova: before }), IommuError, "overlaps");
  // The page that did fit was given back.
  await m.iommu.map(domain!, before, 0 as Gpa, 4096, Access.READ);
});

Deno.test("Machine.dmaBuffer() finds another place when the scenario has mapped its own", async () => {
  const places = async (taken: Iova | null) => {
    const m = await machine("remap");
    const { endpoint, domain } = await m.plug(edu, {});
    if (taken !== null) await m.iommu.map(domain!, taken, 0 as Gpa, 4096, Access.READ);
    return (await m.dmaBuffer(endpoint, 4096)).iova;
  };
  const first = await places(null);
  assert(await places(first) !== first);
});

Deno.test("Machine.plug() with attach false reaches nothing, in no domain", async () => {
  const m = await machine("remap");
  const device = await m.plug(edu, {}, { attach: false });
  assertEquals(device.domain, null);
  await assertRejects(() => m.dmaBuffer(device.endpoint, 1), Error, "attached to no domain");
  await device.driver.dmaToDevice(0, 0, 16);
  await m.clock.advance(100);
  assertEquals((await m.takeFaults()).map(({ reason }) => reason), ["no-domain"]);
});

Deno.test("Machine.plug() shares a domain when told, and gives each its own otherwise", async () => {
  const m = await machine("remap");
  const one = await m.plug(edu, {});
  const two = await m.plug(edu, {}, { domain: one.domain! });
  const three = await m.plug(edu, {});
  assertEquals(two.domain, one.domain);
  assert(three.domain !== one.domain);
  assertEquals([one, two, three].map(({ endpoint }) => endpoint), [0x08, 0x10, 0x18]);
});

Deno.test("Machine counts messages per vector, and shows the INTx level", async () => {
  const m = await machine("remap");
  const { driver, target } = await m.plug(edu, {});
  await driver.raiseInterrupt(1);
  assertEquals(await target.intxAsserted(), true);
  await driver.acknowledgeInterrupt(1);
  assertEquals(await target.intxAsserted(), false);
  await driver.enableMsi();
  await driver.raiseInterrupt(1);
  await driver.raiseInterrupt(2);
  assertEquals(await target.takeInterrupts(0), 2);
  assertEquals(await target.takeInterrupts(0), 0);
  assertEquals(await target.intxAsserted(), false);
});

Deno.test("Machine has ROM that no write changes", async () => {
  const m = await machine("identity");
  assert(m.memory.cpu.write(ROM.start, new Uint8Array([1])) < 0);
  assertEquals(m.memory.cpu.readU8(ROM.start), 0);
});

/** Throws wherever it is told to. */
function throwing(where: string) {
  return defineDevice({
    type: "throwing",
    module: import.meta.url,
    create(): PciDevice {
      const must = (here: string) => {
        if (here === where) throw new Error(`thrown in ${here}`);
      };
      return {
        type: "throwing",
        ident: { vendorId: 1, deviceId: 2, revisionId: 0, classCode: 0xff_0000 },
        bars: [{ index: 0, size: 4096, kind: "mmio32" }],
        attach: (host: PciHost) => {
          must("attach");
          host.clock.defer(5, () => must("timer"));
          host.clock.defer(5, () => must("timer"));
        },
        barRead: () => (must("barRead"), 7),
        barWrite: () => must("barWrite"),
        reset: () => must("reset"),
        inspect: () => ({}),
      };
    },
    driver: (target) => target,
  });
}

Deno.test("a device that throws reads all ones, is reported, and stops nothing", async () => {
  for (const where of ["barRead", "barWrite", "reset", "timer"]) {
    const m = await machine("remap");
    const { target } = await m.plug(throwing(where), {});
    const other = await m.plug(edu, {});
    const value = await target.barRead(0, 0, 4);
    assertEquals(value, where === "barRead" ? 0xffff_ffff : 7);
    await target.barWrite(0, 0, 4, 1);
    await m.clock.advance(10);
    assertEquals(m.clock.nowNs, 10e6);
    await target.reset();
    assertEquals(await other.driver.liveness(0), 0xffff_ffff);
    const errors = m.deviceErrors();
    assertEquals(errors.length, where === "timer" ? 2 : 1);
    assert(errors[0]!.startsWith("Device throwing at 00:01.0 failed"), errors[0]);
    assert(errors[0]!.includes(`thrown in ${where}`));
  }
});

Deno.test("a device that throws as it is plugged in leaves its place free", async () => {
  const m = await machine("remap");
  await assertRejects(() => m.plug(throwing("attach"), {}), Error, "thrown in attach");
  assertEquals((await m.plug(edu, {})).endpoint, 0x08);
});

Deno.test("Machine keeps a bounded number of a device's errors, and counts the rest", async () => {
  const m = await machine("remap");
  const { target } = await m.plug(throwing("barRead"), {});
  for (let access = 0; access < 1000; access++) await target.barRead(0, 0, 4);
  const errors = m.deviceErrors();
  assertEquals(errors.length, 9);
  assertEquals(errors[8], "Device throwing at 00:01.0 failed 992 more times");
});

Deno.test("Machine repeats its choices with its seed", async () => {
  const choices = async (seed: number) => {
    const m = await machine("remap", seed);
    const { endpoint } = await m.plug(edu, {});
    const { iova, pages } = await m.dmaBuffer(endpoint, 4 * 4096);
    return JSON.stringify({ iova, pages });
  };
  assertEquals(await choices(1), await choices(1));
  assert(await choices(1) !== await choices(2));
});

Deno.test("Machine tracks dirty pages by IOVA and by GPA", async () => {
  const m = await machine("remap");
  const device = await m.plug(edu, {});
  const buffer = await m.dmaBuffer(device.endpoint, 4 * 4096);
  await m.memory.startDirtyTracking();
  await m.iommu.startDirtyTracking(device.domain!, buffer.iova, buffer.length);
  await device.driver.dmaFromDevice(0, buffer.iova + 8192 - 4, 8);
  await m.clock.advance(100);
  assertEquals(
    (await m.iommu.takeDirtyPages(device.domain!)).map(Number),
    [buffer.iova + 4096, buffer.iova + 8192],
  );
  const expected = [buffer.pages[1]!, buffer.pages[2]!].sort((a, b) => a - b);
  assertEquals(await m.memory.takeDirtyPages(), expected);
  assertEquals(await m.memory.takeDirtyPages(), []);
});

Deno.test("Machine.clock.advance() refuses to go back", async () => {
  const m = await machine("remap");
  await assertRejects(() => m.clock.advance(-1), RangeError);
  await assertRejects(() => m.clock.advance(NaN), RangeError);
});
