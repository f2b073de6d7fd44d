/**
 * A remote function's configuration space through the real `lspci`.
 * @module
 */

import type { VfioUserClient } from "../../protocols/vfio_user/client/client.ts";
import { PCI_CFG_SPACE_EXP_SIZE, PCI_STD_HEADER_SIZEOF } from "../../devices/pci/spec.ts";
import { VfioPciRegion } from "../../protocols/vfio_user/vfio_spec.ts";
import { lspciDump } from "../export/lspci.ts";
import { PlaceError } from "./access.ts";

const { VFIO_PCI_CONFIG_REGION_INDEX: CONFIG } = VfioPciRegion;

/** All of the configuration space there is, 4096 bytes at most. */
export function readConfigSpace(client: VfioUserClient): Uint8Array {
  const { info, descriptor } = client.wait(client.regions.info(CONFIG));
  descriptor?.close();
  if (info.size < PCI_STD_HEADER_SIZEOF) {
    throw new PlaceError(
      `Cannot show the configuration space: it has ${info.size} bytes, and a header alone ` +
        `${PCI_STD_HEADER_SIZEOF}`,
    );
  }
  const config = new Uint8Array(Math.min(info.size, PCI_CFG_SPACE_EXP_SIZE));
  client.wait(client.regions.read(CONFIG, 0, config));
  return config;
}

/** What `lspci` said, or the dump that it would have read when there is no such program. */
export interface LspciOutput {
  readonly text: string;
  readonly complaints: string;
  /** As the program ended; 0 without it. */
  readonly code: number;
}

/** Runs `lspci -F` with further arguments over a dump of `config`. */
export async function showConfigSpace(
  config: Uint8Array,
  args: readonly string[],
): Promise<LspciOutput> {
  const dump = lspciDump([{ endpoint: 0, config }]);
  let process: Deno.ChildProcess;
  try {
    process = new Deno.Command("lspci", {
      // No file, which a signal would leave behind.
      args: ["-F", "/dev/stdin", ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return {
      text: dump,
      complaints: "There is no lspci here (Debian's package is pciutils): this is the dump that " +
        "`lspci -F FILE` reads\n",
      code: 0,
    };
  }
  // With options that it does not know it ends without reading.
  const written = new Blob([dump]).stream().pipeTo(process.stdin).catch(() => {});
  const { stdout, stderr, code } = await process.output();
  await written;
  const decoder = new TextDecoder();
  // With -v lspci also looks for kernel modules of this host, which say nothing about the device.
  const complaints = decoder.decode(stderr)
    .replace(/^lspci: Unable to load libkmod resources.*\n/m, "");
  return { text: decoder.decode(stdout), complaints, code };
}
