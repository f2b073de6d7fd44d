import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { VmError } from "./vm_error.ts";
import { modulesFor, qemuArguments, type VmOptions, vmPaths } from "./vm_options.ts";

const image = { kernel: "/k", initrd: "/i", release: "6.12" };

function argumentsOf(options: VmOptions): string[] {
  return qemuArguments(options, image, vmPaths("/tmp/a,b"));
}

/** What follows each `name`. */
function values(args: readonly string[], name: string): string[] {
  return args.filter((_, i) => args[i - 1] === name);
}

Deno.test("qemuArguments() shares all of the guest's memory", () => {
  const args = argumentsOf({ memoryMib: 768 });
  assertEquals(values(args, "-m"), ["768M"]);
  assertEquals(values(args, "-object"), ["memory-backend-memfd,id=ram,size=768M,share=on"]);
  assertStringIncludes(values(args, "-machine")[0]!, "memory-backend=ram");
});

Deno.test("qemuArguments() takes RAM from a file, and parts it where it is told", () => {
  const args = argumentsOf({ memoryMib: 640, memoryFile: "/proc/1/fd/5,6", lowMemoryMib: 512 });
  assertEquals(values(args, "-object"), [
    "memory-backend-file,mem-path=/proc/1/fd/5,,6,id=ram,size=640M,share=on",
  ]);
  assertStringIncludes(values(args, "-machine")[0]!, ",max-ram-below-4g=512M");
});

Deno.test("qemuArguments() doubles the commas of paths", () => {
  const args = argumentsOf({ acpiTables: ["/t,1"] });
  assertStringIncludes(values(args, "-qmp")[0]!, "/tmp/a,,b/qmp");
  assertEquals(values(args, "-acpitable"), ["file=/t,,1"]);
});

Deno.test("qemuArguments() puts an IOMMU before every device", () => {
  for (const iommu of ["intel", "virtio"] as const) {
    const devices = values(argumentsOf({ iommu, devices: ["-device", "edu"] }), "-device");
    assertStringIncludes(devices[0]!, `${iommu}-iommu`);
    assertEquals(devices.at(-1), "edu");
  }
  assertStringIncludes(values(argumentsOf({ iommu: "intel" }), "-append")[0]!, "intel_iommu=on");
});

Deno.test("qemuArguments() puts the user's words last, so that they win", () => {
  const [append] = values(argumentsOf({ kernelArgs: ["loglevel=8"] }), "-append");
  assert(append!.endsWith(" loglevel=8"));
});

Deno.test("modulesFor() loads the driver of virtio-iommu before others", () => {
  assertEquals(
    modulesFor({ iommu: "virtio", image: { modules: ["vfio-pci"] } }),
    ["virtio-iommu", "vfio-pci"],
  );
  assertEquals(modulesFor({}), []);
});

Deno.test("vmPaths() refuses a folder that is too deep for sockets", () => {
  assertThrows(() => vmPaths("/tmp/" + "x".repeat(100)), VmError, "TMPDIR");
});
