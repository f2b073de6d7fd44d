/**
 * Via `vfio-user`, as the runner has it: the server process, how it dies, what is told of it,
 * variants, and the message log. Of the real program in a process of its own.
 * @module
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import * as v from "valibot";
import { type RunReport, RunSchema } from "../../harness/run/run_report.ts";
import { usualVariantOf } from "../../harness/via/variant.ts";
import { parseLine } from "../../protocols/vfio_user/message_line.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));

interface Result {
  readonly code: number;
  readonly runs: readonly RunReport[];
  readonly stderr: string;
}

async function run(args: readonly string[], env: Record<string, string> = {}): Promise<Result> {
  const command = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      "--quiet",
      "web/scenario.ts",
      "--reporter",
      "jsonl",
      ...args,
    ],
    cwd: ROOT,
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  const lines = decoder.decode(stdout).split("\n").filter((line) => line !== "");
  return {
    code,
    runs: lines.map((line) => v.parse(RunSchema, JSON.parse(line))),
    stderr: decoder.decode(stderr),
  };
}

function fixtures(...names: string[]): string[] {
  return names.map((name) => `tests/conformance/via_scenarios/${name}.ts`);
}

function pidsOf(run: RunReport): number[] {
  return /pid ([\d ]+)/.exec(run.log?.join("\n") ?? "")![1]!.split(" ").map(Number);
}

/** Whether a process is there and no zombie, whose end nobody has taken notice of yet. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
}

/** Waits for what another process does; fails when it has not after 10 s. */
async function eventually(what: string, is: () => boolean): Promise<void> {
  for (let tries = 0; !is(); tries++) {
    assert(tries < 1000, `${what}: not after 10 s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-via-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("--via vfio-user serves run after run by one process, which ends with them and leaves no file", async () => {
  await withFolder(async (folder) => {
    const result = await run([...fixtures("names_server"), "--jobs", "1", "--repeat", "3"], {
      TMPDIR: folder,
    });
    assertEquals(result.code, 0, result.stderr);
    const pids = new Set(result.runs.flatMap(pidsOf));
    assertEquals(pids.size, 1);
    const [pid] = pids;
    await eventually("the server process has ended", () => !isAlive(pid!));
    await eventually("its sockets are gone", () => [...Deno.readDirSync(folder)].length === 0);
  });
});

Deno.test("--via vfio-user fails the run whose server process is killed, by name of the signal, and goes on", async () => {
  const result = await run([...fixtures("kills_server", "names_server"), "--jobs", "1"]);
  assertEquals(result.code, 1);
  const killed = result.runs.find(({ scenario }) => scenario === "kills-server");
  const others = result.runs.filter(({ scenario }) => scenario !== "kills-server");
  assertEquals(killed!.status, "failed");
  assertEquals(killed!.reason, "The server process of the devices has ended (signal SIGKILL)");
  assertEquals(killed!.steps!.map(({ name, ok }) => [name, ok]), [["murder", false]]);
  assert(others.length >= 2);
  for (const { status } of others) assertEquals(status, "passed");
});

Deno.test("--via vfio-user ends a server process whose device loops for ever, with the run that timed out", async () => {
  await withFolder(async (folder) => {
    const result = await run([...fixtures("hangs_server", "names_server"), "--jobs", "1"], {
      TMPDIR: folder,
    });
    const hung = result.runs.find(({ scenario }) => scenario === "hangs-server");
    const others = result.runs.filter(({ scenario }) => scenario !== "hangs-server");
    assertEquals(hung!.status, "failed");
    assertEquals(hung!.reason, 'Timed out after 3000 ms in step "for ever"');
    const [pid] = pidsOf(hung!);
    await eventually("its server process has ended", () => !isAlive(pid!));
    await eventually("its sockets are gone", () => [...Deno.readDirSync(folder)].length === 0);
    for (const other of others) {
      assertEquals(other.status, "passed");
      assertNotEquals(pidsOf(other)[0], pid);
    }
  });
});

Deno.test("--via vfio-user ends the server process when the process of the scenario is killed", async () => {
  const result = await run([...fixtures("hangs_server"), "--jobs", "1", "--timeout", "1500"]);
  const [hung] = result.runs;
  assertStringIncludes(hung!.reason!, "Timed out after 1500 ms");
  await eventually("the server process has ended", () => !isAlive(pidsOf(hung!)[0]!));
});

const VIAS = ["direct", "vfio-user"] as const;

for (const via of VIAS) {
  const misbehaved = (way: string) =>
    run([...fixtures("misbehaves"), "--via", via, "--variant", "none"], { WAY: way });

  Deno.test(`a device that throws fails its run via ${via}, and the report says where`, async () => {
    const { runs: [report] } = await misbehaved("throws");
    assertEquals(report!.status, "failed");
    assertStringIncludes(
      report!.reason!,
      "Device misbehaved at 00:01.0 failed: DeviceError: Cannot read 4 bytes at BAR 0 offset 0x4",
    );
    assertStringIncludes(report!.errors!.join("\n"), "misbehaves.ts");
  });

  /** Way, register, and what the report must say of it. */
  const ODD: readonly (readonly [string, string, string])[] = [
    ["hides", "0x10", "the model threw: a value that cannot be shown"],
    ["nothing", "0x14", "the model returned undefined instead of an integer of 4 bytes"],
    ["promises", "0x18", "the model returned a promise instead of an integer of 4 bytes"],
  ];
  for (const [way, register, said] of ODD) {
    Deno.test(`a register of a device that ${way} reads all ones via ${via}, and the device is named`, async () => {
      const { runs: [report] } = await misbehaved(way);
      assertEquals(report!.status, "failed");
      assertEquals(report!.log, ["read 4294967295"]);
      assertStringIncludes(
        report!.reason!,
        `Device misbehaved at 00:01.0 failed: DeviceError: Cannot read 4 bytes at BAR 0 offset ${register} of misbehaved: ${said}`,
      );
      assertEquals(report!.errors?.length, 1, report!.errors?.join("\n"));
    });
  }

  /** Way, and what the device is named for. */
  const LATE: readonly (readonly [string, string, readonly string[]])[] = [
    ["writes late", "write 0x1 to 4 bytes at BAR 0 offset 0x1c of", ["threw: written too late"]],
    ["never ends a write", "write 0x1 to 4 bytes at BAR 0 offset 0x20 of", []],
    ["resets late", "reset", ["threw: reset too late"]],
    ["times late", "run deferred work of", ["threw: timed too late"]],
  ];
  for (const [way, operation, then] of LATE) {
    Deno.test(`a device that ${way}, by a promise, fails its run via ${via}, and is named`, async () => {
      const { runs: [report] } = await misbehaved(way);
      assertEquals(report!.status, "failed");
      const errors = report!.errors ?? [];
      for (const [index, said] of ["returned a promise instead of being done", ...then].entries()) {
        assertStringIncludes(
          errors[index] ?? "",
          `Device misbehaved at 00:01.0 failed: DeviceError: Cannot ${operation} misbehaved: the model ${said}`,
        );
      }
      assertEquals(errors.length, 1 + then.length, errors.join("\n"));
    });
  }

  Deno.test(`a device that throws at every access fails its run via ${via}, with a count of its errors`, async () => {
    const { runs: [report] } = await misbehaved("throws and throws");
    assertEquals(report!.status, "failed");
    assertStringIncludes(report!.reason!, "Cannot read 4 bytes at BAR 0 offset 0x20");
    const errors = report!.errors!;
    const more = 20_000 - (errors.length - 1);
    assertEquals(errors.at(-1), `Device misbehaved at 00:01.0 failed ${more} more times`);
  });

  Deno.test(`a device that cannot be made fails its run via ${via}`, async () => {
    const { runs: [report] } = await misbehaved("refuses");
    assertStringIncludes(report!.reason!, "RangeError: I will not be made");
  });

  Deno.test(`a device that is not made, for what cannot be shown, fails its run via ${via}`, async () => {
    const { runs: [report] } = await misbehaved("shuns");
    assertEquals(report!.status, "failed");
    assertMatch(report!.reason!, /^Threw .*(?:cannot be shown|null prototype)/);
  });

  for (
    const [way, said] of [
      ["inspect", "the model threw: look elsewhere"],
      ["inspects late", "the model returned a promise instead of an object"],
    ] as const
  ) {
    Deno.test(`a device's inspect() of way ${way} shows nothing and fails its run via ${via}, once`, async () => {
      const { runs: [report] } = await misbehaved(way);
      assertEquals(report!.status, "failed");
      assertEquals(report!.log, ["{}"]);
      assertStringIncludes(
        report!.reason!,
        `Device misbehaved at 00:01.0 failed: DeviceError: Cannot inspect misbehaved: ${said}`,
      );
      assertEquals(report!.errors?.length, 1, report!.errors?.join("\n"));
    });
  }

  Deno.test(`what a device prints is with its run via ${via}`, async () => {
    const { runs: [report] } = await misbehaved("prints");
    assertEquals(report!.status, "passed", report!.reason);
    assertEquals(report!.output?.trim(), "I am a device");
  });

  Deno.test(`a device that prints more than a pipe holds in one access goes on via ${via}`, async () => {
    const { runs: [report] } = await misbehaved("chatters");
    assertEquals(report!.status, "passed", report!.reason);
    assertMatch(report!.output!, /and on 2999\n*$/);
  });

  Deno.test(`a device that cannot migrate goes on where it is via ${via}`, async () => {
    const args = [...fixtures("moves_in_vain"), "--via", via, "--variant", "none"];
    const { runs: [report] } = await run(args);
    assertEquals(report!.status, "passed", JSON.stringify(report, null, 2));
    assertEquals(report!.checks.length, 6);
  });

  Deno.test(`a rejection that a device does not catch fails its run via ${via}`, async () => {
    const { runs: [report] } = await misbehaved("rejects");
    assertEquals(report!.status, "failed");
    assertStringIncludes(report!.reason!, "nobody caught me");
  });
}

