import { assertEquals, assertThrows } from "@std/assert";
import { dirname } from "@std/path";
import type { Observed } from "./observation.ts";
import { Observer } from "./observer.ts";

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

Deno.test("Observer listens where the user alone can come, and leaves nothing behind", () => {
  const observer = new Observer();
  const { request, close } = observer.watch({ observed: () => {}, closed: () => {} });
  assertEquals(Deno.statSync(dirname(request.path)).mode! & 0o777, 0o700);
  close();
  observer.close();
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
  observer.close();
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
  observer.close();
});
