import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import * as fs from "node:fs";
import { join } from "@std/path";
import { POLLOUT, Reactor, type ReadyHandler } from "../../protocols/linux/mod.ts";
import { LiveOutput } from "./live_output.ts";
import { OutputRefused } from "./output_file_open.ts";

/** A named pipe whose reader is the test. */
class Reader {
  readonly path: string;
  readonly #fd: number;
  readonly #chunk = new Uint8Array(1 << 16);
  #open = true;

  constructor(folder: string) {
    this.path = join(folder, "pipe");
    new Deno.Command("mkfifo", { args: [this.path] }).outputSync();
    this.#fd = fs.openSync(this.path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  }

  /** What is in the pipe now. */
  read(): Uint8Array {
    try {
      return this.#chunk.slice(0, fs.readSync(this.#fd, this.#chunk));
    } catch (error) {
      if ((error as { readonly code?: unknown }).code === "EAGAIN") return new Uint8Array();
      throw error;
    }
  }

  close(): void {
    if (this.#open) fs.closeSync(this.#fd);
    this.#open = false;
  }
}

function withFolder(body: (folder: string) => void): void {
  const folder = Deno.makeTempDirSync({ prefix: "viaduct-live-" });
  try {
    body(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** A pipe, its reader, the output to it, and what that says. */
function withPipe(
  body: (parts: { reader: Reader; output: LiveOutput; reactor: Reactor; said: string[] }) => void,
): void {
  withFolder((folder) => {
    const reader = new Reader(folder);
    const said: string[] = [];
    using reactor = new Reactor({ spin: "off" });
    const output = new LiveOutput(reader.path, reactor, (why) => said.push(why), 5);
    try {
      body({ reader, output, reactor, said });
    } finally {
      reader.close();
      output.close();
    }
    assertEquals(reactor.watched, 0);
  });
}

/** Bytes that are told apart by their place. */
function pattern(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, at) => at % 251);
}

Deno.test("LiveOutput replaces what a file held, from the first write on", () => {
  withFolder((folder) => {
    const path = join(folder, "a");
    Deno.writeTextFileSync(path, "what was there");
    using reactor = new Reactor({ spin: "off" });
    const said: string[] = [];
    using output = new LiveOutput(path, reactor, (why) => said.push(why));
    assertEquals(Deno.readTextFileSync(path), "what was there");
    output.truncateSync(0);
    output.writeSync(new TextEncoder().encode("new"));
    assertEquals(Deno.readTextFileSync(path), "new", "at once");
    assertEquals([said, output.isFull, output.isStdout], [[], false, false]);
  });
});

Deno.test("LiveOutput removes a file that it has made and never written to", () => {
  withFolder((folder) => {
    using reactor = new Reactor({ spin: "off" });
    for (const name of ["made", "written"]) {
      using output = new LiveOutput(join(folder, name), reactor, () => {});
      if (name === "written") output.truncateSync(0);
    }
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["written"]);
  });
});

Deno.test("LiveOutput gives a pipe its bytes in order, as its reader takes them", () => {
  withPipe(({ reader, output, reactor, said }) => {
    const sent = pattern(1_000_000);
    const buffer = new Uint8Array(1000);
    for (let at = 0; at < sent.length; at += buffer.length) {
      buffer.set(sent.subarray(at, at + buffer.length));
      assertEquals(output.writeSync(buffer), buffer.length);
    }
    // The buffer is its owner's again.
    buffer.fill(0);
    const got: Uint8Array[] = [];
    let length = 0;
    while (length < sent.length) {
      const chunk = reader.read();
      assert(chunk.length > 0, `nothing comes after ${length} bytes`);
      got.push(chunk);
      length += chunk.length;
      reactor.turn(0);
    }
    const whole = new Uint8Array(length);
    let at = 0;
    for (const chunk of got) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    assertEquals(whole, sent);
    assertEquals(said, []);
  });
});

Deno.test("LiveOutput wants to hear of room in a pipe only while something waits for it", () => {
  withFolder((folder) => {
    const reader = new Reader(folder);
    let watched = 0;
    let ready: ReadyHandler = () => {};
    const add = (_fd: number, events: number, handler: ReadyHandler) => {
      watched = events;
      ready = handler;
      return { watch: (events: number) => void (watched = events), again() {}, remove() {} };
    };
    using output = new LiveOutput(reader.path, { add }, () => {});
    output.writeSync(new Uint8Array(10));
    assertEquals(watched, 0);
    for (let written = 0; written < 100_000; written += 1000) {
      output.writeSync(new Uint8Array(1000));
    }
    assertEquals(watched, POLLOUT);
    while (reader.read().length > 0) ready(POLLOUT);
    assertEquals(watched, 0);
    reader.close();
  });
});

Deno.test("LiveOutput is full when a reader takes nothing, and says at its end what that missed", () => {
  withPipe(({ output, said }) => {
    const block = new Uint8Array(1 << 20);
    let blocks = 0;
    for (; !output.isFull; blocks++) {
      assert(blocks < 20, "it has no bound");
      output.writeSync(block);
    }
    assert(blocks >= 16);
    output.close();
    assertEquals(said.length, 1);
    assertMatch(said[0]!, /^its reader did not take the last \d+ bytes$/);
  });
});

Deno.test("LiveOutput says once that a reader has gone, and takes what comes later", () => {
  for (const when of ["between messages", "while it is behind"] as const) {
    withPipe(({ reader, output, reactor, said }) => {
      if (when === "while it is behind") output.writeSync(new Uint8Array(1 << 20));
      reader.close();
      reactor.turn(0);
      assertEquals(said, ["its reader has gone"]);
      assertEquals(reactor.watched, 0);
      for (let i = 0; i < 3; i++) assertEquals(output.writeSync(new Uint8Array(7)), 7);
      output.incomplete("9 messages left out");
      output.close();
      assertEquals(said, ["its reader has gone"]);
    });
  }
});

Deno.test("LiveOutput says once that a device is full, and throws at nobody", () => {
  using reactor = new Reactor({ spin: "off" });
  const said: string[] = [];
  using output = new LiveOutput("/dev/full", reactor, (why) => said.push(why));
  output.truncateSync(0);
  for (let i = 0; i < 3; i++) assertEquals(output.writeSync(new Uint8Array(7)), 7);
  assertEquals(said.length, 1);
  assertStringIncludes(said[0]!.toLowerCase(), "no space left");
});

Deno.test("LiveOutput says why it does not hold all, where nothing else went wrong", () => {
  using reactor = new Reactor({ spin: "off" });
  const said: string[] = [];
  const output = new LiveOutput("/dev/null", reactor, (why) => said.push(why));
  output.incomplete("9 messages left out");
  output.close();
  output.close();
  assertEquals(said, ["9 messages left out"]);
});

Deno.test("LiveOutput refuses a pipe without a reader, and does not wait for one", () => {
  withFolder((folder) => {
    const reader = new Reader(folder);
    reader.close();
    using reactor = new Reactor({ spin: "off" });
    assertThrows(
      () => new LiveOutput(reader.path, reactor, () => {}),
      OutputRefused,
      "nobody reads from this pipe",
    );
    assertEquals(reactor.watched, 0);
  });
});
