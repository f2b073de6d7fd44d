import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { vmTest } from "./_machine.ts";

const ROOT = new URL("../..", import.meta.url);

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function startVm(...args: readonly string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "harness/cli/vm.ts", "--offline", ...args],
    cwd: ROOT,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** The process ID of the QEMU that a process has started. */
function qemuOf(pid: number): number {
  const read = (path: string): string => Deno.readTextFileSync(`/proc/${path}`);
  for (const { name: thread } of Deno.readDirSync(`/proc/${pid}/task`)) {
    for (const child of read(`${pid}/task/${thread}/children`).split(" ")) {
      if (child !== "" && read(`${child}/cmdline`).includes("qemu-system")) return Number(child);
    }
  }
  throw new Error(`Cannot find the QEMU of process ${pid}`);
}

/** Runs the command with this input, which it types at the guest's shell. */
async function vm(input: string, ...args: readonly string[]): Promise<Result> {
  const child = startVm(...args);
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

vmTest("deno task vm does what the README shows, with the device that it shows", async () => {
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  const source = /^```ts ignore doorbell\.ts\n([\s\S]*?)^```$/m.exec(readme)![1]!;
  const session = /^```text\n(Linux with doorbell [\s\S]*?)^```$/m.exec(readme)![1]!;
  const [introduction, ...lines] = session.trim().split("\n");
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  try {
    const file = join(folder, "doorbell.ts");
    await Deno.writeTextFile(file, source);
    const typed = lines.filter((line) => line.startsWith("~ # ")).map((line) => line.slice(4));
    const { code, stdout, stderr } = await vm(typed.join("\n") + "\n", "--device", file);
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, introduction!);
    assertStringIncludes(stderr, "Ctrl-A X leaves");
    const shown = stdout.replaceAll("\r", "").replaceAll("\x1b[6n", "");
    assertStringIncludes(shown, lines.join("\n"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

vmTest("deno task vm has several devices behind an IOMMU, and a driver for them", async () => {
  const input = "ls /sys/kernel/iommu_groups/*/devices\n" +
    "printf 'open vfio 0000:00:05.0\\nbr 0 0 0 4\\n' | pci_agent\n";
  const { code, stdout, stderr } = await vm(
    input,
    ...["--device", "streamer", "--device", "edu", "--iommu", "intel"],
  );
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, "0000:00:04.0");
  assertStringIncludes(stdout.replaceAll("\r", ""), "ok 0x0\nok 0x10000ed\n");
});

vmTest("deno task vm says what is wrong with a device, and boots nothing", async () => {
  const { code, stderr } = await vm("", "--device", "edo");
  assertEquals(code, 2);
  assertStringIncludes(stderr, "did you mean edu");
});

vmTest("deno task vm says how QEMU ended when nobody asked it to", async () => {
  const child = startVm();
  const lines = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  while (!said.includes("Ctrl-A X leaves")) {
    const { value } = await lines.read();
    assert(value !== undefined, said);
    said += value;
  }
  Deno.kill(qemuOf(child.pid), "SIGKILL");
  said = "";
  for (let part = await lines.read(); !part.done; part = await lines.read()) said += part.value;
  await Promise.all([child.stdin.close(), child.stdout.cancel()]);
  assertEquals((await child.status).code, 1);
  assertStringIncludes(said, "QEMU has ended (SIGKILL)\n");
});

vmTest("deno task vm says what is wrong with the folder of temporary files", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "harness/cli/vm.ts", "--offline"],
    cwd: ROOT,
    env: { TMPDIR: "/none" },
  }).output();
  assertEquals(code, 1);
  assertStringIncludes(new TextDecoder().decode(stderr), "To mend it: `export TMPDIR=");
});

/** Gives a command a terminal; of util-linux, which every Debian has. */
const SCRIPT = "/usr/bin/script";

vmTest("deno task vm gives the guest's console the size of the terminal", async () => {
  const command = [Deno.execPath(), "run", "-A", "--quiet", "harness/cli/vm.ts", "--offline"];
  const child = new Deno.Command(SCRIPT, {
    args: ["-qec", `stty rows 33 cols 71; exec ${command.join(" ")}`, "/dev/null"],
    cwd: ROOT,
    env: { SHELL: "/bin/sh" },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const keys = child.stdin.getWriter();
  const press = (text: string) => keys.write(new TextEncoder().encode(text));
  let shown = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const before = shown;
    shown += text;
    const comes = (what: RegExp) => !what.test(before) && what.test(shown);
    if (comes(/~ # /)) await press("stty size; echo e''nd\r");
    if (comes(/^end\r/m)) await press("\x01x");
  }
  await keys.close().catch(() => {});
  assertEquals((await child.status).code, 0, shown);
  assertEquals(/^\d+ \d+(?=\r)/m.exec(shown)?.[0], "33 71");
});
