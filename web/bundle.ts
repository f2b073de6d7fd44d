/**
 * The page's code: TypeScript to one script and one sheet, made by esbuild when the server starts
 * and kept by the content of everything that went in. Nothing of it comes from elsewhere when the
 * page runs.
 * @module
 */

import { fromFileUrl, join } from "@std/path";
import { OwnFolder } from "../harness/folder/own_folder.ts";

/** A file that the page loads. */
export interface Asset {
  /** `/assets/main-0123456789abcdef.js`: the content's hash is in its name, so it never changes. */
  readonly path: string;
  readonly mediaType: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What the page is made of. */
export interface Bundle {
  readonly script: Asset;
  /** Null when the client has no sheet. */
  readonly style: Asset | null;
}

/** Part of the key of what is kept: change it with the way bundles are made. */
const RECIPE = "1";
const CLIENT = fromFileUrl(new URL("./client/", import.meta.url));
const ENTRY = join(CLIENT, "main.tsx");
const SHEET = join(CLIENT, "styles.css");
const CONFIG = fromFileUrl(new URL("../deno.json", import.meta.url));
/** Bundles that are kept. */
const KEPT = 8;

/** Where bundles are kept; null when the system names no place. */
export function bundleCache(): string | null {
  const own = Deno.env.get("VIADUCT_CACHE");
  if (own !== undefined && own !== "") return join(own, "web");
  const xdg = Deno.env.get("XDG_CACHE_HOME");
  if (xdg !== undefined && xdg.startsWith("/")) return join(xdg, "viaduct", "web");
  const home = Deno.env.get("HOME");
  return home === undefined || home === "" ? null : join(home, ".cache", "viaduct", "web");
}

/** Whether the client is there at all. */
function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

interface Graph {
  /** Files of ours. */
  readonly files: readonly string[];
  /** Packages: their names, versions and folders. */
  readonly packages: readonly {
    readonly name: string;
    readonly version: string;
    readonly path: string;
  }[];
}

/** What `ENTRY` imports, by Deno's own rules; fetches packages that are missing, which may take its time. */
async function readGraph(signal: AbortSignal | null): Promise<Graph> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", `--config=${CONFIG}`, ENTRY],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
    ...(signal === null ? {} : { signal }),
  }).output();
  signal?.throwIfAborted();
  if (!success) throw new Error(`deno info failed: ${new TextDecoder().decode(stderr).trim()}`);
  const info = JSON.parse(new TextDecoder().decode(stdout)) as {
    readonly modules: readonly {
      readonly specifier: string;
      readonly local?: string;
      readonly error?: string;
    }[];
    readonly npmPackages?: Readonly<
      Record<
        string,
        { readonly name: string; readonly version: string; readonly localPath?: string }
      >
    >;
  };
  for (const { specifier, error } of info.modules) {
    if (error !== undefined) throw new Error(`${specifier}: ${error}`);
  }
  return {
    files: info.modules.flatMap(({ local, specifier }) =>
      local !== undefined && specifier.startsWith("file:") ? [local] : []
    ),
    packages: Object.values(info.npmPackages ?? {}).flatMap(({ name, version, localPath }) =>
      localPath === undefined ? [] : [{ name, version, path: localPath }]
    ),
  };
}

