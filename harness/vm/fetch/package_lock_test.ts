import { assertEquals, assertThrows } from "@std/assert";
import { formatLock, type PackageLock, parseLock, readLock } from "./package_lock.ts";

const lock: PackageLock = {
  qemu: [
    {
      name: "qemu-system-x86",
      version: "1:11.1.3+ds-1~bpo13+1",
      architecture: "amd64",
      sha256: "0".repeat(64),
    },
    { name: "seabios", version: "1.17.0-1~bpo13+1", architecture: "all", sha256: "f".repeat(64) },
  ],
};

Deno.test("formatLock() and parseLock() are each other's inverse", () => {
  assertEquals(parseLock(formatLock(lock)), lock);
});

Deno.test("parseLock() refuses what could reach a command line or name a place", () => {
  const text = formatLock(lock);
  for (
    const [from, to] of [
      ["seabios", "-o"],
      ["seabios", "a/b"],
      ["1.17.0", "1.17 0"],
      ["1.17.0", "-t"],
      [" all ", " arm64 "],
      ["ffff", "FFFF"],
    ] as const
  ) {
    assertThrows(() => parseLock(text.replace(from, to)), Error, "line 3");
  }
});

Deno.test("packages.lock pins every component, ascending by name, and names no place", async () => {
  const lock = await readLock();
  assertEquals(Object.keys(lock).sort(), ["compiler", "guest", "qemu"]);
  for (const pins of Object.values(lock)) {
    assertEquals(pins.map(({ name }) => name), pins.map(({ name }) => name).sort());
  }
  assertEquals(/\/|\.org|\.com|\.net/.test(formatLock(lock).replace(/^#.*/, "")), false);
});
