import { assertEquals, assertRejects } from "@std/assert";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { Peer, withPair } from "./_test_pair.ts";
import { Guest } from "./guest.ts";
import { PciAgent, PciAgentError } from "./pci_agent.ts";

/** Plays the guest: answers each line of stdin as `answer` says; null ends the program. */
async function play(peer: Peer, answer: (line: string) => string | null): Promise<string[]> {
  const lines: string[] = [];
  for (;;) {
    const { op, id, data = "" } = await peer.next<{ op: string; id: number; data?: string }>();
    if (op === "close") {
      await peer.say({ kind: "exit", id, code: 0 });
      return lines;
    }
    if (op !== "stdin") continue;
    await peer.say({ kind: "taken", id });
    for (const line of new TextDecoder().decode(decodeBase64(data)!).trim().split("\n")) {
      lines.push(line);
      const said = answer(line);
      if (said === null) {
        await peer.say({ kind: "exit", id, code: 139, signal: 11 });
        return lines;
      }
      const bytes = encodeBase64(new TextEncoder().encode(said + "\n"));
      await peer.say({ kind: "output", id, stream: 1, data: bytes });
    }
  }
}

async function withAgent(
  answer: (line: string) => string | null,
  body: (agent: PciAgent) => Promise<void>,
): Promise<string[]> {
  let lines: string[] = [];
  await withPair(async ({ ours, theirs }) => {
    const guest = new Guest(ours, { silenceMs: 60_000, consoleTail: () => "" });
    const peer = new Peer(theirs);
    await peer.say({ kind: "ready", version: 1, boot: 1, uptimeMs: 1 });
    await guest.ready(1000);
    const played = play(peer, answer);
    const agent = new PciAgent(guest);
    await body(agent);
    await agent.close();
    lines = await played;
    guest.close();
    await guest.ended;
  });
  return lines;
}

Deno.test("PciAgent.do() sends numbers in hexadecimal, and gives the value that comes back", async () => {
  const lines = await withAgent(
    (line) => line.startsWith("br") ? "ok 0xffffffffffffffff" : "ok",
    async (agent) => {
      assertEquals(await agent.do("map", 0, 2 ** 32, 4096n), 0n);
      assertEquals(await agent.do("br", 0, 0, 0x98, 8), 0xffff_ffff_ffff_ffffn);
    },
  );
  assertEquals(lines, ["map 0x0 0x100000000 0x1000", "br 0x0 0x0 0x98 0x8"]);
});

Deno.test("PciAgent.do() may overlap; each gets the answer to its own command", async () => {
  await withAgent((line) => `ok ${line.split(" ")[1]}`, async (agent) => {
    const answers = await Promise.all([7, 8, 9].map((value) => agent.do("echo", value)));
    assertEquals(answers, [7n, 8n, 9n]);
  });
});

Deno.test("PciAgent.do() tells what Linux refused, and goes on", async () => {
  await withAgent((line) => line === "map" ? "error 22" : "ok 0x1", async (agent) => {
    const refused = agent.do("map");
    const next = agent.do("intx");
    const error = await assertRejects(() => refused, PciAgentError, "EINVAL") as PciAgentError;
    assertEquals([error.errno, error.command], [22, "map"]);
    assertEquals(await next, 1n);
  });
});

Deno.test("PciAgent.do() says so when the program dies or answers nonsense", async () => {
  await withAgent((line) => line === "what" ? "pardon" : null, async (agent) => {
    await assertRejects(() => agent.do("what"), Error, '"pardon"');
    await assertRejects(() => agent.do("die"), Error, "answered null");
  });
});

Deno.test("PciAgent.giveUp() fails what is under way, and what follows", () =>
  withPair(async ({ ours, theirs }) => {
    const guest = new Guest(ours, { silenceMs: 60_000, consoleTail: () => "" });
    const peer = new Peer(theirs);
    await peer.say({ kind: "ready", version: 1, boot: 1, uptimeMs: 1 });
    await guest.ready(1000);
    const agent = new PciAgent(guest);
    const refused = assertRejects(() => agent.do("br"), Error, "the device is gone");
    // Nobody answers.
    for (let op = ""; op !== "stdin"; op = (await peer.next<{ op: string }>()).op);
    agent.giveUp(new Error("the device is gone"));
    await refused;
    await assertRejects(() => agent.do("br"), Error, "the device is gone");
    guest.close();
    await guest.ended;
  }));
