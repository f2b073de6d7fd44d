import { assert, assertEquals } from "@std/assert";
import { LogPrinter, type LogThread, ServingLog } from "./serving_log.ts";

/** A log whose reader is the test. */
function slow(patienceMs = 1): {
  readonly log: ServingLog;
  readonly printer: LogPrinter;
  readonly texts: string[];
  /** Takes the next text. */
  readonly read: () => string;
  readonly terminated: () => boolean;
} {
  const texts: string[] = [];
  let ended = false;
  const thread: LogThread = {
    postMessage: (text: string) => void texts.push(text),
    onmessage: null,
    terminate: () => ended = true,
  };
  const printer = new LogPrinter(() => thread, patienceMs);
  const log = new ServingLog(printer.room, (text) => printer.take(text));
  const read = (): string => {
    const text = texts.shift()!;
    thread.onmessage!.call(thread as Worker, new MessageEvent("message", { data: text.length }));
    return text;
  };
  return { log, printer, texts, read, terminated: () => ended };
}

Deno.test("ServingLog keeps so much for a slow reader, counts the rest, and says so where it is missing", () => {
  const { log, texts, read } = slow();
  const line = "a".repeat(9_999);
  for (let at = 0; at < 150; at++) log.write(line);
  const kept = texts.length;
  assertEquals(kept, Math.floor(2 ** 20 / 10_000));
  assertEquals(read(), `${line}\n`);
  log.write("there is room again");
  assertEquals(texts.slice(-2), [
    `${150 - kept} lines left out: the reader is too slow\n`,
    "there is room again\n",
  ]);
  while (texts.length > 0) read();
  log.end();
  assertEquals(texts, [], "what was said is not said again");
});

Deno.test("ServingLog.end() says what is missing at the end, and a line of any length is cut", () => {
  const { log, texts } = slow();
  log.write("a".repeat(2 ** 21));
  assert(texts[0]!.length < 2 ** 16 + 100, `${texts[0]!.length}`);
  for (let at = 0; at < 20; at++) log.write("a".repeat(2 ** 16));
  log.end();
  assertEquals(texts.at(-1), `${20 - (texts.length - 2)} lines left out: the reader is too slow\n`);
});

Deno.test("LogPrinter.close() waits while its reader takes something, and ends its thread", async () => {
  const { log, printer, read, terminated } = slow(60_000);
  log.write("one");
  log.write("two");
  const closed = printer.close();
  read();
  await Promise.resolve();
  assertEquals(terminated(), false);
  read();
  await closed;
  assertEquals(terminated(), true);
});

Deno.test("LogPrinter.close() leaves alone a thread whose reader takes nothing", async () => {
  const { log, printer, terminated } = slow();
  log.write("one");
  await printer.close();
  assertEquals(terminated(), false);
});

Deno.test("LogPrinter without a line starts no thread", async () => {
  const printer = new LogPrinter(() => {
    throw new Error("It is started");
  });
  await printer.close();
});
