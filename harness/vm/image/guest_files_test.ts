import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { VmError } from "../vm_error.ts";
import { systemKernel } from "./guest_files.ts";

Deno.test("systemKernel() takes the first that is there, and says what it looked for and why", async () => {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  try {
    const paths = [`${folder}/boot`, `${folder}/modules`];
    const find = () => systemKernel(paths, "this is haiku, not Debian");
    const error = await assertRejects(find, VmError, "this is haiku, not Debian") as VmError;
    for (const path of paths) assertStringIncludes(error.message, path);
    assertStringIncludes(error.mend, "install");
    await Deno.writeTextFile(paths[1]!, "");
    assertEquals(await find(), paths[1]!);
    await Deno.writeTextFile(paths[0]!, "");
    assertEquals(await find(), paths[0]!);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
