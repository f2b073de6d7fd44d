/**
 * The guest: a kernel as QEMU takes it, and an initramfs of busybox, the modules
 * asked for, and our agent as its first process.
 * @module
 */

import { join } from "@std/path";
import { gzipSync } from "node:zlib";
import { cacheFolder, ensureKept, exists, markUsed, writeWhole } from "../fetch/cache.ts";
import { runCommand } from "../fetch/command.ts";
import { sha256Parts } from "../fetch/sha256.ts";
import type { VmFiles } from "../qemu.ts";
import { VmError } from "../vm_error.ts";
import { findCompiler } from "./compiler.ts";
import { CpioWriter } from "./cpio.ts";
import { type GuestFiles, guestFiles } from "./guest_files.ts";
import { ModuleIndex } from "./modules.ts";
import { AGENT, compileProgram, type GuestProgram, MMIO } from "./programs.ts";
import { extractVmlinux } from "./vmlinux.ts";

/** Raised when the same inputs make another image. */
const LAYOUT_VERSION = "1";

/** A file for the guest. */
export interface GuestFile {
  /** Without the root: `etc/motd`. Folders above it are made. */
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly mode?: number;
}

/** What goes into an image. */
export interface ImageOptions {
  /** Modules that the first process loads, in this order, with parameters after a blank. */
  readonly modules?: readonly string[];
  /** Programs beside the agent and `mmio`. */
  readonly programs?: readonly GuestProgram[];
  readonly files?: readonly GuestFile[];
}

/** An image on disk. */
export interface GuestImage {
  /** For QEMU's `-kernel`. */
  readonly kernel: string;
  /** For QEMU's `-initrd`. */
  readonly initrd: string;
  /** The kernel's release. */
  readonly release: string;
}

/** Makes the image, or takes it from the cache when nothing in it has changed. @throws {VmError} */
export async function guestImage(options: ImageOptions, files: VmFiles): Promise<GuestImage> {
  const guest = await guestFiles(files);
  const compiler = await findCompiler(files);
  const cache = cacheFolder();
  try {
    const programs: GuestFile[] = [];
    for (const program of [AGENT, MMIO, ...options.programs ?? []]) {
      const bytes = await compileProgram(program, compiler, cache, files);
      programs.push({ path: program.path, bytes, mode: 0o755 });
    }
    return {
      kernel: await kernelFile(guest, cache, files),
      initrd: await initrdFile(guest, options, programs, cache, files),
      release: guest.release,
    };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new VmError(
      `Cannot make the guest's image: ${error.message}`,
      "`export VIADUCT_CACHE=/a/new/folder` and run this again with network access: " +
        `what ${cache} holds is damaged`,
      { cause: error },
    );
  }
}

/** The kernel unpacked, where that can be done. */
async function kernelFile(guest: GuestFiles, cache: string, files: VmFiles): Promise<string> {
  const path = join(cache, `vmlinux-${sha256Parts([guest.stamp]).slice(0, 16)}`);
  if (await exists(path)) {
    await markUsed(path);
    return path;
  }
  const vmlinux = extractVmlinux(await Deno.readFile(guest.kernel));
  if (vmlinux === null) return guest.kernel;
  await ensureKept(cache, path, files, () => writeWhole(path, vmlinux));
  return path;
}

async function initrdFile(
  guest: GuestFiles,
  options: ImageOptions,
  programs: readonly GuestFile[],
  cache: string,
  files: VmFiles,
): Promise<string> {
  const wanted = options.modules ?? [];
  const extra = options.files ?? [];
  const parts = [LAYOUT_VERSION, guest.stamp, wanted.join("\n")];
  for (const { path, mode } of [...programs, ...extra]) parts.push(`${path} ${mode ?? ""}`);
  const sum = sha256Parts([
    ...parts,
    ...[...programs, ...extra].map((file) => file.bytes),
  ]);
  const path = join(cache, `initrd-${sum.slice(0, 16)}.gz`);
  await ensureKept(cache, path, files, async () => {
    const archive = buildArchive({
      busybox: await Deno.readFile(guest.busybox),
      applets: await busyboxApplets(guest.busybox),
      modules: await moduleFiles(guest, wanted),
      files: [...programs, ...extra],
    });
    await writeWhole(path, new Uint8Array(gzipSync(archive)));
  });
  return path;
}

async function busyboxApplets(busybox: string): Promise<string[]> {
  const result = await runCommand(busybox, ["--list"]);
  if (result !== null && result.code === 0) return result.stdout.trim().split("\n");
  throw new VmError(
    `Cannot run ${busybox}`,
    "see that its folder is not mounted noexec, or `export VIADUCT_CACHE=/another/folder`",
  );
}

/** A module to load: its file, and the parameters it is given. */
interface LoadedModule {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly parameters: string;
}

async function moduleFiles(
  guest: GuestFiles,
  wanted: readonly string[],
): Promise<LoadedModule[]> {
  const read = (name: string): Promise<string> => Deno.readTextFile(join(guest.modules, name));
  const index = new ModuleIndex(await read("modules.dep"), await read("modules.builtin"));
  const loaded = new Map<string, LoadedModule>();
  for (const entry of wanted) {
    const [name = "", ...parameters] = entry.split(" ");
    const paths = index.resolve([name]);
    for (const path of paths) {
      const own = path === paths.at(-1) ? parameters.join(" ") : "";
      const before = loaded.get(path);
      const bytes = before?.bytes ?? await Deno.readFile(join(guest.modules, path));
      loaded.set(path, { path, bytes, parameters: own || (before?.parameters ?? "") });
    }
  }
  return [...loaded.values()];
}

/** What an archive is built from. */
export interface ArchiveContent {
  readonly busybox: Uint8Array;
  readonly applets: readonly string[];
  readonly modules: readonly LoadedModule[];
  readonly files: readonly GuestFile[];
}

/** The initramfs, not packed. */
function buildArchive(content: ArchiveContent): Uint8Array {
  const writer = new CpioWriter();
  const folders = new Set<string>();
  const makeFolders = (path: string): void => {
    const parts = path.split("/").slice(0, -1);
    for (let i = 1; i <= parts.length; i++) {
      const folder = parts.slice(0, i).join("/");
      if (!folders.has(folder)) writer.directory(folder);
      folders.add(folder);
    }
  };
  for (const folder of ["bin", "dev", "etc", "lib", "proc", "run", "sys", "tmp"]) {
    makeFolders(`${folder}/`);
  }
  // The kernel opens it for its first process before that can mount anything.
  writer.characterDevice("dev/console", 0o600, 5, 1);
  writer.file("bin/busybox", content.busybox, 0o755);
  const taken = new Set(content.files.map(({ path }) => path));
  for (const applet of content.applets) {
    const path = `bin/${applet}`;
    if (applet !== "busybox" && !taken.has(path)) writer.link(path, "busybox");
  }
  writer.link("sbin", "bin");
  const list: string[] = [];
  for (const { path, bytes, parameters } of content.modules) {
    makeFolders(`lib/modules/${path}`);
    writer.file(`lib/modules/${path}`, bytes);
    list.push(`/lib/modules/${path} ${parameters}`.trimEnd() + "\n");
  }
  writer.file("etc/modules", new TextEncoder().encode(list.join("")));
  for (const { path, bytes, mode } of content.files) {
    makeFolders(path);
    writer.file(path, bytes, mode ?? 0o644);
  }
  return writer.finish();
}