Deno.test("--via vfio-user fails a run after which its server process has a memory file left", async () => {
  const { runs: [report] } = await run([...fixtures("misbehaves"), "--via", "vfio-user"], {
    WAY: "leaks",
  });
  assertEquals(report!.status, "failed");
  assertMatch(
    report!.reason!,
    /Something is left behind: the server process has \d+ descriptors in use, \d+ before; .*1 memory files open, 0 before/,
  );
});

Deno.test("--via vfio-user refuses what cannot be sent or made, leaves nothing of it, and goes on", async () => {
  const { runs: [report] } = await run([...fixtures("errs"), "--variant", "none"]);
  assertEquals(report!.status, "passed", JSON.stringify(report, null, 2));
  assertEquals(report!.checks.length, 8);
});

Deno.test("--via vfio-user refuses what would wait behind an unmap for ever, and says what to do", async () => {
  const { runs: [report] } = await run(fixtures("waits_behind"));
  assertEquals(report!.status, "passed", JSON.stringify(report, null, 2));
});

Deno.test("--via vfio-user also runs a scenario's usual variant, and names it in the report", async () => {
  const name = "edu-identify";
  const { runs } = await run([name, "--via", "vfio-user"]);
  const usual = usualVariantOf("vfio-user", name);
  const expected = usual === null ? [undefined] : [undefined, usual];
  assertEquals([...new Set(runs.map(({ variant }) => variant))], expected);
  assertEquals(runs.length, 2 * expected.length);
});

