import { assert, assertEquals } from "@std/assert";
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

Deno.test("removeDirectory() leaves nothing when several do it at once", async () => {
  const code = `const { removeDirectory } = await import(${
    JSON.stringify(import.meta.resolve("./remove_directory.ts"))
  });
  onmessage = ({ data }) => { removeDirectory(data); postMessage(0); };
  postMessage(0);`;
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const workers = [0, 1].map(() => new Worker(url, { type: "module" }));
  const reply = (worker: Worker) => new Promise((resolve) => worker.onmessage = resolve);
  await Promise.all(workers.map(reply));
  let left = 0;
  for (let round = 0; round < 20; round++) {
    const path = Deno.makeTempDirSync();
    for (let file = 0; file < 50; file++) Deno.writeTextFileSync(join(path, `${file}`), "");
    const done = workers.map(reply);
    for (const worker of workers) worker.postMessage(path);
    // The first that says so must be right.
    await Promise.race(done);
    if (exists(path)) left++;
    await Promise.all(done);
  }
  for (const worker of workers) worker.terminate();
  URL.revokeObjectURL(url);
  assertEquals(left, 0);
});
