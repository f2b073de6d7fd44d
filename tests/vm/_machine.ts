/**
 * Tests that boot a virtual machine: what they share, and what happens where none
 * can be had.
 * @module
 */

import { SILENT } from "../../harness/vm/fetch/listener.ts";
import { TerminalListener } from "../../harness/vm/fetch/terminal_listener.ts";
import { Terminal } from "../../harness/cli/terminal.ts";
import { guestImage } from "../../harness/vm/image/guest_image.ts";
import { qemuCommand } from "../../harness/vm/qemu.ts";
import { Vm } from "../../harness/vm/vm.ts";
import { VmError } from "../../harness/vm/vm_error.ts";
import type { VmOptions } from "../../harness/vm/vm_options.ts";

/** Where machines stand that tests put a device at. */
export const EDU = "0000:00:04.0";
/** QEMU's own edu, there. */
export const EDU_DEVICE: readonly string[] = ["-device", "edu,addr=04.0"];

/** Why no machine can be had here, or null. Said once and loudly; in CI it is an error. */
const missing: string | null = await (async () => {
  const listener = new TerminalListener(new Terminal(Deno.stderr));
  try {
    await qemuCommand({ network: "allowed", listener });
    await guestImage({}, { network: "allowed", listener });
    listener.end();
    return null;
  } catch (error) {
    if (!(error instanceof VmError) || Deno.env.get("CI") === "true") throw error;
    listener.notice(
      `SKIPPED: tests that boot a virtual machine. ${error.message.replaceAll("\n", "; ")}`,
    );
    return error.message;
  }
})();

/** A test that needs a machine. */
export function vmTest(name: string, body: (t: Deno.TestContext) => Promise<void>): void {
  Deno.test({ name, ignore: missing !== null, fn: body });
}

/** Boots a machine from what is in the cache. */
export function start(options: VmOptions = {}): Promise<Vm> {
  return Vm.start(options, { network: "allowed", listener: SILENT });
}

/** The address of a function's BAR in the guest. */
export async function barAddress(vm: Vm, device: string, bar: number): Promise<string> {
  const { stdout } = await vm.guest.run(
    `sed -n ${bar + 1}p /sys/bus/pci/devices/${device}/resource`,
  );
  return stdout.split(" ")[0]!;
}
