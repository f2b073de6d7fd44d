import { assert, assertEquals } from "@std/assert";
import {
  encodeCommandHeader,
  encodeErrorReply,
  encodeReplyHeader,
  header,
} from "../../protocols/vfio_user/messages/header.ts";
import { VfioUserCommand, VfioUserFlags } from "../../protocols/vfio_user/spec.ts";
import { Errno } from "../../protocols/linux/errno.ts";
import { ChromeRequests } from "./chrome_requests.ts";
import type { ChromeEvent } from "./chrome_event.ts";

const { VFIO_USER_DMA_READ, VFIO_USER_REGION_READ, VFIO_USER_REGION_WRITE } = VfioUserCommand;
const NAME = "edu at 00:01.0";
const PID = 7;

/** One connection, in microseconds. */
class Talk {
  readonly requests = new ChromeRequests();

  command(us: number, id: number, command: number, flags = 0, direction: ">" | "<" = ">"): void {
    const view = new DataView(new ArrayBuffer(16));
    encodeCommandHeader(view, 0, id, command, 0, flags);
    this.#take(us, direction, view);
  }

  reply(us: number, id: number, command: number, errno = 0, direction: ">" | "<" = "<"): void {
    const view = new DataView(new ArrayBuffer(16));
    const to = { ...header(), id, command };
    if (errno === 0) encodeReplyHeader(view, 0, to, 0);
    else encodeErrorReply(view, 0, to, errno);
    this.#take(us, direction, view);
  }

  events(kind: ChromeEvent["ph"]): unknown[][] {
    return this.requests.events((connection) => connection === NAME ? PID : 0)
      .filter(({ ph }) => ph === kind)
      .map(({ name, pid, tid, ts, dur, args }) => [
        name,
        pid,
        tid,
        ts,
        dur,
        ...(kind === "M" ? [args!.name] : [args!.id, args!.result]),
      ]);
  }

  #take(us: number, direction: ">" | "<", { buffer }: DataView): void {
    const bytes = new Uint8Array(buffer as ArrayBuffer);
    const timeNs = us * 1000;
    this.requests.take({ connection: NAME, timeNs, direction, bytes, descriptors: 0 }, 5e6);
  }
}

Deno.test("ChromeRequests makes a slice of a command, from its sending to its reply, and says what came of it", () => {
  const talk = new Talk();
  talk.command(10, 1, VFIO_USER_REGION_READ);
  talk.reply(35, 1, VFIO_USER_REGION_READ);
  talk.command(40, 2, VFIO_USER_REGION_WRITE);
  talk.reply(41.5, 2, VFIO_USER_REGION_WRITE, Errno.EINVAL);
  assertEquals(talk.events("X"), [
    ["REGION_READ", PID, 200, 10, 25, 1, "ok"],
    ["REGION_WRITE", PID, 200, 40, 1.5, 2, "EINVAL"],
  ]);
  assertEquals(talk.events("i"), []);
  assertEquals(talk.events("M"), [
    ["thread_name", PID, 200, 0, undefined, "vfio-user commands, wall clock"],
  ]);
  const [slice] = talk.requests.events(() => PID).filter(({ ph }) => ph === "X");
  assertEquals(slice!.args!.scenarioMs, 5);
});

Deno.test("ChromeRequests shows what wants no reply, and what got none, as instants", () => {
  const talk = new Talk();
  talk.command(10, 1, VFIO_USER_REGION_WRITE, VfioUserFlags.NO_REPLY);
  talk.command(12, 2, VFIO_USER_REGION_READ);
  // A reply to neither of them.
  talk.reply(13, 1, VFIO_USER_REGION_WRITE);
  talk.reply(14, 3, VFIO_USER_REGION_READ);
  assertEquals(talk.events("i"), [
    ["REGION_WRITE", PID, 200, 10, undefined, 1, "posted"],
    ["REGION_READ", PID, 200, 12, undefined, 2, "no reply"],
  ]);
  assertEquals(talk.events("X"), []);
});

Deno.test("ChromeRequests tells the two directions apart, with one ID in use in both", () => {
  const talk = new Talk();
  talk.command(10, 1, VFIO_USER_DMA_READ);
  talk.command(11, 1, VFIO_USER_DMA_READ, 0, "<");
  talk.reply(15, 1, VFIO_USER_DMA_READ, 0, ">");
  talk.reply(30, 1, VFIO_USER_DMA_READ);
  assertEquals(talk.events("X"), [
    ["DMA_READ", PID, 200, 10, 20, 1, "ok"],
    ["DMA_READ", PID, 300, 11, 4, 1, "ok"],
  ]);
  assertEquals(talk.events("M").map((event) => event[5]), [
    "vfio-user commands, wall clock",
    "vfio-user commands of the server, wall clock",
  ]);
});

Deno.test("ChromeRequests gives commands that overlap threads of their own, those beyond the last as instants", () => {
  const talk = new Talk();
  for (let id = 0; id < 66; id++) talk.command(10 + id, id, VFIO_USER_REGION_READ);
  for (let id = 0; id < 66; id++) talk.reply(200 + id, id, VFIO_USER_REGION_READ);
  assertEquals(
    talk.events("X").map(([, , tid, ts, dur]) => [tid, ts, dur]),
    Array.from({ length: 64 }, (_, id) => [200 + id, 10 + id, 190]),
  );
  const [first, second] = talk.requests.events(() => PID).filter(({ ph }) => ph === "i");
  assertEquals([first!.ts, first!.args!.tookUs, second!.ts], [74, 190, 75]);
});

Deno.test("ChromeRequests takes an ID that is in use twice by its age, and a reply from the past as none", () => {
  const talk = new Talk();
  talk.command(10, 1, VFIO_USER_REGION_READ);
  talk.command(12, 1, VFIO_USER_REGION_READ);
  talk.reply(20, 1, VFIO_USER_REGION_READ);
  talk.reply(11, 1, VFIO_USER_REGION_READ);
  assertEquals(talk.events("X").map(([, , , ts, dur]) => [ts, dur]), [[10, 10], [12, 0]]);
});

Deno.test("ChromeRequests is bounded, whatever comes, and counts what it no longer has", () => {
  const talk = new Talk();
  const messages = 140_000;
  for (let at = 0; at < messages; at++) talk.command(at, at & 0xffff, VFIO_USER_REGION_READ);
  const events = talk.requests.events(() => PID).filter(({ ph }) => ph !== "M");
  assertEquals(events.length + talk.requests.dropped, messages);
  assert(events.length <= 65_536);
  assertEquals(events.at(-1)!.ts, messages - 1);
});

Deno.test("ChromeRequests passes over what is no message", () => {
  const requests = new ChromeRequests();
  for (const length of [0, 15, 16, 40]) {
    const bytes = new Uint8Array(length).fill(0xff);
    const message = { connection: NAME, timeNs: 0, direction: ">" as const, descriptors: 0 };
    requests.take({ ...message, bytes }, 0);
  }
  assertEquals(requests.events(() => PID), []);
});
