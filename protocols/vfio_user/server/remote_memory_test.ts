import { assert, assertEquals } from "@std/assert";
import { CalmBuffer } from "../../linux/calm_buffer.ts";
import { UnixStream } from "../../linux/unix_stream.ts";
import { Connection } from "../connection.ts";
import { DMA_READ } from "../messages/dma_access.ts";
import { encodeReplyHeader, HEADER_SIZE } from "../messages/header.ts";
import { ServerMetrics } from "./metrics.ts";
import { Patience } from "./patience.ts";
import { RemoteMemory } from "./remote_memory.ts";

const LIMIT = 2000;

/**
 * What is left of a server's patience, in milliseconds, after a read of 1000 bytes from a client that
 * wants messages of `maxTransfer` bytes and takes `answerMs` for each.
 */
function leftAfterRead(maxTransfer: number, answerMs: number): number {
  const [ours, theirs] = UnixStream.pair();
  using connection = new Connection(ours, ">");
  using client = theirs;
  let nowNs = 0;
  const clock = {
    get nowNs(): number {
      return nowNs;
    },
    defer: () => ({ cancel: () => {} }),
  };
  connection.observer = { frame: (direction) => nowNs += direction === "<" ? answerMs * 1e6 : 0 };
  const patience = new Patience(clock, LIMIT);
  const remote = new RemoteMemory({
    connection,
    socket: "twin",
    host: { setAside: () => false, ended: () => {}, unfinished: () => {}, broken: () => {} },
    calm: new CalmBuffer(clock, ours),
    clock,
    metrics: new ServerMetrics(),
    maxTransfer,
    patience,
  });
  // All answers are there before they are asked for: IDs count from 1.
  for (let done = 0, id = 1; done < 1000; done += maxTransfer, id++) {
    const count = Math.min(maxTransfer, 1000 - done);
    const to = { id, command: DMA_READ.command, size: 0, flags: 0, error: 0 };
    const access = { address: 0x1000 + done, count, dataAt: 0 };
    const fixed = DMA_READ.request.encode(client.head, HEADER_SIZE, access);
    encodeReplyHeader(client.head, 0, to, fixed + count);
    client.send(HEADER_SIZE + fixed, new Uint8Array(count).fill(id));
  }
  const into = new Uint8Array(1000);
  assertEquals(remote.dmaRead(0x1000, into), 0);
  assertEquals(into[999], Math.ceil(1000 / maxTransfer) & 0xff);
  return (patience.deadlineNs(nowNs, 0) - nowNs) / 1e6;
}

Deno.test("RemoteMemory takes patience for small messages as for large ones, whatever size the client wants", () => {
  assertEquals(leftAfterRead(4096, 9), LIMIT);
  // A quarter of a second for 1000 bytes.
  const left = leftAfterRead(1, 0.25);
  assert(left < LIMIT - 200, `${left} ms`);
  // As fast as messages are between two processes.
  assertEquals(leftAfterRead(16, 0.05), LIMIT);
});
