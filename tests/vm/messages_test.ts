/**
 * What a driver in a guest sees of a function that Linux and QEMU have in their hands: MSI-X, ports,
 * and BARs of less than a page. The same scenario runs in every via.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import type { Report } from "../../harness/run/run_report.ts";
import { vmTest } from "./_machine.ts";

const ROOT = new URL("../..", import.meta.url);

/** Raises the vector that is written to it, by whichever of its BARs. */
const DEVICE = `
import { defineDevice } from ${JSON.stringify(new URL("mod.ts", ROOT).href)};
export const bells = defineDevice({
  type: "bells",
  module: import.meta.url,
  create: () => {
    let host, last = 0;
    return {
      type: "bells",
      ident: { vendorId: 0x1234, deviceId: 0xbe11, revisionId: 0, classCode: 0xff0000 },
      bars: [
        { index: 0, size: 64, kind: "mmio32" },
        { index: 1, size: 32, kind: "mmio32" },
        { index: 2, size: 16384, kind: "mmio64" },
        { index: 4, size: 16, kind: "io" },
      ],
      interrupts: { msi: { vectors: 4 }, msix: { vectors: 9, bar: 2, tableOffset: 4096, pendingOffset: 8192 } },
      attach(to) { host = to; },
      barRead: (bar, offset) => offset === 0 ? 0x100 * bar + last : 0x5eed,
      barWrite(bar, offset, size, value) {
        if (offset !== 0) return;
        last = value;
        host.interrupts.raise(value);
      },
      reset() { last = 0; },
      inspect: () => ({ last }),
    };
  },
  driver: (target) => target,
});
`;

const SCENARIO = `
import { scenario } from ${JSON.stringify(new URL("mod.ts", ROOT).href)};
import { bells } from "./_bells.ts";
const VECTORS = 9, TABLE = 4096, PENDING = 8192, MASK_ALL = 0x4000, ENABLE = 0x8000;
export default scenario("bells", { title: "bells", vias: ["direct", "vfio-user", "qemu"] }, async (t) => {
  const { driver: target } = await t.plug(bells, {});
  const taken = async () => {
    const counts = [];
    for (let v = 0; v < VECTORS; v++) counts.push(await target.takeInterrupts(v));
    return counts.join("");
  };
  const entry = (vector, word) => TABLE + 16 * vector + 4 * word;
  const mask = (vector, bit) => target.barWrite(2, entry(vector, 3), 4, bit);
  // QEMU keeps what is pending to itself, and has the server asked, which knows of no mask.
  const pends = async (name, bits) => {
    if (t.via === "qemu" && t.mode === "identity") return;
    t.equal(name, await target.barRead(2, PENDING, 4), bits);
  };
  const ring = (vector, bar = 2) => target.barWrite(bar, 0, 4, vector);

  await t.step("BARs", async () => {
    for (const bar of [0, 1, 2, 4]) {
      t.equal("BAR " + bar, await target.barRead(bar, 0, 4), 0x100 * bar);
      t.equal("behind it", await target.barRead(bar, 4, 4), 0x5eed);
      t.equal("outside", await target.barRead(bar, 16384, 4), 0xffff_ffff);
    }
    if ("barSize" in target) {
      const sizes = [0, 1, 2, 3, 4, 5].map((bar) => target.barSize(bar));
      t.equal("sizes", sizes, [64, 32, 16384, null, 16, null]);
    } else t.equal("sizes are the model's", t.via, "direct");
  });

  const find = async (id) => {
    let at = await target.configRead(0x34, 1);
    while (await target.configRead(at, 1) !== id) at = await target.configRead(at + 1, 1);
    return at;
  };
  await t.step("MSI, programmed by whole words", async () => {
    const msi = await find(5);
    const head = await target.configRead(msi, 4);
    await target.configWrite(msi + 4, 4, 0xfee0_0000);
    await target.configWrite(msi + 8, 4, 0);
    await target.configWrite(msi + 12, 4, 0x40);
    await target.configWrite(msi, 4, head + 0x21_0000);
    t.equal("the driver's data is kept", await target.configRead(msi + 12, 2), 0x40);
    for (const vector of [3, 1, 1, 0]) await ring(vector);
    t.equal("messages of its four vectors", await taken(), "120100000");
    await target.configWrite(msi, 4, head);
    await ring(2);
    t.equal("none when it is off", await taken(), "000000000");
  });

  const cap = await find(0x11);
  const flags = () => target.configRead(cap + 2, 2);
  const setFlags = (value) => target.configWrite(cap + 2, 2, value);

  await t.step("the table", async () => {
    t.equal("flags", await flags(), VECTORS - 1);
    t.equal("masked at first", await target.barRead(2, entry(3, 3), 4), 1);
    for (let v = 0; v < VECTORS; v++) {
      await target.barWrite64(2, entry(v, 0), 0xfee0_0003n);
      await target.barWrite64(2, entry(v, 2), BigInt(0x40 + v));
    }
    t.equal("holds what was written", await target.barRead64(2, entry(8, 0)), 0xfee0_0000n);
    t.equal("in both halves", await target.barRead64(2, entry(8, 2)), 0x48n);
    t.equal("takes no byte", await target.barRead(2, entry(8, 2), 1), 0xff);
    await pends("nothing is pending", 0);
  });

  await t.step("messages", async () => {
    await setFlags(ENABLE);
    t.equal("enabled", await flags(), ENABLE + VECTORS - 1);
    t.equal("none", await taken(), "000000000");
    for (const vector of [0, 5, 8, 5]) await ring(vector);
    t.equal("each of its own", await taken(), "100002001");
    for (const bar of [0, 1, 4]) await ring(bar, bar);
    t.equal("by each BAR", await taken(), "110010000");
  });

  await t.step("a mask", async () => {
    await mask(5, 1);
    await ring(5);
    await ring(4);
    await ring(5);
    t.equal("holds its vector back", await taken(), "000010000");
    await pends("which is pending", 1 << 5);
    await mask(5, 0);
    t.equal("until it goes", await taken(), "000001000");
    await pends("and not after", 0);
  });

  await t.step("the function's mask", async () => {
    await setFlags(ENABLE | MASK_ALL);
    t.equal("is there", await flags(), ENABLE + MASK_ALL + VECTORS - 1);
    await ring(1);
    await ring(2);
    t.equal("holds all back", await taken(), "000000000");
    await pends("which are pending", 6);
    await setFlags(ENABLE);
    t.equal("until it goes", await taken(), "011000000");
  });

  await t.step("off and on again", async () => {
    await setFlags(0);
    t.equal("flags", await flags(), VECTORS - 1);
    t.equal("the table is kept", await target.barRead(2, entry(8, 2), 4), 0x48);
    await setFlags(ENABLE);
    await ring(7);
    t.equal("one message", await taken(), "000000010");
    await target.reset();
    t.equal("off after a reset", await flags(), VECTORS - 1);
  });
});
`;