for (const variant of ["messages", "twin-socket"] as const) {
  Deno.test(`--variant ${variant} runs any scenario so, and the way to repeat it names it`, async () => {
    const { runs } = await run(["edu-dma-both-ways", "--variant", variant, "--mode", "remap"]);
    assertEquals(runs.map(({ via, variant }) => [via, variant]), [["vfio-user", variant]]);
    assertEquals(runs[0]!.status, "passed", runs[0]!.reason);
    const args = [...fixtures("kills_server"), "--variant", variant];
    const { runs: [failed] } = await run(args);
    assertStringIncludes(failed!.rerun!, `--via vfio-user --variant ${variant} --seed`);
  });
}

Deno.test("--variant refuses names that are none, and vias that have none", async () => {
  const unknown = await run(["edu-identify", "--variant", "mesages"]);
  assertEquals(unknown.code, 2);
  assertStringIncludes(unknown.stderr, "There is no --variant mesages");
  const direct = await run(["edu-identify", "--via", "direct", "--variant", "messages"]);
  assertEquals(direct.code, 2);
  assertStringIncludes(direct.stderr, "via direct with variant messages");
});

Deno.test("--messages writes a line a message, below what it belongs to", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "messages.log");
    const args = ["edu-dma-both-ways", "--via", "vfio-user", "--variant", "none,messages"];
    const result = await run([...args, "--jobs", "1", "--seed", "5", "--messages", file]);
    assertEquals(result.code, 0, result.stderr);
    const text = Deno.readTextFileSync(file);
    const headings = text.split("\n").filter((line) => line.startsWith("#"));
    assertEquals(headings, [
      "# edu-dma-both-ways identity via vfio-user seed 5: edu at 00:01.0",
      "# edu-dma-both-ways remap via vfio-user seed 5: edu at 00:01.0",
      "# edu-dma-both-ways identity via vfio-user (messages) seed 5: edu at 00:01.0",
      "# edu-dma-both-ways remap via vfio-user (messages) seed 5: edu at 00:01.0",
    ]);
    const lines = text.trimEnd().split("\n").filter((line) => !line.startsWith("#")).map((line) => {
      const parsed = parseLine(line);
      assert(parsed !== null, line);
      return parsed;
    });
    assertEquals(lines[0]!.name, "VERSION");
    const names = new Set(lines.map(({ name }) => name));
    for (const name of ["DMA_MAP", "REGION_WRITE", "DMA_READ", "DMA_WRITE", "DEVICE_SET_IRQS"]) {
      assert(names.has(name), name);
    }
    const replies = lines.filter(({ kind }) => kind === "reply");
    assert(replies.every(({ latencyUs }) => latencyUs !== null));
    assertEquals(replies.length * 2, lines.length);
  });
});

