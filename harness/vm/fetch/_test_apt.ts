/**
 * Commands of Debian that do as told, for tests of fetching: one package, in one version.
 * @module
 */

import { join } from "@std/path";
import { debianHost } from "./host.ts";

/** Where there is no Debian nothing is fetched. */
export const NO_DEBIAN: boolean = typeof await debianHost() === "string";
if (NO_DEBIAN) {
  const message = "SKIPPED: tests of fetching from Debian's packages, since this is no Debian\n";
  Deno.stderr.writeSync(new TextEncoder().encode(message));
}

/** What the package is called. */
export const PACKAGE = "seabios=9.9-9";

const COMMANDS: Readonly<Record<string, string>> = {
  "apt-config": `
if [ "$1" = shell ]; then echo "list='$fake/none'"; echo "parts='$fake/parts'"; fi
`,
  "apt-cache": `
for word; do
  [ "$word" = "${PACKAGE}" ] || continue
  sum=$(cat "$fake/first" "$fake/rest" | sha256sum | cut -d' ' -f1)
  printf 'Package: seabios\nVersion: 9.9-9\nSHA256: %s\n\n' "$sum"
done
`,
  "apt-get": `
archives=$(dirname "$APT_CONFIG")/cache/archives
case "$*" in
*" -s "*) echo "Inst seabios (9.9-9 Debian:13/stable [all])" ;;
*--download-only*)
  if [ -e "$fake/hangs" ]; then
    cat "$fake/first" > "$archives/partial/seabios.deb"
    # Whoever reads knows that the download is under way.
    echo $$ > "$fake/hangs"
    exec sleep 60
  fi
  # Goes on with a part, and does without one.
  [ -e "$archives/partial/seabios.deb" ] && : > "$fake/resumed" ||
    cp "$fake/first" "$archives/partial/seabios.deb"
  cat "$fake/rest" >> "$archives/partial/seabios.deb"
  [ -e "$fake/tampered" ] && echo more >> "$archives/partial/seabios.deb"
  mv "$archives/partial/seabios.deb" "$archives/seabios_9.9-9_all.deb"
  ;;
esac
`,
  "dpkg-deb": `
[ "$1" = -x ] && mkdir -p "$3/usr" && cp "$2" "$3/usr/file"
exit 0
`,
};

/** The commands, and what they go by. */
export class FakeApt {
  /** An empty cache. */
  readonly cache: string;
  /** With the commands in front. */
  readonly path: string;

  private constructor(private readonly folder: string) {
    this.cache = join(folder, "cache");
    this.path = `${join(folder, "bin")}:${Deno.env.get("PATH")}`;
  }

  /** With commands that only `body` sees, in a folder of its own. */
  static async with(body: (apt: FakeApt) => Promise<void>): Promise<void> {
    const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
    try {
      await Deno.mkdir(join(folder, "bin"));
      await Deno.mkdir(join(folder, "parts"));
      await Deno.mkdir(join(folder, "tmp"));
      for (const [name, text] of Object.entries(COMMANDS)) {
        await Deno.writeTextFile(
          join(folder, "bin", name),
          `#!/bin/sh\nfake='${folder}'\n${text}`,
          { mode: 0o755 },
        );
      }
      await Deno.writeTextFile(
        join(folder, "parts/debian.sources"),
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: stable\nComponents: main\n",
      );
      const apt = new FakeApt(folder);
      await Deno.writeTextFile(join(folder, "first"), "the first part, ");
      await apt.publish("the rest");
      await body(apt);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }

  /** An empty folder for temporary files. */
  get temporary(): string {
    return join(this.folder, "tmp");
  }

  /** Environment of a process that fetches by them. */
  get env(): Record<string, string> {
    return { PATH: this.path, VIADUCT_CACHE: this.cache, TMPDIR: this.temporary };
  }

  /** Changes how the package ends; its version stays. */
  async publish(rest: string): Promise<void> {
    await Deno.writeTextFile(join(this.folder, "rest"), rest);
  }

  /** From now on what is downloaded is not what the lists say. */
  async tamper(): Promise<void> {
    await Deno.writeTextFile(join(this.folder, "tampered"), "");
  }

  /** From now on downloads stop half-way. */
  async hang(): Promise<void> {
    const made = await new Deno.Command("mkfifo", { args: [join(this.folder, "hangs")] }).output();
    if (!made.success) throw new Error("Cannot make a FIFO");
  }

  /** Waits until a download stops half-way. @returns the process ID of its command */
  async hanging(): Promise<number> {
    return Number(await Deno.readTextFile(join(this.folder, "hangs")));
  }

  /** Downloads go through again. */
  async release(): Promise<void> {
    await Deno.remove(join(this.folder, "hangs"));
  }

  /** Whether a download has gone on with a part. */
  resumed(): boolean {
    return [...Deno.readDirSync(this.folder)].some(({ name }) => name === "resumed");
  }

  /** Runs `body` with the commands in front of this process's PATH. */
  async inFront(body: () => Promise<void>): Promise<void> {
    const before = Deno.env.get("PATH")!;
    Deno.env.set("PATH", this.path);
    try {
      await body();
    } finally {
      Deno.env.set("PATH", before);
    }
  }
}

/** Whether a process is there, and no zombie. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
}
