/**
 * A C compiler for programs of the guest: the system's, or one from the cache.
 * @module
 */

import { basename, join } from "@std/path";
import { cacheFolder } from "../fetch/cache.ts";
import { type CommandResult, runCommand } from "../fetch/command.ts";
import { COMPILER } from "../fetch/component.ts";
import { fetchComponent } from "../fetch/fetch.ts";
import { readLock } from "../fetch/package_lock.ts";
import type { VmFiles } from "../qemu.ts";
import { VmError } from "../vm_error.ts";

/** Makes static programs from C. */
export interface Compiler {
  /** Differs when its output may. */
  readonly version: string;
  /** Compiles and links `sources` into a program at `into`. @throws {VmError} with what it complains of */
  compile(sources: readonly string[], into: string): Promise<void>;
}

const FLAGS = ["-O2", "-Wall", "-Wextra", "-Werror"];
const MACHINE = "x86_64-linux-gnu";

/** `CC`, or `cc` where it can link statically, or the one that is fetched. @throws {VmError} */
export async function findCompiler(files: VmFiles): Promise<Compiler> {
  const named = Deno.env.get("CC");
  const program = named || "cc";
  const version = await runCommand(program, ["--version"]);
  if (version !== null && version.code === 0 && (named || await hasLibrary(program))) {
    return systemCompiler(program, version.stdout, files.signal);
  }
  if (named) {
    throw new VmError(
      `Cannot run ${named}, which CC names as the C compiler`,
      "`unset CC`, or set it to one that can link statically",
    );
  }
  const { folder } = await fetchComponent(COMPILER, {
    cache: cacheFolder(),
    lock: await readLock(),
    network: files.network === "never" ? "never" : "pinned",
    listener: files.listener,
    signal: files.signal,
  });
  return await fetchedCompiler(folder, files.signal);
}

/** Whether it finds the C library for programs that need no other file: a compiler may come without. */
async function hasLibrary(program: string): Promise<boolean> {
  const found = await runCommand(program, ["-print-file-name=libc.a"]);
  // One that it does not find it names as it was asked for it.
  return found !== null && found.code === 0 && found.stdout.startsWith("/");
}

function systemCompiler(
  program: string,
  version: string,
  signal: AbortSignal | undefined,
): Compiler {
  return {
    version,
    async compile(sources, into) {
      const args = ["-static", ...FLAGS, ...sources, "-o", into];
      refuseFailure(await runCommand(program, args, { signal }), into);
    },
  };
}

/**
 * GCC's own programs, each through the fetched loader. Its driver cannot be used:
 * it would start them with the host's.
 */
async function fetchedCompiler(
  folder: string,
  signal: AbortSignal | undefined,
): Promise<Compiler> {
  const libraries = join(folder, "usr/lib", MACHINE);
  const release = await onlyEntry(join(folder, "usr/lib/gcc", MACHINE));
  const gcc = join(folder, "usr/lib/gcc", MACHINE, release);
  const run = async (path: string, args: readonly string[]): Promise<void> => {
    const loader = join(libraries, "ld-linux-x86-64.so.2");
    const front = ["--inhibit-cache", "--library-path", libraries, join(folder, path)];
    refuseFailure(await runCommand(loader, [...front, ...args], { signal }), basename(path));
  };
  const includes = [
    join(gcc, "include"),
    `${folder}/usr/include/${MACHINE}`,
    `${folder}/usr/include`,
  ]
    .flatMap((path) => ["-isystem", path]);
  const crt = (name: string): string => join(libraries, name);
  return {
    version: folder,
    async compile(sources, into) {
      const objects: string[] = [];
      for (const [i, source] of sources.entries()) {
        const draft = `${into}.${i}`;
        await run(`usr/libexec/gcc/${MACHINE}/${release}/cc1`, [
          ...["-quiet", "-nostdinc", ...includes, ...FLAGS, source, "-o", `${draft}.s`],
        ]);
        await run(`usr/bin/${MACHINE}-as`, ["--64", `${draft}.s`, "-o", `${draft}.o`]);
        await Deno.remove(`${draft}.s`);
        objects.push(`${draft}.o`);
      }
      await run(`usr/bin/${MACHINE}-ld`, [
        ...["-static", "-m", "elf_x86_64", "-z", "noexecstack", "-o", into],
        ...[crt("crt1.o"), crt("crti.o"), join(gcc, "crtbeginT.o"), ...objects],
        ...["--start-group", join(gcc, "libgcc.a"), join(gcc, "libgcc_eh.a"), crt("libc.a")],
        ...["--end-group", join(gcc, "crtend.o"), crt("crtn.o")],
      ]);
      for (const object of objects) await Deno.remove(object);
    },
  };
}

async function onlyEntry(folder: string): Promise<string> {
  for await (const entry of Deno.readDir(folder)) return entry.name;
  throw new Error(`Cannot find a compiler in ${folder}: it is empty`);
}

function refuseFailure(result: CommandResult | null, what: string): void {
  if (result !== null && result.code === 0) return;
  throw new VmError(
    `Cannot compile a program for the guest (${basename(what)}):\n` +
      (result?.stderr.trim() ?? "it does not run"),
    "`apt-get install gcc libc6-dev` as root, if headers or libc.a are missing",
  );
}
