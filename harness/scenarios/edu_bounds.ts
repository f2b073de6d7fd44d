/**
 * The edges of edu's buffer. A transfer that is not wholly inside moves nothing,
 * ends, is counted, and interrupts as any other (rules 18 and 19).
 * @module
 */

import { hex, PAGE_SIZE } from "../../core/address.ts";
import { edu, EDU_BUFFER, EduTiming } from "../../devices/edu/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { deviceBuffer, eduErrors, fillDevice } from "./_edu.ts";
import { noFaults } from "./_faults.ts";

const START = BigInt(EDU_BUFFER.start);
const END = START + BigInt(EDU_BUFFER.length);
const TOP = 2n ** 64n - 1n;

const CASES: readonly { at: bigint; count: bigint; fits: boolean }[] = [
  { at: START, count: 4096n, fits: true },
  { at: START, count: 1n, fits: true },
  { at: END - 1n, count: 1n, fits: true },
  { at: START + 1n, count: 4095n, fits: true },
  { at: START, count: 0n, fits: true },
  { at: END, count: 0n, fits: true },
  { at: START, count: 4097n, fits: false },
  { at: START + 1n, count: 4096n, fits: false },
  { at: END - 1n, count: 2n, fits: false },
  { at: END, count: 1n, fits: false },
  { at: START - 1n, count: 1n, fits: false },
  { at: START - 1n, count: 4096n, fits: false },
  { at: START, count: TOP, fits: false },
  // These ends are back inside once 64 bits have wrapped.
  { at: START + 1n, count: TOP, fits: false },
  { at: TOP, count: START + 2n, fits: false },
  { at: 0n, count: 1n, fits: false },
];

export default scenario("edu-bounds", {
  title: "edu moves what fits its buffer of 4 KiB to the byte, and nothing of what does not",
  tags: ["edu", "dma"],
  vias: VIAS,
}, async (t) => {
  const device = await t.plug(edu, {});
  const { driver, target } = device;
  await driver.enableMsi();
  const ram = await t.dmaBuffer(device, 2 * PAGE_SIZE);
  const window = await t.dmaBuffer(device, PAGE_SIZE);

  for (const direction of ["to-device", "from-device"] as const) {
    await t.step(direction, async () => {
      for (const { at, count, fits } of CASES) {
        const name = `${hex(count)} bytes at ${hex(at)}`;
        const inDevice = t.randomBytes(PAGE_SIZE);
        const inRam = t.randomBytes(2 * PAGE_SIZE);
        await fillDevice(t, device, window, inDevice);
        ram.write(inRam);
        const { outOfBounds } = await eduErrors(device);
        await driver.startDma({
          source: direction === "to-device" ? ram.iova : at,
          destination: direction === "to-device" ? at : ram.iova,
          count,
          direction,
          interrupt: "raise",
        });
        await t.clock.advance(EduTiming.DMA_MS);
        if (fits) {
          const offset = Number(at - START);
          if (direction === "to-device") inDevice.set(inRam.subarray(0, Number(count)), offset);
          else inRam.set(inDevice.subarray(offset, offset + Number(count)));
        }
        t.check(`${name}: ended`, !await driver.dmaRunning());
        t.equal(`${name}: one message`, await target.takeInterrupts(0), 1);
        t.equal(
          `${name}: ${fits ? "not counted" : "counted as out of bounds"}`,
          (await eduErrors(device)).outOfBounds,
          Number(outOfBounds) + (fits ? 0 : 1),
        );
        t.equal(`${name}: RAM`, ram.read(), inRam);
        t.equal(`${name}: the device`, await deviceBuffer(t, device, window), inDevice);
      }
    });
  }
  await noFaults(t, "the bus was not asked for what does not fit");
});
