import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { openOutputs, OutputFile, Outputs } from "./output_file.ts";
import type { OutputStream } from "./output_file_open.ts";
import { UsageError } from "./usage_error.ts";

const NEVER = new Promise<void>(() => {});

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-output-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A pipe's end as a test wants it. */
function streamFile(write: OutputStream["write"]): { file: OutputFile; closed: () => number } {
  let closed = 0;
  const writeSync = (): number => {
    throw new Error("a stream must not make the process wait");
  };
  const stream = { writeSync, write, close: () => void closed++ };
  const file = new OutputFile("trace", "pipe", {
    stream,
    kind: "stream",
    identity: null,
    isStdout: false,
    created: null,
  });
  return { file, closed: () => closed };
}

function roomOf({ isFull, room }: OutputFile): readonly unknown[] {
  return [isFull, room];
}

Deno.test("OutputFile.replace() replaces what a file held", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "a");
    await Deno.writeTextFile(path, "x".repeat(1000));
    const outputs = openOutputs({ json: path, junit: null });
    assertEquals(await Deno.readTextFile(path), "x".repeat(1000), "until something is written");
    outputs.files.json?.replace("new");
    assertEquals(await outputs.finish(NEVER), []);
    assertEquals(outputs.files.junit, null);
    assertEquals(await Deno.readTextFile(path), "new");
  });
});

Deno.test("OutputFile gives a stream what it has taken in order, as it is taken", async () => {
  const seen: number[] = [];
  let full = false;
  const { file, closed } = streamFile((bytes) => {
    // A pipe that takes a byte at a time, and says each time before that it is full.
    full = !full;
    if (full) {
      return Promise.reject(new Deno.errors.WouldBlock());
    }
    seen.push(bytes[0]!);
    return Promise.resolve(1);
  });
  const buffer = Uint8Array.of(1, 2, 3);
  file.truncateSync(0);
  file.writeSync(buffer);
  buffer.fill(9);
  file.writeSync(Uint8Array.of(4, 5));
  file.close();
  assertEquals(closed(), 0);
  await file.settled();
  assertEquals(seen, [1, 2, 3, 4, 5]);
  assertEquals([file.failure, closed()], [null, 1]);
});

Deno.test("OutputFile is full while a reader is far behind, and has room again when it is not", async () => {
  const taken = Promise.withResolvers<void>();
  const { file } = streamFile(async (bytes) => {
    await taken.promise;
    return bytes.length;
  });
  const block = new Uint8Array(2 ** 20);
  assertEquals(roomOf(file), [false, null]);
  let blocks = 0;
  for (; !file.isFull; blocks++) {
    assert(blocks < 100, "it has no bound");
    file.writeSync(block);
  }
  assertEquals(blocks, 64);
  const { room } = file;
  assert(room !== null);
  taken.resolve();
  await room;
  assertEquals(roomOf(file), [false, null]);
  await file.settled();
  file.incomplete("3 events left out");
  assertEquals(file.failure, "3 events left out");
});

Deno.test("OutputFile has room again when a stream fails or is abandoned", async () => {
  for (const how of ["fails", "is abandoned"] as const) {
    const { file } = streamFile(() =>
      how === "fails" ? Promise.reject(new Deno.errors.BrokenPipe("gone")) : NEVER as Promise<never>
    );
    file.writeSync(new Uint8Array(2 ** 27));
    const { room } = file;
    assert(room !== null && file.isFull);
    if (how === "is abandoned") file.abandon();
    await room;
    assertEquals(roomOf(file), [false, null]);
  }
});

Deno.test("Outputs names those whose readers are far behind, and waits for them", async () => {
  const taken = Promise.withResolvers<number>();
  const { file } = streamFile(() => taken.promise);
  using outputs = new Outputs({ trace: file, json: null }, false);
  assertEquals(outputs.slow, []);
  await outputs.room();
  file.writeSync(new Uint8Array(2 ** 25));
  assertEquals(outputs.slow, ["--trace pipe"]);
  taken.resolve(2 ** 25);
  await outputs.room();
  assertEquals(outputs.slow, []);
});

