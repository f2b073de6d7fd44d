import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { dirname, join } from "@std/path";
import type { Observed } from "./observation.ts";
import { within } from "../vm/deadline.ts";
import { Observer } from "./observer.ts";

const MODULE = import.meta.resolve("./observer.ts");

/** A process that does `code` with an `Observer`, in a temporary folder of its own. */
async function elsewhere(
  folder: string,
  code: string,
  body: (child: Deno.ChildProcess, printed: string) => Promise<void>,
): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", `import { Observer } from "${MODULE}";\n${code}`],
    env: { TMPDIR: folder },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  try {
    await body(child, new TextDecoder().decode((await reader.read()).value));
  } finally {
    await reader.cancel();
    await child.status;
  }
}

async function connect(path: string, ...lines: unknown[]): Promise<Deno.UnixConn> {
  const connection = await Deno.connect({ transport: "unix", path });
  const text = lines.map((line) => JSON.stringify(line) + "\n").join("");
  await connection.write(new TextEncoder().encode(text));
  return connection;
}

/** Null at the end of the stream. */
async function read(connection: Deno.Conn): Promise<string | null> {
  const bytes = new Uint8Array(4096);
  const length = await connection.read(bytes);
  return length === null ? null : new TextDecoder().decode(bytes.subarray(0, length));
}

Deno.test("Observer listens where the user alone can come, and leaves nothing behind", async () => {
  const observer = new Observer();
  const { request, close } = observer.watch({ observed: () => {}, closed: () => {} });
  assertEquals(Deno.statSync(dirname(request.path)).mode! & 0o777, 0o700);
  close();
  await observer.close();
  assertThrows(() => Deno.statSync(dirname(request.path)), Deno.errors.NotFound);
});

Deno.test("Observer gives lines to whoever watches the run of their key, and asks back", async () => {
  const observer = new Observer();
  const heard: Observed[] = [];
  const closed = Promise.withResolvers<void>();
  const left = Promise.withResolvers<void>();
  const observation = observer.watch({
    observed: (message) => {
      heard.push(message);
      left.resolve();
    },
    closed: () => closed.resolve(),
  });
  const { path, key } = observation.request;
  const connection = await connect(path, { kind: "hello", key }, { kind: "left" });
  await left.promise;
  assertEquals(heard, [{ kind: "left" }]);
  const asked = observation.ask({ kind: "around", domain: 1, iova: 2 });
  assertEquals(JSON.parse((await read(connection))!), {
    query: 0,
    ask: { kind: "around", domain: 1, iova: 2 },
  });
  const around = { over: null, below: null, above: null };
  const reply = { kind: "answer", query: 0, answer: { kind: "around", around } };
  await connection.write(new TextEncoder().encode(JSON.stringify(reply) + "\n"));
  assertEquals(await asked, { kind: "around", around });
  const unanswered = observation.ask({ kind: "detail", endpoint: 1 });
  connection.close();
  assertEquals(await unanswered, null);
  await closed.promise;
  await observation.told();
  await observer.close();
});

Deno.test("Observer hangs up on a key it does not know, a second of the same, and what is no message", async () => {
  const observer = new Observer();
  const observation = observer.watch({ observed: () => {}, closed: () => {} });
  const { path, key } = observation.request;
  const strangers = [
    [{ kind: "hello", key: "x" }],
    [{ kind: "left" }],
    [{ kind: "hello" }],
    ["\u0000"],
  ];
  for (const lines of strangers) {
    const connection = await connect(path, ...lines);
    assertEquals(await read(connection), null);
    connection.close();
  }
  const first = await connect(path, { kind: "hello", key });
  const second = await connect(path, { kind: "hello", key });
  assertEquals(await read(second), null);
  second.close();
  const [rubbish] = await Promise.all([read(first), first.write(new TextEncoder().encode("{\n"))]);
  assertEquals(rubbish, null);
  first.close();
  await observer.close();
});

Deno.test("Observer's folder goes with a process that is killed", async () => {
  const parent = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const code = `const { request } = new Observer().watch({ observed() {}, closed() {} });
    console.log(request.path);
    setInterval(() => {}, 1000);`;
  await elsewhere(parent, code, async (child, printed) => {
    assert(printed.startsWith(`${parent}/viaduct-`), printed);
    const watcher = Deno.watchFs(parent, { recursive: false });
    const removed = (async () => {
      for await (const { kind } of watcher) if (kind === "remove") break;
      return true;
    })();
    child.kill("SIGKILL");
    await child.status;
    assert(await within(removed, 10_000, false), "it is still there");
  });
  assertEquals([...Deno.readDirSync(parent)], []);
  await Deno.remove(parent);
});

Deno.test("Observer leaves no folder when its path is too long for a socket", async () => {
  const parent = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const long = join(parent, "x".repeat(110));
  await Deno.mkdir(long);
  const code = `try {
      new Observer();
    } catch ({ message }) {
      console.log(message);
    }`;
  await elsewhere(long, code, async (_, printed) => {
    assertMatch(printed, /shorter than SUN_LEN/);
    await Promise.resolve();
  });
  assertEquals([...Deno.readDirSync(long)], []);
  await Deno.remove(parent, { recursive: true });
});