Deno.test("--messages writes a capture to a name with .pcapng", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "messages.pcapng");
    const result = await run(["edu-identify", "--via", "vfio-user", "--messages", file]);
    assertEquals(result.code, 0, result.stderr);
    const bytes = Deno.readFileSync(file);
    const view = new DataView(bytes.buffer);
    const blocks = new Map<number, number>();
    let at = 0;
    while (at < bytes.length) {
      const type = view.getUint32(at, true);
      const length = view.getUint32(at + 4, true);
      assertEquals(view.getUint32(at + length - 4, true), length);
      blocks.set(type, (blocks.get(type) ?? 0) + 1);
      at += length;
    }
    assertEquals(at, bytes.length);
    // A section, an interface a run, and packets.
    assertEquals(blocks.get(0x0a0d_0d0a), 1);
    assertEquals(blocks.get(1), result.runs.length);
    assert(blocks.get(6)! > 50);
  });
});

Deno.test("--trace has the DMA of devices in other processes, with the guest's addresses", async () => {
  await withFolder(async (folder) => {
    const args = ["edu-unmapped", "--mode", "remap", "--variant", "none", "--seed", "5"];
    const events = await Promise.all(VIAS.map(async (via) => {
      const file = join(folder, `${via}.json`);
      const result = await run([...args, "--via", via, "--trace", file]);
      assertEquals(result.code, 0, result.stderr);
      const trace = JSON.parse(Deno.readTextFileSync(file)) as {
        traceEvents: { name: string; ph: string; args?: Record<string, unknown> }[];
      };
      return trace.traceEvents
        .filter(({ name }) => name.startsWith("dma-") || name === "fault" || name === "map");
    }));
    const [direct, remote] = events;
    const shape = (all: typeof direct) => all!.map(({ name, args }) => [name, args?.length]);
    assert(direct!.length >= 20);
    assertEquals(shape(remote), shape(direct));
    // The server's own addresses start at 0; the guest's pages are scattered over all of RAM.
    const high = remote!.filter(({ name, args }) =>
      name.startsWith("dma-") && Number(args!.gpa) >= 2 ** 32
    );
    assert(high.length > 0);
  });
});
