import { assert, assertEquals, assertRejects } from "@std/assert";
import { Peer, withPair } from "./_test_pair.ts";
import { encodeBase64 } from "./base64.ts";
import { Guest, GuestError } from "./guest.ts";
import { GuestProcess } from "./guest_process.ts";
import { STDIN_CHUNK } from "./guest_protocol.ts";

interface Request {
  readonly boot: number;
  readonly id: number;
  readonly op: string;
  readonly command?: string;
  readonly data?: string;
  readonly signal?: number;
}

const base64 = (text: string): string => encodeBase64(new TextEncoder().encode(text));
const hello = { kind: "ready", version: 1, boot: 7, uptimeMs: 1500 };

/** A guest that has said hello, and the test as its agent. */
async function withGuest(body: (guest: Guest, agent: Peer, hangUp: () => void) => Promise<void>) {
  await withPair(async ({ ours, theirs }) => {
    const guest = new Guest(ours, { silenceMs: 60_000, consoleTail: () => "last words" });
    const agent = new Peer(theirs);
    await agent.raw("\n");
    await agent.say(hello);
    assertEquals(await guest.ready(60_000), { number: 7, uptimeMs: 1500 });
    try {
      await body(guest, agent, () => theirs.close());
    } finally {
      guest.close();
      await guest.ended;
    }
  });
}

Deno.test("Guest.run() gives output of both streams and the exit code", () =>
  withGuest(async (guest, agent) => {
    const running = guest.run("ls; false");
    const start = await agent.next<Request>();
    assertEquals(start, { boot: 7, id: start.id, op: "start", command: base64("ls; false") });
    assertEquals((await agent.next<Request>()).op, "close");
    await agent.say({ kind: "output", id: start.id, stream: 1, data: base64("a") });
    await agent.say({ kind: "output", id: start.id, stream: 2, data: base64("oops") });
    await agent.say({ kind: "output", id: start.id, stream: 1, data: base64("b\n") });
    await agent.say({ kind: "exit", id: start.id, code: 1 });
    const result = await running;
    assertEquals(
      [result.code, result.signal, result.stdout, result.stderr],
      [1, null, "ab\n", "oops"],
    );
  }));

Deno.test("Guest.run() says a signal as shells do", () =>
  withGuest(async (guest, agent) => {
    const running = guest.run("kill -9 $$");
    const { id } = await agent.next<Request>();
    await agent.say({ kind: "exit", id, signal: 9 });
    const { code, signal } = await running;
    assertEquals([code, signal], [137, 9]);
  }));

Deno.test("GuestProcess.write() sends the next part when the last was taken", () =>
  withGuest(async (guest, agent) => {
    const process = guest.start("cat");
    const { id } = await agent.next<Request>();
    const data = crypto.getRandomValues(new Uint8Array(STDIN_CHUNK + 10));
    const written = process.write(data);
    void process.closeStdin();
    assertEquals((await agent.next<Request>()).data, encodeBase64(data.subarray(0, STDIN_CHUNK)));
    const other = guest.start("true");
    assertEquals((await agent.next<Request>()).op, "start");
    other.signal(9);
    assertEquals((await agent.next<Request>()).op, "signal");
    await agent.say({ kind: "taken", id });
    assertEquals((await agent.next<Request>()).data, encodeBase64(data.subarray(STDIN_CHUNK)));
    await agent.say({ kind: "taken", id });
    await written;
    assertEquals((await agent.next<Request>()).op, "close");
    await agent.say({ kind: "exit", id, code: 0 });
    await process.exited;
  }));

Deno.test("GuestProcess.readLine() gives lines, then what no line break ended, then null", () =>
  withGuest(async (guest, agent) => {
    const process = guest.start("mmio serve");
    const { id } = await agent.next<Request>();
    await agent.say({ kind: "output", id, stream: 1, data: base64("one\ntw") });
    assertEquals(await process.readLine(), "one");
    await agent.say({ kind: "output", id, stream: 1, data: base64("o\nrest") });
    assertEquals(await process.readLine(), "two");
    await agent.say({ kind: "exit", id, code: 0 });
    assertEquals(await process.readLine(), "rest");
    assertEquals(await process.readLine(), null);
  }));

Deno.test("Guest fails what runs when the guest starts anew, and takes up the new boot", () =>
  withGuest(async (guest, agent) => {
    const before = guest.boot;
    const running = guest.run("sleep 9");
    running.catch(() => {});
    await agent.next<Request>();
    await agent.next<Request>();
    await agent.say({ ...hello, boot: 9 });
    assertEquals((await guest.ready(60_000, before)).number, 9);
    const error = await assertRejects(() => running, GuestError, "started anew") as GuestError;
    assertEquals(error.code, "reset");
    guest.start("true");
    assertEquals((await agent.next<Request>()).boot, 9);
  }));

Deno.test("Guest.start() refuses while the guest is between two boots", () =>
  withGuest(async (guest) => {
    guest.wasReset();
    await assertRejects(() => guest.run("true"), GuestError, "starting");
  }));

Deno.test("Guest fails what runs with the console's end when the machine ends", () =>
  withGuest(async (guest, agent, hangUp) => {
    const running = guest.run("sleep 9");
    running.catch(() => {});
    await agent.next<Request>();
    hangUp();
    const error = await assertRejects(() => running, GuestError, "last words") as GuestError;
    assertEquals(error.code, "gone");
    await assertRejects(() => guest.ready(60_000), GuestError, "ended");
    await assertRejects(() => guest.run("true"), GuestError, "ended");
  }));

