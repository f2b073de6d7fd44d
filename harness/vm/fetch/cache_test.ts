import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { VmError } from "../vm_error.ts";
import {
  cacheFolder,
  ensureKept,
  makeWhole,
  markUsed,
  prune,
  withCacheLock,
  writeWhole,
} from "./cache.ts";
import { SILENT } from "./listener.ts";

const SUM = "0123456789abcdef";

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

Deno.test("cacheFolder() is VIADUCT_CACHE before all else", () => {
  const before = Deno.env.get("VIADUCT_CACHE");
  try {
    Deno.env.set("VIADUCT_CACHE", "/a/b");
    assertEquals(cacheFolder(), "/a/b");
    // Apt is run elsewhere, and would take the host's own configuration for ours.
    Deno.env.set("VIADUCT_CACHE", "a/b");
    assertEquals(cacheFolder(), `${Deno.cwd()}/a/b`);
  } finally {
    if (before === undefined) Deno.env.delete("VIADUCT_CACHE");
    else Deno.env.set("VIADUCT_CACHE", before);
  }
});

Deno.test("makeWhole() leaves nothing when it fails, and what was there", () =>
  withFolder(async (folder) => {
    await makeWhole(`${folder}/x`, (draft) => Deno.writeTextFile(`${draft}/a`, "1"));
    await assertRejects(
      () =>
        makeWhole(`${folder}/x`, async (draft) => {
          await Deno.writeTextFile(`${draft}/b`, "2");
          throw new Error("no room");
        }),
      Error,
      "no room",
    );
    assertEquals(names(folder), ["x"]);
    assertEquals(names(`${folder}/x`), ["a"]);
  }));

Deno.test("makeWhole() makes a folder that counts as used now, whatever its date was", () =>
  withFolder(async (folder) => {
    const path = `${folder}/qemu-${SUM}`;
    await makeWhole(path, (draft) => Deno.utime(draft, new Date(0), new Date(0)));
    await prune(folder);
    assertEquals(names(folder), [`qemu-${SUM}`]);
  }));

Deno.test("writeWhole() replaces a file", () =>
  withFolder(async (folder) => {
    await writeWhole(`${folder}/x`, "old");
    await writeWhole(`${folder}/x`, new TextEncoder().encode("new"));
    assertEquals(await Deno.readTextFile(`${folder}/x`), "new");
    assertEquals(names(folder), ["x"]);
  }));

Deno.test("withCacheLock() lets one in at a time, and the next after an error", () =>
  withFolder(async (folder) => {
    const order: string[] = [];
    const waiting: string[] = [];
    let leave: () => void = () => {};
    let entered: () => void = () => {};
    const inside = new Promise<void>((resolve) => entered = resolve);
    const first = withCacheLock(folder, { listener: SILENT }, async () => {
      order.push("first in");
      entered();
      await new Promise<void>((resolve) => leave = resolve);
      order.push("first out");
      throw new Error("broken");
    });
    first.catch(() => {});
    await inside;
    const second = withCacheLock(
      folder,
      {
        listener: {
          ...SILENT,
          stage(what) {
            waiting.push(what);
            leave();
          },
        },
      },
      () => Promise.resolve(order.push("second in")),
    );
    await second;
    await assertRejects(() => first, Error, "broken");
    assertEquals(order, ["first in", "first out", "second in"]);
    assertEquals(waiting.length, 1);
  }));

Deno.test("withCacheLock() waits no longer when it is aborted", () =>
  withFolder(async (folder) => {
    const controller = new AbortController();
    await withCacheLock(folder, { listener: SILENT }, async () => {
      const stage = (): void => controller.abort(new Error("stop it"));
      const options = { listener: { ...SILENT, stage }, signal: controller.signal };
      await assertRejects(
        () => withCacheLock(folder, options, () => Promise.resolve()),
        Error,
        "stop it",
      );
    });
  }));

Deno.test("ensureKept() makes what is missing, once, and needs no lock for what is there", () =>
  withFolder(async (folder) => {
    const path = `${folder}/initrd-${SUM}.gz`;
    let made = 0;
    const make = async (): Promise<void> => {
      made++;
      await writeWhole(path, "1");
    };
    const ensure = () => ensureKept(folder, path, { listener: SILENT }, make);
    await Promise.all([ensure(), ensure()]);
    assertEquals(made, 1);
    // Whoever may only read the cache cannot open it.
    await Deno.remove(`${folder}/lock`);
    await Deno.mkdir(`${folder}/lock`);
    await ensure();
    await Deno.remove(path);
    await assertRejects(ensure, VmError, `Cannot write ${folder}/lock`);
  }));

Deno.test("prune() leaves the drafts of others alone", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/film.mkv.part`, "");
    await Deno.mkdir(`${folder}/part-two`);
    await prune(folder);
    assertEquals(names(folder), ["film.mkv.part", "part-two"]);
  }));

Deno.test("prune() removes drafts and what was not used for a month, and nothing it does not know", () =>
  withFolder(async (folder) => {
    const old = [`initrd-${SUM}.gz`, `qemu-${SUM}.json`, "notes.txt", "lock"];
    for (const name of [...old, `vmlinux-${SUM}`, `initrd-${SUM}.gz.${crypto.randomUUID()}.part`]) {
      await Deno.writeTextFile(`${folder}/${name}`, "");
    }
    for (const name of [`guest-${SUM}`, `program-${SUM}`, "apt"]) {
      await Deno.mkdir(`${folder}/${name}`);
    }
    await Deno.makeTempDir({ dir: folder, prefix: "part-" });
    const longAgo = new Date(Date.now() - 40 * 24 * 3600 * 1000);
    for (const name of [...old, `guest-${SUM}`, `program-${SUM}`, "apt"]) {
      await Deno.utime(`${folder}/${name}`, longAgo, longAgo);
    }
    await markUsed(`${folder}/program-${SUM}`);
    await prune(folder);
    assertEquals(names(folder), ["apt", "lock", "notes.txt", `program-${SUM}`, `vmlinux-${SUM}`]);
  }));

Deno.test("A cache that cannot be written to is told of, with what mends that", () =>
  withFolder(async (folder) => {
    const broken = [
      () => withCacheLock(`${folder}/cache`, { listener: SILENT }, () => Promise.resolve()),
      () => writeWhole(`${folder}/none/x`, "1"),
      () => makeWhole(`${folder}/none/x`, () => Promise.resolve()),
    ];
    // Where the lock should be, there is something else.
    await Deno.mkdir(`${folder}/cache/lock`, { recursive: true });
    for (const work of broken) {
      const error = await assertRejects(work, VmError, `Cannot write ${folder}/`) as VmError;
      assertStringIncludes(error.mend, "VIADUCT_CACHE");
    }
    assertEquals(names(folder), ["cache"]);
  }));
