import { assertEquals, assertRejects } from "@std/assert";
import { SILENT } from "../fetch/listener.ts";
import { VmError } from "../vm_error.ts";
import { findCompiler } from "./compiler.ts";

const NAMES = ["PATH", "CC", "VIADUCT_CACHE"] as const;

/** With a `cc` that says where the C library is, and an empty cache. */
async function withCompiler(library: string, body: () => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const before = NAMES.map((name) => [name, Deno.env.get(name)] as const);
  try {
    await Deno.writeTextFile(
      `${folder}/cc`,
      "#!/bin/sh\ncase $1 in\n--version) echo a compiler;;\n" +
        `-print-file-name=libc.a) echo ${library};;\n*) exit 9;;\nesac\n`,
      { mode: 0o755 },
    );
    Deno.env.set("PATH", `${folder}:${Deno.env.get("PATH")}`);
    Deno.env.delete("CC");
    Deno.env.set("VIADUCT_CACHE", `${folder}/cache`);
    await body();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
    await Deno.remove(folder, { recursive: true });
  }
}

const find = () => findCompiler({ network: "never", listener: SILENT });

Deno.test("findCompiler() takes the system's compiler when that can link statically", () =>
  withCompiler("/usr/lib/libc.a", async () => {
    assertEquals((await find()).version, "a compiler\n");
  }));

Deno.test("findCompiler() fetches one when the system's has no C library, unless CC names it", () =>
  withCompiler("libc.a", async () => {
    await assertRejects(find, VmError, "Cannot use a C compiler offline");
    Deno.env.set("CC", "cc");
    assertEquals((await find()).version, "a compiler\n");
  }));