/** Behind QEMU's virtio-iommu, which remaps no interrupts, Linux gives a function one vector of MSI. */
const FEWER = `
import { scenario } from ${JSON.stringify(new URL("mod.ts", ROOT).href)};
import { bells } from "./_bells.ts";
const options = { title: "fewer", modes: ["remap"], vias: ["qemu"] };
export default scenario("fewer", options, async (t) => {
  const { driver: target } = await t.plug(bells, {});
  let at = await target.configRead(0x34, 1);
  while (await target.configRead(at, 1) !== 5) at = await target.configRead(at + 1, 1);
  let refusal = "none";
  await target.configWrite(at + 2, 2, 0x21).catch((error) => refusal = error.message);
  t.check("four are refused", refusal.endsWith("ENOSPC"), refusal);
  await target.configWrite(at + 2, 2, 0x01);
  await target.barWrite(2, 0, 4, 0);
  t.equal("one works", await target.takeInterrupts(0), 1);
});
`;

/** Runs a scenario that must pass, wherever it can. @returns where it ran */
async function passes(text: string, ...args: readonly string[]): Promise<string[]> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  try {
    await Deno.writeTextFile(join(folder, "_bells.ts"), DEVICE);
    await Deno.writeTextFile(join(folder, "scenario.ts"), text);
    const json = join(folder, "report.json");
    const { stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--quiet", "harness/cli/scenario.ts", folder, "--offline", "--jobs", "1"],
        ...["--reporter", "dot", "--json", json, ...args],
      ],
      cwd: ROOT,
    }).output();
    const said = new TextDecoder().decode(stderr);
    const report = await Deno.readTextFile(json).catch(() => "");
    assert(report !== "", said);
    const { runs } = JSON.parse(report) as Report;
    const wrong = runs.filter(({ status }) => status !== "passed").map((run) =>
      [run.mode, run.via, run.reason, ...run.errors ?? []].concat(
        run.checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`),
      ).join("\n")
    );
    assertEquals(wrong, [], said);
    return runs.map(({ mode, via }) => `${mode} ${via}`).sort();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

vmTest("a driver in a guest has MSI, MSI-X, ports and small BARs as in every via", async () => {
  const ran = await passes(SCENARIO, "--via", "direct,vfio-user,qemu", "--variant", "none");
  assertEquals(ran, [
    "identity direct",
    "identity qemu",
    "identity vfio-user",
    "remap direct",
    "remap qemu",
    "remap vfio-user",
  ]);
});

vmTest("a driver in a guest is told when Linux has fewer vectors than it asks for", async () => {
  const ran = await passes(FEWER, "--via", "qemu", "--variant", "virtio-iommu");
  assertEquals(ran, ["remap qemu"]);
});
