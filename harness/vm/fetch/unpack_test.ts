import { assertEquals, assertRejects } from "@std/assert";
import { VmError } from "../vm_error.ts";
import { SILENT } from "./listener.ts";
import { unpack } from "./unpack.ts";

Deno.test("unpack() tells the first of what dpkg-deb complains of, and how much more there is", async () => {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const before = Deno.env.get("PATH")!;
  try {
    const script =
      "#!/bin/sh\nfor file in 1 2 3 4 5; do echo no room for $file >&2; done; exit 2\n";
    await Deno.writeTextFile(`${folder}/dpkg-deb`, script, { mode: 0o755 });
    Deno.env.set("PATH", `${folder}:${before}`);
    const error = await assertRejects(
      () => unpack(["a.deb"], folder, { listener: SILENT }),
      VmError,
    );
    assertEquals(error.message.split("\n").slice(0, -1), [
      "Cannot unpack a.deb: no room for 1",
      "no room for 2",
      "no room for 3",
      "(2 more lines)",
    ]);
  } finally {
    Deno.env.set("PATH", before);
    await Deno.remove(folder, { recursive: true });
  }
});
