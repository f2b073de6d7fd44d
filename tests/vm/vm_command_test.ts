import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { vmTest } from "./_machine.ts";

const ROOT = new URL("../..", import.meta.url);

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command with this input, which it types at the guest's shell. */
async function vm(input: string, ...args: readonly string[]): Promise<Result> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "harness/cli/vm.ts", "--offline", ...args],
    cwd: ROOT,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
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
