/**
 * Finds scenarios. Their files run as they are imported, so a child process
 * imports them: a file that loops or exits is named, and harms nobody.
 * @module
 */

import { fromFileUrl, isAbsolute, join, relative, toFileUrl } from "@std/path";
import type { ChildProcess } from "../child/child_process.ts";
import { parseDefinition } from "../child/child_schema.ts";
import { startChild } from "../child/child_start.ts";
import { describeBriefly } from "./describe_error.ts";
import type { CatalogEntry } from "./plan.ts";
import { didYouMean } from "../cli/suggest.ts";
import { UsageError } from "../cli/usage_error.ts";

/** Milliseconds a file may take to import. */
const LOAD_MS = 10_000;

/** Where scenarios live that are named without a path. */
const DEFAULT_FOLDER = fromFileUrl(new URL("../scenarios", import.meta.url));

/** Whether an argument names a file or folder, and no scenario. */
function isPath(argument: string): boolean {
  return argument.includes("/") || argument.endsWith(".ts");
}

/**
 * Scenario files of a folder: `*.ts`, but for tests and for what starts with an underscore, or with
 * a dot, as what editors put beside a file.
 */
function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)]
    .filter(({ name, isDirectory }) =>
      !isDirectory && name.endsWith(".ts") && !name.endsWith("_test.ts") && !/^[_.]/.test(name)
    )
    .map(({ name }) => join(folder, name))
    .sort()
    .map(realPath);
}

/** @throws {UsageError} for a link to nowhere */
function realPath(file: string): string {
  try {
    return Deno.realPathSync(file);
  } catch (error) {
    throw new UsageError(`Cannot load ${readable(file)}: ${describeBriefly(error)}`);
  }
}

function filesAt(argument: string): string[] {
  const path = isAbsolute(argument) ? argument : join(Deno.cwd(), argument);
  let stat: Deno.FileInfo;
  try {
    stat = Deno.statSync(path);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound
      ? `there is no such file or folder${isAbsolute(argument) ? "" : ` in ${Deno.cwd()}`}`
      : String(error);
    throw new UsageError(`Cannot read ${argument}: ${reason}`);
  }
  if (!stat.isDirectory) {
    if (path.endsWith(".ts")) return [realPath(path)];
    throw new UsageError(`Cannot load ${argument}: a scenario's file name must end with .ts`);
  }
  const files = filesIn(path);
  if (files.length === 0) {
    throw new UsageError(`Cannot find a scenario in ${argument}: the folder holds no *.ts file`);
  }
  return files;
}

/** A path as people write it: from the working folder on when it is inside. */
function readable(file: string): string {
  const path = relative(Deno.cwd(), file);
  return path.startsWith("..") ? file : path;
}

/** What {@linkcode loadCatalog} found. */
export interface Catalog {
  /** What was asked for, in order of names; by path first in order of arguments. */
  readonly entries: readonly CatalogEntry[];
  /** The process that has the files loaded, for the runner to go on with. */
  readonly child: ChildProcess;
}

/** Options of {@linkcode loadCatalog}. */
export interface CatalogOptions {
  /** Instead of `harness/scenarios`. */
  readonly folder?: string;
  /** Milliseconds for each file. */
  readonly loadMs?: number;
  /** Gets the child as it starts, so that an interrupt can end it. */
  readonly started?: (child: ChildProcess) => void;
}

interface Loaded {
  readonly file: string;
  readonly definition: unknown;
}

/** Imports the files in `child`. @throws {UsageError} that names each file that cannot be loaded */
function load(child: ChildProcess, files: readonly string[], loadMs: number): Promise<Loaded[]> {
  const loaded: Loaded[] = [];
  const refused: string[] = [];
  return new Promise((resolve, reject) => {
    let current: string | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const settle = (): void => {
      clearTimeout(timer);
      child.listener = null;
      if (refused.length === 0) return resolve(loaded);
      child.kill();
      reject(new UsageError(refused.join("\n")));
    };
    const refuse = (file: string | null, reason: string): void => {
      const what = file === null ? "the scenarios" : readable(fromFileUrl(file));
      refused.push(`Cannot load ${what}: ${reason}`);
    };
    const give = (reason: string): void => {
      refuse(current, reason);
      settle();
    };
    child.listener = {
      message(message) {
        clearTimeout(timer);
        switch (message.kind) {
          case "loading":
            current = message.file;
            timer = setTimeout(() => give(`it has not finished after ${loadMs} ms`), loadMs);
            break;
          case "loaded":
            loaded.push(message);
            break;
          case "refused":
            refuse(message.file, message.reason);
            break;
          case "load-end":
            settle();
            break;
          default:
            give(`its process sent ${message.kind} while it was loaded`);
        }
      },
      // What a file prints as it loads is no result; people see it when it is why.
      text() {},
      stderrMark() {},
      garbled(line) {
        give(`it wrote to the runner's channel: ${line.slice(0, 80)}`);
      },
      exited(how) {
        give(`it ended its process (${how})`);
      },
    };
    child.send({ kind: "load", files });
  });
}

/**
 * Loads what `names` ask for: scenario names, paths of files and folders, or all
 * of the default folder when there are none.
 * @throws {UsageError} for names and paths that are not there, and for files that are no scenarios
 */
export async function loadCatalog(
  names: readonly string[],
  options: CatalogOptions = {},
): Promise<Catalog> {
  const folder = options.folder ?? DEFAULT_FOLDER;
  const plain = names.filter((name) => !isPath(name));
  const byPath = new Set(names.filter(isPath).flatMap(filesAt));
  const wantFolder = plain.length > 0 || names.length === 0;
  const inFolder = new Set(
    wantFolder ? filesIn(folder) : [],
  );
  if (names.length === 0 && inFolder.size === 0) {
    throw new UsageError(
      `Cannot find a scenario in ${readable(folder)}: the folder holds no *.ts file`,
    );
  }
  const home = Deno.realPathSync(folder);

  const child = await startChild(options.started);
  try {
    const urls = [...new Set([...byPath, ...inFolder])].map((file) => toFileUrl(file).href);
    const entries: (CatalogEntry & { readonly path: string })[] = [];
    const wrong: string[] = [];
    for (const { file, definition } of await load(child, urls, options.loadMs ?? LOAD_MS)) {
      const path = fromFileUrl(file);
      const info = parseDefinition(definition);
      if (typeof info === "string") {
        wrong.push(`Cannot use the scenario in ${readable(path)}: ${info}`);
        continue;
      }
      const other = entries.find(({ name }) => name === info.name);
      if (other !== undefined) {
        wrong.push(
          `Cannot tell two scenarios apart: ${readable(other.path)} and ${
            readable(path)
          } are both named ${info.name}`,
        );
        continue;
      }
      const argument = join(path, "..") === home ? info.name : readable(path);
      entries.push({ ...info, file, path, argument });
    }
    if (wrong.length > 0) throw new UsageError(wrong.join("\n"));

    const known = entries.map(({ name }) => name);
    for (const name of plain) {
      if (!known.includes(name)) {
        throw new UsageError(
          `There is no scenario ${name}${
            didYouMean(name, known)
          }; --list shows the ${known.length} there are`,
        );
      }
    }
    const wanted = entries.filter(({ name, path }) =>
      names.length === 0 || byPath.has(path) || plain.includes(name)
    );
    return { entries: wanted.map(({ path: _, ...entry }) => entry), child };
  } catch (error) {
    child.kill();
    await child.ended;
    throw error;
  }
}
