import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { Errno } from "./errno.ts";

/** Runs the child in a process of its own, after `prelude` of the shell, and reads its line. */
async function child(what: string, prelude: string): Promise<Record<string, unknown>> {
  const directory = await Deno.makeTempDir();
  try {
    const output = await new Deno.Command("/bin/sh", {
      args: [
        "-c",
        `${prelude} exec "$0" run -A --quiet --no-check --v8-flags=--expose-gc "$1" "$2" "$3"`,
        Deno.execPath(),
        import.meta.resolve("./resources_test_child.ts"),
        what,
        join(directory, "child.sock"),
      ],
    }).output();
    assertEquals(output.code, 0, new TextDecoder().decode(output.stderr));
    return JSON.parse(new TextDecoder().decode(output.stdout));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("10 000 rounds of connect, map, pass, unmap and close leave no descriptor and no mapping", async () => {
  const { before, after, mappings, cached, watched } = await child("leaks", "");
  assertEquals(after, before);
  assertEquals([mappings, cached, watched], [0, 0, 0]);
});

Deno.test("64 streams that have had a long message each take 64 KiB each again once they are calm", async () => {
  const { collected, busy, stillBusy, calm } = await child("buffers", "");
  assertEquals(collected, true);
  const mib = (bytes: unknown): number => (bytes as number) / 0x10_0000;
  assert(mib(busy) > 59 && mib(stillBusy) > 59, `${mib(busy)} and ${mib(stillBusy)} MiB`);
  // They had theirs before as well.
  assert(mib(calm) < 4, `${mib(calm)} MiB`);
});

Deno.test("a process without descriptors hangs up on callers, sends none that has to wait, closes what it gets, and goes on", async () => {
  assertEquals(await child("exhaustion", "ulimit -n 128;"), {
    refused: -Errno.EMFILE,
    hungUp: 0,
    sent: -Errno.EMFILE,
    received: 1,
    kept: 0,
    taken: null,
    served: true,
  });
});
