/**
 * The QEMU that is run: the system's when it is new enough, otherwise the one of
 * the cache, through its own loader and with its own libraries.
 * @module
 */

import { join } from "@std/path";
import { cacheFolder } from "./fetch/cache.ts";
import { runCommand } from "./fetch/command.ts";
import { QEMU } from "./fetch/component.ts";
import { fetchComponent } from "./fetch/fetch.ts";
import type { FetchListener } from "./fetch/listener.ts";
import { readLock } from "./fetch/package_lock.ts";
import { VmError } from "./vm_error.ts";

/** The first version with the client of vfio-user. */
const OLDEST = [10, 1] as const;
const PROGRAM = "qemu-system-x86_64";

/** How QEMU is called: `program`, then `args`, then what the machine is to have. */
export interface QemuCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** As QEMU prints it: `11.1.3`. */
  readonly version: string;
}

/** How fetched things are looked for. */
export interface VmFiles {
  /** Whether the network may be used. */
  readonly network: "allowed" | "never";
  readonly listener: FetchListener;
  /** Breaks fetching and building off, at once: what was downloaded is gone on with another time. */
  readonly signal?: AbortSignal | undefined;
}

/** Major and minor from what `--version` prints, or null. */
export function parseQemuVersion(text: string): string | null {
  return /^QEMU emulator version (\d+\.\d+(?:\.\d+)?)/m.exec(text)?.[1] ?? null;
}

/** Whether a version knows vfio-user. */
export function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

/** Whether the system's QEMU was built with the client of vfio-user: not every distribution's is. */
async function hasClient(): Promise<boolean> {
  const help = await runCommand(PROGRAM, ["-device", "vfio-user-pci,help"]);
  // One that does not know the device exits with 0 as well.
  return help !== null && help.stdout.startsWith("vfio-user-pci options:");
}

/** Finds QEMU 10.1 or newer, or fetches it. @throws {VmError} */
export async function qemuCommand(files: VmFiles): Promise<QemuCommand> {
  const system = await runCommand(PROGRAM, ["--version"]);
  const version = system === null ? null : parseQemuVersion(system.stdout);
  if (version !== null && isNewEnough(version) && await hasClient()) {
    return { program: PROGRAM, args: [], env: {}, version };
  }
  const { folder } = await fetchComponent(QEMU, {
    cache: cacheFolder(),
    lock: await readLock(),
    network: files.network === "never" ? "never" : "pinned",
    listener: files.listener,
    signal: files.signal,
  });
  return await fetchedCommand(folder);
}

async function fetchedCommand(folder: string): Promise<QemuCommand> {
  const libraries = join(folder, "usr/lib/x86_64-linux-gnu");
  const command = {
    program: join(libraries, "ld-linux-x86-64.so.2"),
    args: [
      // Without its cache the loader cannot mix in a library of the host.
      "--inhibit-cache",
      "--library-path",
      libraries,
      join(folder, "usr/bin", PROGRAM),
      "-L",
      join(folder, "usr/share/qemu"),
      "-L",
      join(folder, "usr/share/seabios"),
    ],
    env: { QEMU_MODULE_DIR: join(libraries, "qemu") },
  };
  const result = await runCommand(command.program, [...command.args, "--version"], {
    env: command.env,
  });
  const version = result === null ? null : parseQemuVersion(result.stdout);
  if (version !== null && isNewEnough(version)) return { ...command, version };
  const said = (result?.stderr ?? "there is no loader in it").trim();
  throw new VmError(
    version === null
      ? `Cannot run the QEMU of ${folder}: ${said}`
      : `Cannot use QEMU ${version} of ${folder}: 10.1 is the first with vfio-user`,
    `rm -r ${folder}  and run this again; a folder mounted noexec cannot hold it`,
  );
}