Deno.test("OutputFile keeps why a stream failed, and takes what comes later without a word", async () => {
  let writes = 0;
  const { file, closed } = streamFile(() => {
    writes++;
    return Promise.reject(new Deno.errors.BrokenPipe("nobody is there"));
  });
  file.writeSync(Uint8Array.of(1));
  file.writeSync(Uint8Array.of(2));
  await file.settled();
  assertEquals(file.writeSync(Uint8Array.of(3)), 1);
  file.close();
  file.close();
  assertEquals([file.failure, writes, closed()], ["nobody is there", 1, 1]);
});

Deno.test("Outputs.finish() says which files are not whole, and writes the others", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "a");
    const outputs = openOutputs({ json: "/dev/full", html: path });
    outputs.files.json?.replace("{}");
    outputs.files.html?.replace("page");
    const failures = await outputs.finish(NEVER);
    assertEquals(failures.length, 1);
    assertStringIncludes(failures[0]!, "Cannot write all of --json /dev/full: No space left on");
    assertEquals(await Deno.readTextFile(path), "page");
  });
});

Deno.test("OutputFile.abandon() ends the wait for a stream that takes nothing", async () => {
  const taken = Promise.withResolvers<number>();
  const { file } = streamFile(() => taken.promise);
  file.writeSync(Uint8Array.of(1, 2, 3));
  file.close();
  file.abandon();
  assertEquals(file.failure, "its reader did not take all of it");
  taken.resolve(1);
  await file.settled();
});

Deno.test("openOutputs() refuses a pipe without a reader, and does not wait for one", async () => {
  await withFolder(async (folder) => {
    const pipe = join(folder, "pipe"), fresh = join(folder, "fresh");
    await new Deno.Command("mkfifo", { args: [pipe] }).output();
    assertThrows(
      () => openOutputs({ html: fresh, json: pipe }),
      UsageError,
      `Cannot write --json ${pipe}: nobody reads from this pipe; start its reader first, or name a file`,
    );
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["pipe"]);
  });
});

Deno.test("openOutputs() refuses two paths to one file, but not to a device that anybody may write to", async () => {
  await withFolder(async (folder) => {
    const [a, b] = ["a", "b"].map((name) => join(folder, name));
    await Deno.symlink(a!, b!);
    assertThrows(
      () => openOutputs({ json: b!, trace: a! }),
      UsageError,
      `Cannot write --trace ${a}: --json writes to the same file; name another`,
    );
    assertThrows(() => Deno.statSync(a!), Deno.errors.NotFound);
    using outputs = openOutputs({ json: "/dev/null", trace: "/dev/null" });
    assertEquals(outputs.takesStdout, false);
  });
});

Deno.test("Outputs[Symbol.dispose]() removes what was made and never written to, and that alone", async () => {
  await withFolder(async (folder) => {
    const [made, written, emptied, old] = ["made", "written", "emptied", "old"].map((name) =>
      join(folder, name)
    );
    await Deno.writeTextFile(old!, "");
    {
      using outputs = openOutputs({ made: made!, written: written!, emptied: emptied!, old: old! });
      outputs.files.written?.replace("x");
      outputs.files.emptied?.truncateSync(0);
      assert((await Deno.stat(made!)).isFile);
    }
    const left = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    assertEquals(left, ["emptied", "old", "written"]);
  });
});

Deno.test("Outputs[Symbol.dispose]() leaves a file that another has put there since", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "a"), other = join(folder, "b");
    await Deno.writeTextFile(other, "");
    {
      using _outputs = openOutputs({ json: path });
      await Deno.rename(other, path);
    }
    assert((await Deno.stat(path)).isFile);
  });
});
