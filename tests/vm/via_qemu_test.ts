/**
 * Runs via `qemu` that go wrong: each is told of, and takes nothing with it.
 * @module
 */

import { assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import type { Report } from "../../harness/run/run_report.ts";
import { parseLine } from "../../protocols/vfio_user/message_line.ts";
import { vmTest } from "./_machine.ts";

const ROOT = new URL("../..", import.meta.url);

/** A device that does what its registers are told: hang, or take its process down. */
const DEVICE = `
import { defineDevice } from ${JSON.stringify(new URL("mod.ts", ROOT).href)};
export const wicked = defineDevice({
  type: "wicked",
  module: import.meta.url,
  create: () => ({
    type: "wicked",
    ident: { vendorId: 0x1234, deviceId: 0xbad1, revisionId: 0, classCode: 0xff0000 },
    bars: [{ index: 0, size: 4096, kind: "mmio32" }],
    attach() {},
    barRead(_bar, offset) {
      if (offset === 12) for (;;);
      return 7;
    },
    barWrite(_bar, offset) {
      if (offset === 0) Deno.exit(5);
      if (offset === 4) for (;;);
      if (offset === 8) throw new Error("a bug of the model");
    },
    reset() {},
    inspect: () => ({}),
  }),
  driver: (target) => target,
});
`;

/** What a guest in need says; Linux itself is silent when a device does not answer. */
const LAST_WORDS = "Kernel panic - not syncing: for a test";
const CONSOLE = new RegExp(`the end of (?:its|the guest's) console:\n(?:.*\n)*${LAST_WORDS}`, "i");
/** Says so in the place of the guest. */
const SAY = `
  for (const { name } of Deno.readDirSync(Deno.env.get("TMPDIR"))) {
    if (!name.startsWith("viaduct-vm-")) continue;
    const log = Deno.env.get("TMPDIR") + "/" + name + "/console.log";
    Deno.writeTextFileSync(log, ${JSON.stringify(`${LAST_WORDS}\n`)}, { append: true });
  }
`;

function scenario(name: string, body: string): string {
  return `
import { scenario } from ${JSON.stringify(new URL("mod.ts", ROOT).href)};
import { wicked } from "./_wicked.ts";
export default scenario(${JSON.stringify(name)}, {
  title: ${JSON.stringify(name)},
  modes: ["remap"],
  vias: ["qemu"],
}, async (t) => {
  const { driver } = await t.plug(wicked, {});
  t.equal("it answers", await driver.barRead(0, 0, 4), 7);
  ${body}
});
`;
}

/** What Linux refuses to map leaves no trace in the machine's own tables. */
const REFUSED = `
  const { domain } = await t.plug(wicked, {});
  const [page] = t.memory.allocatePages(1);
  let refusal = "none";
  await t.iommu.map(domain, 0x10_0800, page, 64, 3).catch((error) => refusal = error.message);
  t.check("a part of a page is refused", refusal.includes("EINVAL"), refusal);
  await t.iommu.map(domain, 0x10_0000, page, 4096, 3);
  t.equal("the whole page is mapped", await t.iommu.unmap(domain, 0x10_0000, 4096), 4096);
`;

const FILES: Readonly<Record<string, string>> = {
  "_wicked.ts": DEVICE,
  "a_exits.ts": scenario("a-exits", "await driver.barWrite(0, 0, 4, 1);"),
  "b_fine.ts": scenario("b-fine", REFUSED),
  "c_hangs.ts": scenario("c-hangs", `${SAY} await driver.barRead(0, 12, 4);`),
  "d_fine.ts": scenario("d-fine", ""),
  "e_throws.ts": scenario("e-throws", "await driver.barWrite(0, 8, 4, 1);"),
  "f_fine.ts": scenario("f-fine", ""),
};

/** Runs the files of a folder, which is where QEMU's sockets are as well, and so name it. */
async function run(
  folder: string,
  files: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<{ readonly runs: Report["runs"]; readonly said: string }> {
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(join(folder, name), text);
  }
  const json = join(folder, "report.json");
  const { stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--quiet", "harness/cli/scenario.ts", folder, "--offline"],
      ...["--via", "qemu", "--variant", "none", "--jobs", "1", "--timeout", `${timeoutMs}`],
      ...["--reporter", "dot", "--json", json],
    ],
    cwd: ROOT,
    env: { TMPDIR: folder },
  }).output();
  const { runs } = JSON.parse(await Deno.readTextFile(json)) as Report;
  return { runs, said: new TextDecoder().decode(stderr) };
}

