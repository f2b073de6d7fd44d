/**
 * QEMU and the guests of via `qemu`, fetched and built ahead of the first run.
 * @module
 */

import { TerminalListener } from "../vm/fetch/terminal_listener.ts";
import { guestImage } from "../vm/image/guest_image.ts";
import { qemuCommand, type VmFiles } from "../vm/qemu.ts";
import { VmError } from "../vm/vm_error.ts";
import { modulesFor } from "../vm/vm_options.ts";
import type { PrepareOptions } from "./prepare.ts";
import { qemuImage } from "./qemu_vm.ts";

/** Why this machine cannot run them, with the command that mends it; null when it can. @throws the signal's reason when it is aborted */
export async function missingForQemu(
  { terminal, network, signal }: PrepareOptions,
): Promise<string | null> {
  const listener = new TerminalListener(terminal);
  const files: VmFiles = { network, listener, signal };
  try {
    await qemuCommand(files);
    for (const iommu of ["none", "intel", "virtio"] as const) {
      const image = qemuImage(iommu);
      await guestImage({ ...image, modules: modulesFor({ iommu, image }) }, files);
    }
    return null;
  } catch (error) {
    if (error instanceof VmError) return error.message;
    throw error;
  } finally {
    listener.end();
  }
}
