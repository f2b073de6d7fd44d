import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { VmError } from "../vm_error.ts";
import { FakeApt, isAlive, NO_DEBIAN, PACKAGE } from "./_test_apt.ts";
import { QEMU } from "./component.ts";
import { fetchComponent, type Fetched, type FetchOptions } from "./fetch.ts";
import { SILENT } from "./listener.ts";
import type { PackageLock } from "./package_lock.ts";

/** Of a package that the mirror does not have. */
const LOCK: PackageLock = {
  qemu: [{ name: "seabios", version: "9.9-8", architecture: "all", sha256: "f".repeat(64) }],
};

function aptTest(name: string, body: (apt: FakeApt) => Promise<void>): void {
  Deno.test({
    name,
    ignore: NO_DEBIAN,
    fn: () => FakeApt.with((apt) => apt.inFront(() => body(apt))),
  });
}

function fetched({ cache }: FakeApt, options: Partial<FetchOptions> = {}): Promise<Fetched> {
  return fetchComponent(QEMU, {
    cache,
    lock: LOCK,
    network: "pinned",
    listener: SILENT,
    ...options,
  });
}

async function withCi(value: string, body: () => Promise<void>): Promise<void> {
  const before = Deno.env.get("CI");
  Deno.env.set("CI", value);
  try {
    await body();
  } finally {
    if (before === undefined) Deno.env.delete("CI");
    else Deno.env.set("CI", before);
  }
}

aptTest(
  "fetchComponent() ends its command when it is aborted, and later goes on with the part",
  async (apt) => {
    await apt.hang();
    const controller = new AbortController();
    const fetching = fetched(apt, { signal: controller.signal });
    const refused = assertRejects(() => fetching, Error, "stop it");
    const pid = await apt.hanging();
    controller.abort(new Error("stop it"));
    await refused;
    assertEquals(isAlive(pid), false);
    await apt.release();
    const { folder } = await fetched(apt);
    assert(apt.resumed());
    assertEquals(await Deno.readTextFile(`${folder}/usr/file`), "the first part, the rest");
  },
);

aptTest("fetchComponent() does nothing when it is aborted before", async (apt) => {
  const signal = AbortSignal.abort(new Error("stop it"));
  await assertRejects(() => fetched(apt, { signal }), Error, "stop it");
});

aptTest(
  "fetchComponent() says once that the mirror has dropped a pinned version, in CI by NOTE",
  async (apt) => {
    for (const [ci, word] of [["true", "NOTE"], ["", "NOTICE"]] as const) {
      await withCi(ci, async () => {
        const notices: string[] = [];
        const listener = { ...SILENT, notice: (text: string) => notices.push(text) };
        const cache = `${apt.cache}-${word}`;
        await fetched(apt, { cache, listener });
        await fetched(apt, { cache, listener });
        assertEquals(notices.length, 1);
        assertMatch(notices[0]!, new RegExp(`^${word}: .*seabios=9\\.9-8`));
        assertStringIncludes(notices[0]!, PACKAGE);
      });
    }
  },
);

aptTest(
  "fetchComponent() refuses a version that no lock names when it has changed since",
  async (apt) => {
    const { folder } = await fetched(apt);
    await Deno.remove(folder, { recursive: true });
    await apt.publish("something else");
    await assertRejects(() => fetched(apt), VmError, `Cannot use ${PACKAGE}: its SHA-256 sum is`);
    await apt.publish("the rest");
    assertEquals((await fetched(apt)).folder, folder);
  },
);

aptTest("fetchComponent() refuses a package that is not the one of packages.lock", async (apt) => {
  const pin = { name: "seabios", version: "9.9-9", architecture: "all" } as const;
  const lock = (sha256: string): PackageLock => ({ qemu: [{ ...pin, sha256 }] });
  const wrong = "f".repeat(64);
  await assertRejects(
    () => fetched(apt, { lock: lock(wrong) }),
    VmError,
    `packages.lock ${wrong}`,
  );
  const { packages } = await fetched(apt);
  await fetched(apt, { lock: lock(packages[0]!.sha256), cache: `${apt.cache}-2` });
});

aptTest(
  "fetchComponent() refuses a package that is not the one of the signed lists",
  async (apt) => {
    await apt.tamper();
    await assertRejects(() => fetched(apt), VmError, "the signed list says");
  },
);