/** What of a run's machine is in a folder still. */
function leftIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name)
    .filter((name) => name.startsWith("viaduct-"));
}

/** Processes of QEMU whose command line names this folder of sockets. */
async function qemusOf(folder: string): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const line = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    if (line.includes("qemu") && line.includes(folder)) found.push(Number(name));
  }
  return found;
}

vmTest(
  "a run via qemu that goes wrong is told of, and the next one gets a whole machine",
  async () => {
    const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
    try {
      const { runs, said } = await run(folder, FILES, 60_000);
      assertEquals(
        runs.map(({ scenario, status }) => [scenario, status]),
        [
          ["a-exits", "failed"],
          ["b-fine", "passed"],
          ["c-hangs", "failed"],
          ["d-fine", "passed"],
          ["e-throws", "failed"],
          ["f-fine", "passed"],
        ],
        said + JSON.stringify(runs, null, 1),
      );
      const [exits, , hangs, , throws] = runs.map((run) =>
        [run.reason, ...run.errors ?? []].join("\n")
      );
      assertStringIncludes(exits!, "exit code 5");
      // Without waiting for the guest's silence, which takes as long to be noticed.
      assertLess(runs[0]!.durationMs, 20_000);
      assertStringIncludes(hangs!, "The server process of the devices hangs");
      assertMatch(hangs!, /The guest hangs: nothing heard for \d+ s while it ran "exec pci_agent"/);
      assertMatch(hangs!, CONSOLE);
      // In time: well before the runner would have ended it.
      assertLess(runs[2]!.durationMs, 40_000);
      assertStringIncludes(throws!, "a bug of the model");
      assertEquals(await qemusOf(folder), []);
      assertEquals(leftIn(folder), []);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

vmTest(
  "a run via qemu that times out ends with its console's last lines in the report",
  async () => {
    const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
    try {
      const files = {
        "_wicked.ts": DEVICE,
        // The scenario's own thread is kept busy, so that it can tell nothing.
        "a_loops.ts": scenario("a-loops", `${SAY} for (;;);`),
      };
      const { runs, said } = await run(folder, files, 15_000);
      assertEquals(runs[0]?.reason, "Timed out after 15000 ms", said);
      assertMatch(runs[0]!.errors!.join("\n"), CONSOLE);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

vmTest(
  "a run via qemu has its vfio-user messages in --messages, and its commands in --trace",
  async () => {
    const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
    try {
      const messages = join(folder, "messages.log"), trace = join(folder, "trace.json");
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "-A", "--quiet", "harness/cli/scenario.ts", "edu-dma-both-ways", "--offline"],
          ...["--via", "qemu", "--variant", "none", "--mode", "remap", "--seed", "5"],
          ...["--messages", messages, "--trace", trace],
        ],
        cwd: ROOT,
      }).output();
      const said = new TextDecoder().decode(stderr);
      assertEquals(code, 0, said);
      assertEquals(/stays without|left out/.test(said), false, said);
      const lines = (await Deno.readTextFile(messages)).trimEnd().split("\n");
      const headings = lines.filter((line) => line.startsWith("#"));
      assertEquals(headings.length, 1, headings.join("\n"));
      assertMatch(
        headings[0]!,
        /^# edu-dma-both-ways remap via qemu seed 5: edu at [0-9a-f]{2}:00\.0$/,
      );
      const parsed = lines.slice(1).map((line) => parseLine(line)!);
      assertEquals(parsed[0]?.name, "VERSION");
      const names = new Set(parsed.map(({ name }) => name));
      for (const name of ["DMA_MAP", "DMA_UNMAP", "REGION_WRITE", "DEVICE_SET_IRQS"]) {
        assertEquals(names.has(name), true, [...names].join());
      }
      const times = parsed.map(({ timeUs }) => timeUs);
      assertEquals(times, [...times].sort((a, b) => a - b));
      const { traceEvents } = JSON.parse(await Deno.readTextFile(trace)) as {
        traceEvents: { name: string; cat?: string; pid: number; args?: { name?: string } }[];
      };
      const maps = traceEvents.filter(({ name, cat }) => name === "DMA_MAP" && cat === "vfio-user");
      assertLess(0, maps.length);
      // On the device's own process of the trace, not the run's.
      const device = traceEvents.find(({ name, pid }) =>
        name === "process_name" && pid === maps[0]!.pid
      );
      assertMatch(device?.args?.name ?? "", /: edu [0-9a-f]{2}:00\.0$/);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