Deno.test("Guest passes over lines that are no message, and messages of nobody", () =>
  withGuest(async (guest, agent) => {
    for (
      const line of [
        "[  1.0] a kernel's word",
        "null",
        "[]",
        "{}",
        `{"kind":"output","id":1,"stream":3,"data":""}`,
        `{"kind":"output","id":1,"stream":1,"data":"%%%%"}`,
        `{"kind":"exit","id":-1}`,
        `{"kind":"exit","id":99,"code":0}`,
        `{"kind":"taken","id":99}`,
        `{"kind":"output","id":99,"stream":1,"data":"AAAA"}`,
      ]
    ) await agent.raw(line + "\n");
    const running = guest.run("true");
    const { id } = await agent.next<Request>();
    await agent.say({ kind: "exit", id, code: 0 });
    assertEquals((await running).code, 0);
  }));

Deno.test("Guest refuses an agent of another version", async () => {
  await withPair(async ({ ours, theirs }) => {
    const guest = new Guest(ours, { silenceMs: 60_000, consoleTail: () => "" });
    await new Peer(theirs).say({ ...hello, version: 2 });
    await assertRejects(() => guest.ready(60_000), GuestError, "version 2");
    await guest.ended;
  });
});

Deno.test("Guest.run() tells what its agent could not do", () =>
  withGuest(async (guest, agent) => {
    const running = guest.run("true");
    const { id } = await agent.next<Request>();
    await agent.say({ kind: "error", id, what: "start", reason: "Out of memory" });
    await assertRejects(() => running, GuestError, "Out of memory");
    assert(guest.boot !== null);
  }));

Deno.test("Guest fails all that runs when its agent could not read a line", () =>
  withGuest(async (guest, agent) => {
    const running = guest.run("true");
    running.catch(() => {});
    await agent.next<Request>();
    await agent.say({ kind: "error", id: 0, what: "request", reason: "Bad message" });
    await assertRejects(() => running, GuestError, "Bad message");
  }));

Deno.test("Guest.start() refuses a command that no line of the agent holds", () =>
  withGuest(async (guest) => {
    await assertRejects(() => guest.run("x".repeat(65537)), RangeError, "65537 bytes");
  }));

Deno.test("Guest.ready() fails when the machine is reset in its first boot", async () => {
  await withPair(async ({ ours }) => {
    const guest = new Guest(ours, { silenceMs: 60_000, consoleTail: () => "panic" });
    const ready = guest.ready(60_000);
    ready.catch(() => {});
    guest.wasReset();
    await assertRejects(() => ready, GuestError, "before its agent said hello");
    guest.close();
    await guest.ended;
  });
});

Deno.test("Guest.ready() bears the firmware's own reset in a later boot, and no more", () =>
  withGuest(async (guest, agent) => {
    const before = guest.boot;
    const ready = guest.ready(60_000, before);
    ready.catch(() => {});
    guest.wasReset();
    guest.wasReset();
    await agent.say({ ...hello, boot: 8 });
    assertEquals((await ready).number, 8);
    const again = guest.ready(60_000, guest.boot);
    again.catch(() => {});
    for (let i = 0; i < 3; i++) guest.wasReset();
    await assertRejects(() => again, GuestError, "before its agent said hello");
  }));

Deno.test("GuestProcess.output() counts what nobody has taken, and not what was", async () => {
  const signals: number[] = [];
  const process = new GuestProcess("cat", {
    stdin() {},
    close() {},
    signal: (signal) => signals.push(signal),
  });
  const line = new Uint8Array(1024 * 1024).fill(0x20);
  line[line.length - 1] = 0x0a;
  for (let i = 0; i < 300; i++) {
    process.output(i % 2 === 0 ? 1 : 2, line);
    process.takeStdout();
    process.takeStderr();
  }
  for (let i = 0; i < 300; i++) {
    process.output(1, line);
    assertEquals((await process.readLine())?.length, line.length - 1);
  }
  assertEquals(signals, []);
  for (let i = 0; i < 257; i++) process.output(2, line);
  assertEquals(signals, [9]);
  await assertRejects(() => process.exited, Error, "Cannot keep the output of cat");
});

Deno.test("Guest takes no time in which nobody listened for the guest's silence", async () => {
  const { setInterval } = globalThis;
  const { now } = performance;
  let time = now.call(performance);
  let look: () => void = () => {};
  try {
    performance.now = () => time;
    globalThis.setInterval = ((run: () => void) => {
      look = run;
    }) as unknown as typeof setInterval;
    await withGuest(async (guest, agent) => {
      const running = guest.run("sleep 9");
      running.catch(() => {});
      const { id } = await agent.next<Request>();
      // As long as a scenario computes, nothing that the guest says is read.
      time += 3_600_000;
      look();
      for (let i = 0; i < 58; i++) {
        time += 1000;
        look();
      }
      await agent.say({ kind: "exit", id, code: 0 });
      assertEquals((await running).code, 0);
      const hanging = guest.run("sleep 9");
      hanging.catch(() => {});
      for (let i = 0; i < 60; i++) {
        time += 1000;
        look();
      }
      await assertRejects(() => hanging, GuestError, "nothing heard for 60 s");
    });
  } finally {
    performance.now = now;
    globalThis.setInterval = setInterval;
  }
});
