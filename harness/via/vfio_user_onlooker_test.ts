import { assert, assertEquals, assertRejects } from "@std/assert";
import { edu } from "../../devices/edu/mod.ts";
import { streamer } from "../../devices/streamer/mod.ts";
import type { Machine } from "../machine/machine.ts";
import { readDetail } from "../observe/device_detail.ts";
import { buildMachine } from "./registry.ts";
import { endServerProcesses } from "./vfio_user_process.ts";

/** A machine via vfio-user in a process that no other test has, and how many messages it had so far. */
async function withMachine(
  body: (machine: Machine, messages: () => number) => Promise<void>,
): Promise<void> {
  let count = 0;
  const machine = await buildMachine("vfio-user", {
    mode: "remap",
    memoryMib: 16,
    seed: 1,
    trace: "off",
    messages: () => count++,
  });
  try {
    await body(machine, () => count);
  } finally {
    await machine.close();
    await endServerProcesses();
  }
}

// The process with the devices is one of the runner's.
const test = { sanitizeOps: false, sanitizeResources: false };

Deno.test({
  ...test,
  name: "VfioUserDevice.onlooker leaves no message among those of the run, and hides no driver's",
  fn: () =>
    withMachine(async (machine, messages) => {
      const { target } = await machine.plug(edu, {});
      const before = messages();
      const { config } = await readDetail(target, null);
      assertEquals(config.slice(0, 8), "3412e811");
      assertEquals(messages(), before);
      await target.configRead(0, 4);
      assertEquals(messages(), before + 2);
    }),
});

Deno.test({
  ...test,
  name: "VfioUserDevice.onlooker does not hold a run up whose unmap waits for DMA in flight",
  fn: () =>
    withMachine(async (machine) => {
      const { target, endpoint, driver } = await machine.plug(streamer, {});
      await driver.setChunk(64);
      await driver.setOnRevoke("finish");
      const source = await machine.dmaBuffer(endpoint, 4096);
      const destination = await machine.dmaBuffer(endpoint, 4096);
      await driver.start({ source: source.iova, destination: destination.iova, length: 4096 });
      await machine.clock.advance(10);
      const unmapped = destination.unmap();
      const began = performance.now();
      await assertRejects(() => readDetail(target, null), Error, "waits for its DMA in flight");
      // A driver would be waited for: two seconds.
      assert(performance.now() - began < 1000);
      await machine.clock.advance(100);
      await unmapped;
      assertEquals((await readDetail(target, null)).endpoint, endpoint);
    }),
});
