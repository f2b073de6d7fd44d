import { assertEquals, assertRejects } from "@std/assert";
import { withSystemProgram } from "./_test_system.ts";
import { SILENT } from "./fetch/listener.ts";
import { VmError } from "./vm_error.ts";
import { isNewEnough, parseQemuVersion, qemuCommand } from "./qemu.ts";

Deno.test("parseQemuVersion() reads releases and distributions' builds", () => {
  assertEquals(
    parseQemuVersion("QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1~bpo13+1)\nCopyright"),
    "11.1.3",
  );
  assertEquals(parseQemuVersion("QEMU emulator version 10.1"), "10.1");
  assertEquals(parseQemuVersion("error while loading shared libraries"), null);
});

Deno.test("isNewEnough() draws the line at 10.1, by numbers and not by letters", () => {
  assertEquals(
    ["7.2.19", "9.10", "10.0.13", "10.1", "10.1.0", "10.10.2", "11.0", "100.0"].map(isNewEnough),
    [false, false, false, true, true, true, true, true],
  );
});

const KNOWN = "vfio-user-pci options:";
const UNKNOWN = "qemu-system-x86_64: -device vfio-user-pci,help: Device 'vfio-user-pci' not found";

/** With a QEMU that says this version, and this when it is asked for the client of vfio-user. */
const withSystemQemu = (version: string, help: string, body: () => Promise<void>) =>
  withSystemProgram(
    "qemu-system-x86_64",
    { "--version": `QEMU emulator version ${version}`, "-device vfio-user-pci,help": help },
    body,
  );

Deno.test("qemuCommand() takes the system's QEMU when that knows vfio-user, and no other", async () => {
  const find = () => qemuCommand({ network: "never", listener: SILENT });
  await withSystemQemu("10.1.0", KNOWN, async () => {
    assertEquals(await find(), {
      program: "qemu-system-x86_64",
      args: [],
      env: {},
      version: "10.1.0",
    });
  });
  for (const [version, help] of [["11.1.3", UNKNOWN], ["10.0.9", KNOWN]] as const) {
    await withSystemQemu(version, help, async () => {
      await assertRejects(find, VmError, "Cannot use QEMU offline");
    });
  }
});
