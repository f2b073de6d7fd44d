import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { LiveCounters, parseRows } from "./live_counters.ts";

const ROW = [3, 1, 2, 3, 4, 5, 6, 7, 8];
/** More than any test takes: who waits this long has been forgotten. */
const PATIENCE_MS = 10_000;

/** A process that answers each byte with what `answer` gives, or not at all. */
class Other implements AsyncDisposable {
  readonly folder: string = Deno.makeTempDirSync({ prefix: "viaduct-" });
  readonly path: string = join(this.folder, "counters.sock");
  asked = 0;
  readonly #answer: () => string | null;
  readonly #listener: Deno.Listener;
  readonly #serving: Promise<void>;
  readonly #connections: Deno.Conn[] = [];

  constructor(answer: () => string | null) {
    this.#answer = answer;
    this.#listener = Deno.listen({ transport: "unix", path: this.path });
    this.#serving = this.#serve().catch(() => {});
  }

  async #serve(): Promise<void> {
    for await (const connection of this.#listener) {
      this.#connections.push(connection);
      const chunk = new Uint8Array(1);
      while (await connection.read(chunk) !== null) {
        this.asked++;
        const text = this.#answer();
        if (text !== null) await connection.write(new TextEncoder().encode(text));
      }
    }
  }

  hangUp(): void {
    for (const connection of this.#connections.splice(0)) connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.hangUp();
    await this.#serving;
    Deno.removeSync(this.folder, { recursive: true });
  }
}

Deno.test("LiveCounters.refresh() resolves with what the other process has counted by then", async () => {
  let count = 0;
  await using other = new Other(() => JSON.stringify([[1, ++count, 0, 0, 0, 0, 0, 0, 0]]) + "\n");
  const live = new LiveCounters(other.path);
  assertEquals(live.rows.size, 0);
  for (const expected of [1, 2, 3]) {
    await live.refresh(PATIENCE_MS);
    assertEquals(live.rows.get(1)?.[0], expected);
  }
  live.close();
  await live.refresh(PATIENCE_MS);
  assertEquals([live.rows.get(1)?.[0], other.asked], [3, 3]);
});

Deno.test("LiveCounters.refresh() does not wait for who is not there, and asks again later", async () => {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-" });
  const live = new LiveCounters(join(folder, "nobody.sock"));
  await live.refresh(PATIENCE_MS);
  await live.refresh(PATIENCE_MS);
  assertEquals(live.rows.size, 0);
  live.close();
  await Deno.remove(folder, { recursive: true });
});

Deno.test("LiveCounters.refresh() waits so long for who does not answer, and asks once", async () => {
  await using other = new Other(() => null);
  const live = new LiveCounters(other.path);
  for (let times = 0; times < 5; times++) await live.refresh(5);
  assertEquals([live.rows.size, other.asked], [0, 1]);
  live.close();
});

Deno.test("LiveCounters keeps what was told when the other process is gone", async () => {
  const other = new Other(() => `[[${ROW}]]\n`);
  const live = new LiveCounters(other.path);
  await live.refresh(PATIENCE_MS);
  await other[Symbol.asyncDispose]();
  await live.refresh(PATIENCE_MS);
  assertEquals(live.rows.get(3), ROW.slice(1));
  live.close();
});

Deno.test("LiveCounters listens no further to who tells nonsense", async () => {
  await using other = new Other(() => "[[1]]\n");
  const live = new LiveCounters(other.path);
  await live.refresh(PATIENCE_MS);
  assertEquals(live.rows.size, 0);
  live.close();
});

Deno.test("parseRows() takes rows of counters, and refuses everything else", () => {
  assertEquals(parseRows(`[[${ROW}]]`), new Map([[3, ROW.slice(1)]]));
  assertEquals(parseRows("[]"), new Map());
  const hostile = ["", "{", "7", "{}", "[1]", "[[1]]", "[[1,2,3,4,5,6,7,8,9,10]]"];
  for (const field of ["-1", "0.5", "1e300", '"1"', "null", "[1]"]) {
    hostile.push(`[[3,1,2,3,4,5,6,7,${field}]]`);
  }
  for (const line of hostile) assertEquals(parseRows(line), null, line);
});
