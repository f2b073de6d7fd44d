import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UsageError } from "./usage_error.ts";
import { parseVmCommand, type VmCommand } from "./vm_options.ts";

const DEFAULTS: VmCommand = {
  devices: ["edu"],
  iommu: "none",
  accelerator: "tcg",
  network: "allowed",
  memoryMib: 512,
  cpus: 1,
  dashboard: null,
};

function parse(...args: readonly string[]): VmCommand | null {
  return parseVmCommand(args, ["edu", "streamer"], () => {});
}

Deno.test("parseVmCommand() plugs edu in unless told", () => {
  assertEquals(parse(), DEFAULTS);
});

Deno.test("parseVmCommand() takes all its flags, and devices as often as they come", () => {
  assertEquals(
    parse("--device", "edu", "-d", "./mine.ts", "--iommu", "intel", "--offline", "--kvm"),
    {
      ...DEFAULTS,
      devices: ["edu", "./mine.ts"],
      iommu: "intel",
      accelerator: "kvm",
      network: "never",
    },
  );
  assertEquals(parse("--memory", "1024", "--cpus", "2"), {
    ...DEFAULTS,
    memoryMib: 1024,
    cpus: 2,
  });
  assertEquals(parse("--dashboard", "-d", "streamer"), {
    ...DEFAULTS,
    devices: ["streamer"],
    dashboard: 0,
  });
  assertEquals(parse("--dashboard=8080"), { ...DEFAULTS, dashboard: 8080 });
});

Deno.test("parseVmCommand() says what would be right", () => {
  for (
    const [wanted, ...args] of [
      ["none, intel, virtio", "--iommu", "amd"],
      ["from 128 to 16384", "--memory", "64"],
      ["from 1 to 16", "--cpus", "1.5"],
      ["from 0 to 65535", "--dashboard=x"],
      ["unknown option", "--fast"],
      ["too many arguments", "edu"],
    ] as const
  ) {
    assertThrows(() => parse(...args), UsageError, wanted);
  }
});

Deno.test("parseVmCommand() gives help, which says how to leave", () => {
  let text = "";
  assertEquals(parseVmCommand(["--help"], ["edu"], (more) => text += more), null);
  assertStringIncludes(text, "Ctrl-A X");
});