function hexOf(bytes: ArrayBuffer): string {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function sha256(parts: readonly (string | Uint8Array)[]): Promise<string> {
  const encoder = new TextEncoder();
  const digests: number[] = [];
  for (const part of parts) {
    const bytes = typeof part === "string" ? encoder.encode(part) : new Uint8Array(part);
    digests.push(...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
  }
  return hexOf(await crypto.subtle.digest("SHA-256", new Uint8Array(digests)));
}

/** Every sheet of the client's folder: one may import another. */
function sheets(folder: string): string[] {
  const found: string[] = [];
  for (const { name, isDirectory, isFile } of Deno.readDirSync(folder)) {
    if (isDirectory) found.push(...sheets(join(folder, name)));
    else if (isFile && name.endsWith(".css")) found.push(join(folder, name));
  }
  return found.sort();
}

async function keyOf({ files, packages }: Graph): Promise<string> {
  const sources = [...files, ...sheets(CLIENT)].sort();
  return (await sha256([
    RECIPE,
    ...packages.map(({ name, version }) => `${name}@${version}`).sort(),
    ...sources.flatMap((file) => [file, Deno.readFileSync(file)]),
  ])).slice(0, 32);
}

interface Built {
  readonly script: Uint8Array<ArrayBuffer>;
  readonly style: Uint8Array<ArrayBuffer> | null;
}

async function build({ packages }: Graph): Promise<Built> {
  const esbuild = await import("esbuild");
  const own = new OwnFolder("viaduct-bundle-");
  const folder = own.path;
  try {
    // esbuild looks for packages as Node does, in a folder of this name; Deno keeps them elsewhere.
    for (const { name, path } of packages) {
      const link = join(folder, "node_modules", name);
      await Deno.mkdir(join(link, ".."), { recursive: true });
      await Deno.symlink(path, link).catch((error) => {
        if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      });
    }
    const { outputFiles } = await esbuild.build({
      absWorkingDir: CLIENT,
      entryPoints: [
        { in: ENTRY, out: "main" },
        ...isFile(SHEET) ? [{ in: SHEET, out: "sheet" }] : [],
      ],
      outdir: join(folder, "out"),
      nodePaths: [join(folder, "node_modules")],
      preserveSymlinks: true,
      bundle: true,
      write: false,
      minify: true,
      format: "esm",
      platform: "browser",
      target: ["es2022"],
      jsx: "automatic",
      jsxImportSource: "preact",
      legalComments: "none",
      charset: "utf8",
      logLevel: "silent",
    });
    const named = (name: string) => outputFiles.find(({ path }) => path.endsWith(`/${name}`));
    const script = named("main.js")!.contents;
    const styles = [named("main.css"), named("sheet.css")].flatMap((file) =>
      file === undefined ? [] : [file.text]
    );
    return {
      script: new Uint8Array(script),
      style: styles.length === 0 ? null : new TextEncoder().encode(styles.join("\n")),
    };
  } finally {
    await esbuild.stop();
    await own.close();
  }
}

/** What was kept under `key`, or null. */
async function readKept(cache: string, key: string): Promise<Built | null> {
  try {
    const script = await Deno.readFile(join(cache, `${key}.js`));
    const style = await Deno.readFile(join(cache, `${key}.css`));
    return { script, style: style.length === 0 ? null : style };
  } catch {
    return null;
  }
}

/** Keeps a bundle, the script last, so that what is there is whole. Failing costs no more than time. */
async function keep(cache: string, key: string, { script, style }: Built): Promise<void> {
  try {
    await Deno.mkdir(cache, { recursive: true, mode: 0o700 });
    for (const [name, bytes] of [["css", style ?? new Uint8Array()], ["js", script]] as const) {
      const draft = join(cache, `${crypto.randomUUID()}.part`);
      await Deno.writeFile(draft, bytes);
      await Deno.rename(draft, join(cache, `${key}.${name}`));
    }
    const old: { readonly path: string; readonly ms: number }[] = [];
    for await (const { name } of Deno.readDir(cache)) {
      if (!/^[0-9a-f]{32}\.js$/.test(name)) continue;
      const path = join(cache, name);
      old.push({ path, ms: (await Deno.stat(path)).mtime?.getTime() ?? 0 });
    }
    for (const { path } of old.sort((a, b) => b.ms - a.ms).slice(KEPT)) {
      await Deno.remove(path);
      await Deno.remove(path.replace(/js$/, "css"));
    }
  } catch {
    // A folder that cannot be written, or another process at the same work.
  }
}

async function assetOf(bytes: Uint8Array<ArrayBuffer>, extension: "js" | "css"): Promise<Asset> {
  const hash = (await sha256([bytes])).slice(0, 16);
  return {
    path: `/assets/main-${hash}.${extension}`,
    mediaType: extension === "js" ? "text/javascript; charset=utf-8" : "text/css; charset=utf-8",
    bytes,
  };
}

/**
 * The bundle, from the cache folder when nothing has changed. `signal` ends the wait for packages.
 * @throws {Error} that says what is wrong with the client, or the signal's reason
 */
export async function bundleClient(
  cache: string | null = bundleCache(),
  signal: AbortSignal | null = null,
): Promise<Bundle> {
  signal?.throwIfAborted();
  if (!isFile(ENTRY)) throw new Error("Cannot bundle the page: web/client/main.tsx is not there");
  const graph = await readGraph(signal);
  const key = await keyOf(graph);
  let built = cache === null ? null : await readKept(cache, key);
  if (built === null) {
    built = await build(graph);
    if (cache !== null) await keep(cache, key, built);
  }
  return {
    script: await assetOf(built.script, "js"),
    style: built.style === null ? null : await assetOf(built.style, "css"),
  };
}
