/**
 * A machine whose devices live in another process against one whose devices live here: the
 * same calls in the same order come to the same bytes, faults, dirty pages and times.
 */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Access, type Gpa, type Iova, PAGE_SIZE } from "../../core/address.ts";
import { IommuError } from "../../core/iommu/iommu_error.ts";
import { edu, type EduDriver, EduTiming } from "../../devices/edu/mod.ts";
import { HIGH_RAM, type Machine, ROM } from "../../harness/machine/machine.ts";
import type { Mode, Plugged } from "../../harness/scenario.ts";
import { buildMachine } from "../../harness/via/registry.ts";
import { type Variant, variantsOf } from "../../harness/via/variant.ts";
import { endServerProcesses } from "../../harness/via/vfio_user_process.ts";

const DEVICES = 2;
const DOMAINS = 2;
const MIB = 2;
/** IOVAs of a few pages, so that calls meet. */
const SPACE = 12 * PAGE_SIZE;
const BASE = 0x10_0000;
/** Where mappings go: RAM below and above 4 GiB, the end of RAM and what is behind it, and ROM. */
const TARGETS = [0x1000, HIGH_RAM + 0x3000, MIB * 2 ** 19 - PAGE_SIZE, ROM.start, 2 ** 40];

interface Side {
  readonly machine: Machine;
  readonly devices: readonly Plugged<EduDriver>[];
  readonly domains: readonly number[];
}

/** What a call came to: its result, or how it was refused. */
type Call = (side: Side) => Promise<unknown>;

async function side(mode: Mode, variant: Variant | null): Promise<Side> {
  const machine = await buildMachine(variant === null ? "direct" : "vfio-user", {
    mode,
    memoryMib: MIB,
    seed: 1,
    trace: "off",
    ...(variant === null || variant === PLAIN ? {} : { variant }),
  });
  const devices: Plugged<EduDriver>[] = [];
  for (let at = 0; at < DEVICES; at++) {
    devices.push(await machine.plug(edu, { dmaMask: 2 ** 52 - 1 }, { attach: false }));
  }
  const domains: number[] = [];
  for (let at = 0; at < DOMAINS; at++) domains.push(await machine.iommu.createDomain());
  for (let at = 0; at < 64; at++) {
    const bytes = Uint8Array.from({ length: PAGE_SIZE }, (_, i) => i * 7 + at);
    machine.ram.write(at * PAGE_SIZE as Gpa, bytes);
    machine.ram.write(HIGH_RAM + at * PAGE_SIZE as Gpa, bytes);
  }
  return { machine, devices, domains };
}

/** Of vfio-user by itself. */
const PLAIN = "plain" as Variant;

const index = (bound: number) => fc.integer({ min: 0, max: bound - 1 });
const access = fc.constantFrom(0, Access.READ, Access.WRITE, Access.READ_WRITE);
/** Whole pages mostly, and otherwise any bytes. */
const range = fc.oneof(
  { weight: 3, arbitrary: fc.record({ page: index(12), pages: fc.integer({ min: 1, max: 3 }) }) },
  fc.record({ at: index(SPACE), bytes: fc.integer({ min: 1, max: 300 }) }),
).map((it) =>
  "page" in it
    ? { start: BASE + it.page * PAGE_SIZE, length: it.pages * PAGE_SIZE, skew: 0 }
    : { start: BASE + it.at, length: it.bytes, skew: it.at % 77 }
);

const map: fc.Arbitrary<[string, Call]> = fc
  .tuple(index(DOMAINS), range, fc.constantFrom(...TARGETS), access)
  .map(([domain, { start, length, skew }, target, access]) => [
    `map ${domain} ${start.toString(16)}+${length} to ${target.toString(16)} ${access}`,
    ({ machine, domains }) =>
      machine.iommu.map(domains[domain]!, start as Iova, target + skew as Gpa, length, access),
  ]);
const unmap: fc.Arbitrary<[string, Call]> = fc.tuple(index(DOMAINS), range)
  .map(([domain, { start, length }]) => [
    `unmap ${domain} ${start.toString(16)}+${length}`,
    ({ machine, domains }) => machine.iommu.unmap(domains[domain]!, start as Iova, length),
  ]);
const attach: fc.Arbitrary<[string, Call]> = fc.tuple(index(DEVICES), index(DOMAINS + 1))
  .map(([device, domain]) => [
    `attach ${device} ${domain}`,
    ({ machine, devices, domains }) => {
      const { endpoint } = devices[device]!;
      return domain === DOMAINS
        ? machine.iommu.detach(endpoint)
        : machine.iommu.attach(endpoint, domains[domain]!);
    },
  ]);
