import { existsSync } from "node:fs";
import { assert } from "@std/assert";
import { join } from "@std/path";
import { removeDirectory } from "./remove_directory.ts";

Deno.test("removeDirectory() removes what is in it, and does nothing to what is not there", () => {
  const path = Deno.makeTempDirSync();
  Deno.mkdirSync(join(path, "a"));
  Deno.writeTextFileSync(join(path, "a", "b"), "");
  removeDirectory(path);
  assert(!existsSync(path));
  removeDirectory(path);
});
