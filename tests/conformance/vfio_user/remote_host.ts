/**
 * A server in another thread, and a client that answers its commands.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { type ReactorHandle, stopReactor } from "../../../protocols/linux/reactor.ts";
import { UnixStream } from "../../../protocols/linux/unix_stream.ts";
import { blocking, RawClient, type RawMessage } from "./raw_client.ts";
import type { Answer, Start } from "./server_worker.ts";
import { bytes, Flag, message, regionRead, regionWrite, u32, u64 } from "./wire.ts";

/** Runs `body` with a server in a Worker, and sees to it that nothing is left. @returns its last words */
export async function withRemote(
  body: (path: string) => void | Promise<void>,
  options: Partial<Start> = {},
): Promise<Record<string, unknown>> {
  const directory = await Deno.makeTempDir();
  const path = join(directory, "device.sock");
  const worker = new Worker(import.meta.resolve("./server_worker.ts"), { type: "module" });
  const next = () =>
    new Promise<Answer>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(`The server's thread failed: ${event.message}`));
      };
    });
  try {
    worker.postMessage({ path, device: "probe", ...options });
    const started = await next();
    assert("handle" in started);
    const ended = next();
    await finish(body, path, started.handle);
    const last = await ended;
    assert("left" in last);
    assertEquals(last.left, [0, 0, 0], "descriptors, mappings and windows left");
    return last.inspect;
  } finally {
    worker.terminate();
    await Deno.remove(directory, { recursive: true });
  }
}

async function finish(
  body: (path: string) => void | Promise<void>,
  path: string,
  handle: ReactorHandle,
): Promise<void> {
  try {
    await body(path);
  } finally {
    stopReactor(handle);
  }
}

/** How a client answers DMA_READ and DMA_WRITE; null for no answer at all. */
export type DmaAnswer = (
  command: RawMessage,
  address: number,
  count: number,
  data: Uint8Array,
) => { errno?: number; body?: Uint8Array } | null;

/** A client with memory that is reached by messages alone: 64 KiB at IOVA 0x10_0000. */
export class RemoteClient implements Disposable {
  readonly main: RawClient;
  readonly memory = new Uint8Array(0x1_0000);
  /** `read 100000 10`, one a command, in order. */
  log: string[] = [];
  answer: DmaAnswer | null = null;
  readonly #twin: RawClient | null;
  #nextId = 100;

  constructor(path: string, capabilities: Record<string, unknown> = {}) {
    this.main = RawClient.connect(path, blocking);
    this.main.negotiate(capabilities);
    const [descriptor] = this.main.versionDescriptors;
    this.#twin = descriptor === undefined
      ? null
      : new RawClient(new UnixStream(descriptor), () => {});
    // Memory space and bus mastering.
    this.call(10, regionWrite(7, 4, new Uint8Array([7, 0])));
  }

  get twin(): RawClient | null {
    return this.#twin;
  }

  /** Sends a command, and serves the server until its reply is there. */
  call(command: number, body: Uint8Array): RawMessage {
    const id = this.#nextId++;
    this.main.send(message(command, body, { id }));
    return this.until(id);
  }

  /** Serves the server until the reply with this ID is there. */
  until(id: number): RawMessage {
    for (;;) {
      const found = this.next();
      if ((found.flags & 0xf) === Flag.REPLY) {
        assertEquals(found.id, id);
        return found;
      }
      this.serve(found, this.main);
    }
  }

  /** The next message of the main socket, with the twin served meanwhile. */
  next(): RawMessage {
    const end = performance.now() + 10_000;
    while (performance.now() < end) {
      if (this.#twin !== null) {
        this.#twin.stream.wait(1, 0);
        if (this.#twin.stream.receive() > 0 || this.#twin.stream.length >= 16) {
          const command = this.#twin.receive();
          assert(command !== "eof");
          this.serve(command, this.#twin);
        }
      }
      const { stream } = this.main;
      if (stream.length < 16 && stream.wait(1, 1) <= 0) continue;
      const found = this.main.receive();
      assert(found !== "eof", "the server hung up");
      return found;
    }
    throw new Error("Cannot go on: the server says nothing");
  }

  /** Answers one command of the server's. */
  serve(command: RawMessage, on: RawClient): void {
    const view = new DataView(command.body.buffer);
    const address = Number(view.getBigUint64(0, true));
    const count = Number(view.getBigUint64(8, true));
    const data = command.body.subarray(16);
    this.log.push(
      `${command.command === 11 ? "read" : "write"} ${address.toString(16)} ${count.toString(16)}`,
    );
    const answer = (this.answer ?? this.#ram)(command, address, count, data);
    if (answer === null) return;
    const { errno = 0, body = new Uint8Array(0) } = answer;
    const flags = Flag.REPLY | (errno === 0 ? 0 : Flag.ERROR);
    on.send(message(command.command, body, { id: command.id, flags, error: errno }));
  }

  readonly #ram: DmaAnswer = (command, address, count, data) =>
    this.ram(command, address, count, data);

  /** What memory answers. */
  ram(command: RawMessage, address: number, count: number, data: Uint8Array) {
    const at = address - 0x10_0000;
    if (at < 0 || at + count > this.memory.length) return { errno: 14 };
    const head = bytes(u64(address), u64(count));
    if (command.command === 11) return { body: bytes(head, this.memory.subarray(at, at + count)) };
    this.memory.set(data.subarray(0, count), at);
    return { body: head };
  }

  /** Reads a register of BAR 0. */
  get(offset: number): number {
    return new DataView(this.call(9, regionRead(0, offset, 4)).body.buffer).getUint32(16, true);
  }

  /** Writes a register of BAR 0. */
  set(offset: number, value: number): void {
    assertEquals(this.call(10, regionWrite(0, offset, bytes(u32(value)))).errno, 0);
  }

  [Symbol.dispose](): void {
    this.#twin?.close();
    this.main.close();
  }
}
