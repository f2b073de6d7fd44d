import { assert } from "@std/assert";
import { join } from "@std/path";
import { removeDirectory } from "./remove_directory.ts";

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

Deno.test("removeDirectory() removes what is in it, and does nothing to what is not there", () => {
  const path = Deno.makeTempDirSync();
  Deno.mkdirSync(join(path, "a"));
  Deno.writeTextFileSync(join(path, "a", "b"), "");
  removeDirectory(path);
  assert(!exists(path));
  removeDirectory(path);
});
