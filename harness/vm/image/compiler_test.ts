import { assertEquals, assertRejects } from "@std/assert";
import { withSystemProgram } from "../_test_system.ts";
import { SILENT } from "../fetch/listener.ts";
import { VmError } from "../vm_error.ts";
import { findCompiler } from "./compiler.ts";

/** With a `cc` that says where the C library is. */
const withCompiler = (library: string, body: () => Promise<void>) =>
  withSystemProgram(
    "cc",
    { "--version": "a compiler", "-print-file-name=libc.a": library },
    body,
  );

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
