/**
 * Our programs for the guest: static C, compiled when an image is made.
 * @module
 */

import { basename, fromFileUrl, join } from "@std/path";
import { ensureKept, makeWhole, markUsed } from "../fetch/cache.ts";
import { sha256Parts } from "../fetch/sha256.ts";
import type { VmFiles } from "../qemu.ts";
import type { Compiler } from "./compiler.ts";

/** A program in C. */
export interface GuestProgram {
  /** Where it goes in the guest: `init`, `bin/mmio`. */
  readonly path: string;
  /** Files ending in `.c` are compiled; headers beside them count as its content too. */
  readonly sources: readonly URL[];
}

const guest = (...names: readonly string[]): URL[] =>
  names.map((name) => new URL(`../guest/${name}`, import.meta.url));

/** The guest's first process. */
export const AGENT: GuestProgram = {
  path: "init",
  sources: guest(
    "agent.c",
    "base64.c",
    "base64.h",
    "request.c",
    "request.h",
    "setup.c",
    "setup.h",
  ),
};

/** Reads and writes device registers. */
export const MMIO: GuestProgram = {
  path: "bin/mmio",
  sources: guest("mmio.c", "register.c", "register.h"),
};

/** Drives PCI functions for the harness: see `harness/vm/pci_agent.ts`. */
export const PCI_AGENT: GuestProgram = {
  path: "bin/pci_agent",
  sources: guest(
    "pci_agent.c",
    "pci_function.c",
    "pci_function.h",
    "pci_sysfs.c",
    "pci_vfio.c",
    "register.c",
    "register.h",
  ),
};

/** The compiled program, from the cache when its sources have not changed. @throws {VmError} */
export async function compileProgram(
  program: GuestProgram,
  compiler: Compiler,
  cache: string,
  files: VmFiles,
): Promise<Uint8Array<ArrayBuffer>> {
  const texts = await Promise.all(program.sources.map((source) => Deno.readTextFile(source)));
  const names = program.sources.map((source) => basename(source.pathname));
  const sum = sha256Parts([compiler.version, ...names, ...texts]).slice(0, 16);
  const folder = join(cache, `program-${sum}`);
  const path = join(folder, "program");
  await markUsed(folder);
  await ensureKept(cache, path, files, async () => {
    const sources = program.sources.map((source) => fromFileUrl(source))
      .filter((path) => path.endsWith(".c"));
    await makeWhole(folder, (draft) => compiler.compile(sources, join(draft, "program")));
  });
  return await Deno.readFile(path);
}
