import { assertEquals, assertRejects } from "@std/assert";
import { VmError } from "../vm_error.ts";
import { QEMU } from "./component.ts";
import { fetchComponent } from "./fetch.ts";
import type { FetchListener } from "./listener.ts";
import type { PackageLock, PackagePin } from "./package_lock.ts";
import { sha256Parts } from "./sha256.ts";

const pins: readonly PackagePin[] = [
  { name: "seabios", version: "1.17.0-1", architecture: "all", sha256: "f".repeat(64) },
];
const lock: PackageLock = { qemu: pins };

/** Of those pins. */
const LOCK_SUM = sha256Parts([`seabios 1.17.0-1 all ${"f".repeat(64)}`]);

/** A cache in which QEMU was fetched for `lockSum`. */
async function withCache(
  lockSum: string | null,
  body: (cache: string, listener: FetchListener, notices: string[]) => Promise<void>,
): Promise<void> {
  const cache = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const notices: string[] = [];
  try {
    if (lockSum !== null) {
      await Deno.mkdir(`${cache}/qemu-1234`);
      await Deno.writeTextFile(
        `${cache}/qemu-${lockSum.slice(0, 16)}.json`,
        JSON.stringify({ version: 1, folder: "qemu-1234", packages: pins }),
      );
    }
    await body(cache, { stage() {}, progress() {}, notice: (text) => notices.push(text) }, notices);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

Deno.test("fetchComponent() takes what the lock asks for from the cache, without a network", () =>
  withCache(LOCK_SUM, async (cache, listener, notices) => {
    const found = await fetchComponent(QEMU, { cache, lock, network: "never", listener });
    assertEquals(found, { folder: `${cache}/qemu-1234`, packages: pins });
    assertEquals(notices, []);
  }));

Deno.test("fetchComponent() offline uses another version of the cache, and says so", () =>
  withCache("0123456789abcdef", async (cache, listener, notices) => {
    const found = await fetchComponent(QEMU, { cache, lock, network: "never", listener });
    assertEquals(found.folder, `${cache}/qemu-1234`);
    assertEquals(notices.length, 1);
  }));

Deno.test("fetchComponent() offline with an empty cache says what to do", () =>
  withCache(null, async (cache, listener) => {
    await assertRejects(
      () => fetchComponent(QEMU, { cache, lock, network: "never", listener }),
      VmError,
      "without --offline",
    );
  }));

Deno.test("fetchComponent() does not trust a record whose folder is gone", () =>
  withCache(LOCK_SUM, async (cache, listener) => {
    await Deno.remove(`${cache}/qemu-1234`);
    await assertRejects(
      () => fetchComponent(QEMU, { cache, lock, network: "never", listener }),
      VmError,
      "does not hold it",
    );
  }));
