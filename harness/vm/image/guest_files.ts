/**
 * What a guest image is made from: a kernel, its modules, and busybox.
 * @module
 */

import { join } from "@std/path";
import { cacheFolder, exists } from "../fetch/cache.ts";
import { runCommand } from "../fetch/command.ts";
import { GUEST } from "../fetch/component.ts";
import { fetchComponent } from "../fetch/fetch.ts";
import { debianHost } from "../fetch/host.ts";
import { readLock } from "../fetch/package_lock.ts";
import type { VmFiles } from "../qemu.ts";
import { VmError } from "../vm_error.ts";

/** Files of a Linux that can be a guest. */
export interface GuestFiles {
  /** A bzImage. */
  readonly kernel: string;
  /** The kernel's release: `6.12.107+deb13-cloud-amd64`. */
  readonly release: string;
  /** The folder that holds `kernel/`, `modules.dep` and `modules.builtin`. */
  readonly modules: string;
  /** A static busybox. */
  readonly busybox: string;
  /** Changes when one of the files does. */
  readonly stamp: string;
}

/** Debian's cloud kernel and busybox; the system's own where there is no Debian. @throws {VmError} */
export async function guestFiles(files: VmFiles): Promise<GuestFiles> {
  const host = await debianHost();
  if (typeof host === "string") return await systemFiles(host);
  const { folder } = await fetchComponent(GUEST, {
    cache: cacheFolder(),
    lock: await readLock(),
    network: files.network === "never" ? "never" : "pinned",
    listener: files.listener,
    signal: files.signal,
    prepare: indexModules,
  });
  const modules = await modulesRoot(folder);
  return {
    kernel: join(folder, "boot", `vmlinuz-${modules.release}`),
    release: modules.release,
    modules: join(modules.base, "lib/modules", modules.release),
    busybox: join(folder, "usr/bin/busybox"),
    // Its name is a sum of the packages.
    stamp: folder,
  };
}

/** Where a package has put its modules: `lib/modules`, or `usr/lib/modules` since trixie. */
async function modulesRoot(folder: string): Promise<{ base: string; release: string }> {
  for (const base of [join(folder, "usr"), folder]) {
    const path = join(base, "lib/modules");
    if (!await exists(path)) continue;
    for await (const entry of Deno.readDir(path)) return { base, release: entry.name };
  }
  throw new VmError(
    `Cannot find kernel modules in ${folder}`,
    `rm -r ${folder}  and run this again`,
  );
}

/** Packages leave `modules.dep` to a script of theirs; busybox, being static, runs here as well. */
async function indexModules(folder: string): Promise<void> {
  const { base, release } = await modulesRoot(folder);
  const busybox = join(folder, "usr/bin/busybox");
  const result = await runCommand(busybox, ["depmod", "-b", base, release]);
  const index = join(base, "lib/modules", release, "modules.dep");
  if (result !== null && result.code === 0 && await exists(index)) return;
  throw new VmError(
    `Cannot list what the kernel's modules need: ${(result?.stderr ?? "busybox does not run")}`,
    "see that the cache folder is not mounted noexec, or `export VIADUCT_CACHE=/another/folder`",
  );
}

/**
 * The first of `paths` that is there. `why` says why the system's own kernel is wanted.
 * @throws {VmError} when there is none, or it may not be read
 */
export async function systemKernel(paths: readonly string[], why: string): Promise<string> {
  for (const path of paths) {
    try {
      (await Deno.open(path)).close();
      return path;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) continue;
      throw new VmError(
        `Cannot read ${path}, the kernel of this system: ${(error as Error).message}`,
        `\`chmod a+r ${path}\` as root`,
        { cause: error },
      );
    }
  }
  throw new VmError(
    `Cannot find a kernel for the guest: ${why}, and there is no ${paths.join(", and no ")}`,
    "install the package of this system's kernel by this system's own means",
  );
}

async function systemFiles(why: string): Promise<GuestFiles> {
  const release = Deno.osRelease();
  const modules = `/lib/modules/${release}`;
  // Where most put it, and where some leave it.
  const kernel = await systemKernel([`/boot/vmlinuz-${release}`, `${modules}/vmlinuz`], why);
  if (!await exists(join(modules, "modules.dep"))) {
    throw new VmError(`Cannot find ${modules}/modules.dep`, "`depmod` as root");
  }
  const busybox = await staticBusybox();
  const stamps = await Promise.all([kernel, busybox].map(async (path) => {
    const { mtime, size } = await Deno.stat(path);
    return `${path} ${size} ${mtime?.getTime()}`;
  }));
  return { kernel, release, modules, busybox, stamp: stamps.join("\n") };
}

async function staticBusybox(): Promise<string> {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    for (const name of ["busybox", "busybox.static", "busybox-static"]) {
      const path = join(folder, name);
      if (await exists(path) && isStatic(await Deno.readFile(path))) return path;
    }
  }
  throw new VmError(
    "Cannot find a static busybox on PATH",
    "install it with this system's own means: the package is mostly called busybox-static",
  );
}

/** Whether a 64-bit ELF file asks for no loader: it has no program header of type PT_INTERP. */
function isStatic(elf: Uint8Array): boolean {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  if (elf.length < 64 || view.getUint32(0, true) !== 0x464c_457f || elf[4] !== 2) return false;
  const headers = Number(view.getBigUint64(32, true));
  const size = view.getUint16(54, true);
  const count = view.getUint16(56, true);
  if (size < 4 || headers + size * count > elf.length) return false;
  for (let i = 0; i < count; i++) {
    if (view.getUint32(headers + i * size, true) === 3) return false;
  }
  return true;
}