const dma: fc.Arbitrary<[string, Call]> = fc
  .tuple(
    index(DEVICES),
    fc.oneof(
      { weight: 4, arbitrary: index(SPACE).map((at) => BASE + at) },
      fc.constantFrom(0x1000, 0x3f80, HIGH_RAM + 0x3001, ROM.start, 2 ** 40, 2 ** 52 - 16),
    ),
    fc.integer({ min: 1, max: PAGE_SIZE }),
    fc.constantFrom("read", "write"),
  )
  .map(([device, start, count, direction]) => [
    `${direction} ${device} ${start.toString(16)}+${count}`,
    async ({ machine, devices }) => {
      const { driver } = devices[device]!;
      if (direction === "read") await driver.dmaToDevice(start, 0, count);
      else await driver.dmaFromDevice(0, start, count);
      await machine.clock.advance(EduTiming.DMA_MS);
    },
  ]);
const look: fc.Arbitrary<[string, Call]> = fc.oneof(
  fc.constant<[string, Call]>(["faults", ({ machine }) => machine.takeFaults()]),
  fc.constant<[string, Call]>(["log RAM", ({ machine }) => machine.memory.startDirtyTracking()]),
  fc.constant<[string, Call]>(["dirty RAM", ({ machine }) => machine.memory.takeDirtyPages()]),
  index(DOMAINS).map((domain): [string, Call] => [
    `log ${domain}`,
    ({ machine, domains }) =>
      machine.iommu.startDirtyTracking(domains[domain]!, BASE as Iova, SPACE),
  ]),
  index(DOMAINS).map((domain): [string, Call] => [
    `dirty ${domain}`,
    ({ machine, domains }) => machine.iommu.takeDirtyPages(domains[domain]!),
  ]),
  index(DEVICES).map((device): [string, Call] => [
    `migrate ${device}`,
    ({ machine, devices }) => machine.migrate(devices[device]!.endpoint),
  ]),
);
const calls = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: map },
    { weight: 2, arbitrary: unmap },
    { weight: 2, arbitrary: attach },
    { weight: 6, arbitrary: dma },
    { weight: 3, arbitrary: look },
  ).map(([name, call]) => Object.assign(call, { toString: () => name })),
  { minLength: 5, maxLength: 40 },
);

async function outcome(call: Call, side: Side): Promise<unknown> {
  try {
    return await call(side) ?? null;
  } catch (error) {
    if (error instanceof IommuError) return `refused: ${error.code}`;
    throw error;
  }
}

/** What the models show, but for why an access failed: behind a socket they cannot know it that well. */
async function inspected({ devices }: Side): Promise<unknown[]> {
  const all = await Promise.all(devices.map(({ target }) => target.inspect()));
  return all.map((state) =>
    JSON.parse(JSON.stringify(state, (key, value) => key === "reason" ? undefined : value))
  );
}

function ram({ machine }: Side): Uint8Array[] {
  return machine.ram.regions.map(({ bytes }) => bytes.slice());
}

for (const mode of ["identity", "remap"] as const) {
  for (const variant of [PLAIN, ...variantsOf("vfio-user")]) {
    Deno.test(`a machine via vfio-user does what one via direct does: ${mode}, ${variant}`, async () => {
      try {
        await fc.assert(
          fc.asyncProperty(calls, async (calls) => {
            const here = await side(mode, null);
            const there = await side(mode, variant);
            for (const call of calls) {
              const expected = await outcome(call, here);
              assertEquals(await outcome(call, there), expected, `${call}`);
            }
            assertEquals(await there.machine.takeFaults(), await here.machine.takeFaults());
            assertEquals(ram(there), ram(here));
            assertEquals(await inspected(there), await inspected(here));
            assertEquals(there.machine.clock.nowNs, here.machine.clock.nowNs);
            const { dmaReadBytes, dmaWriteBytes, faults } = there.machine.metrics();
            const metrics = here.machine.metrics();
            assertEquals(
              [dmaReadBytes, dmaWriteBytes, faults],
              [metrics.dmaReadBytes, metrics.dmaWriteBytes, metrics.faults],
            );
            assertEquals(there.machine.deviceErrors(), []);
            await there.machine.close();
            await here.machine.close();
          }),
          { numRuns: 30 },
        );
      } finally {
        await endServerProcesses();
      }
    });
  }
}
