/**
 * A client that sends what a test tells it to, well formed or not, and takes the answers as they are.
 * @module
 */

import type { Descriptor } from "../../../protocols/linux/descriptor.ts";
import { POLLIN } from "../../../protocols/linux/libc.ts";
import { connectUnix } from "../../../protocols/linux/unix_socket.ts";
import type { UnixStream } from "../../../protocols/linux/unix_stream.ts";
import { message, version } from "./wire.ts";

/** An answer, or a command of the server's. */
export interface RawMessage {
  readonly id: number;
  readonly command: number;
  readonly flags: number;
  /** The errno, 0 without the ERROR flag. */
  readonly errno: number;
  readonly body: Uint8Array;
  /** Whole, header included. */
  readonly size: number;
  readonly descriptors: readonly Descriptor[];
}

/** How a client lets its server get on: turns of a reactor in this thread, or waiting for another. */
export type Pump = (stream: UnixStream) => void;

/** Waits for a server in another thread or process. */
export const blocking: Pump = (stream) => {
  stream.wait(POLLIN, 5000);
};

const ROUNDS = 2000;

/** Owns one end of a connection. */
export class RawClient implements Disposable {
  readonly stream: UnixStream;
  readonly #pump: Pump;
  /** Descriptors that came with the VERSION reply. */
  versionDescriptors: readonly Descriptor[] = [];
  #nextId = 1;

  constructor(stream: UnixStream, pump: Pump) {
    this.stream = stream;
    this.#pump = pump;
  }

  /** Connects, and sends nothing. */
  static connect(path: string, pump: Pump): RawClient {
    return new RawClient(connectUnix(path, { receiveLimit: 0x80_0000 }), pump);
  }

  /** Sends bytes as they are. @returns 0 or `-errno` */
  send(bytes: Uint8Array, fds: readonly number[] = []): number {
    let result = 0;
    for (let at = 0; at < bytes.length && result === 0; at += 8192) {
      const part = bytes.subarray(at, at + 8192);
      this.stream.headBytes.set(part);
      result = this.stream.send(part.length, null, at === 0 ? fds : []);
    }
    return result;
  }

  /** The next message, or `eof`. @throws {Error} when none comes */
  receive(): RawMessage | "eof" {
    for (let round = 0; round < ROUNDS; round++) {
      const whole = this.#take();
      if (whole !== null) return whole;
      if (this.stream.pendingBytes > 0) this.stream.flush();
      const received = this.stream.receive();
      if (received === 0 || (received < 0 && received !== -11)) return "eof";
      if (received < 0) this.#pump(this.stream);
    }
    throw new Error("Cannot receive a message: none has come");
  }

  /** Whether anything arrives while the server has time for it. */
  hears(): boolean {
    for (let round = 0; round < 4; round++) {
      this.#pump(this.stream);
      if (this.stream.receive() >= 0 || this.stream.length > 0) return true;
    }
    return false;
  }

  /** Sends a command and receives its reply. @throws {Error} at the end of the stream, or for another's reply */
  call(command: number, body?: Uint8Array, fds: readonly number[] = [], flags = 0): RawMessage {
    const id = this.#nextId;
    this.#nextId = (id + 1) & 0xffff;
    this.send(message(command, body, { id, flags }), fds);
    const reply = this.receive();
    if (reply === "eof") throw new Error(`Cannot call command ${command}: the server hung up`);
    if (reply.id !== id || reply.command !== command || (reply.flags & 0xf) !== 1) {
      throw new Error(`Cannot call command ${command}: got ${JSON.stringify({ ...reply })}`);
    }
    return reply;
  }

  /** Agrees on a version. @returns the capabilities of the reply */
  negotiate(capabilities: Record<string, unknown> = {}): Record<string, unknown> {
    const reply = this.call(1, version({ capabilities }));
    if (reply.errno !== 0) throw new Error(`Cannot negotiate: errno ${reply.errno}`);
    this.versionDescriptors = reply.descriptors;
    const text = new TextDecoder().decode(reply.body.subarray(4, -1));
    return (JSON.parse(text) as { capabilities: Record<string, unknown> }).capabilities;
  }

  close(): void {
    for (const descriptor of this.versionDescriptors) descriptor.close();
    this.stream.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #take(): RawMessage | null {
    const { stream } = this;
    if (stream.length < 16) return null;
    const { view, start } = stream;
    const size = view.getUint32(start + 4, true);
    if (stream.length < size) return null;
    const flags = view.getUint32(start + 8, true);
    const taken: RawMessage = {
      id: view.getUint16(start, true),
      command: view.getUint16(start + 2, true),
      flags,
      errno: (flags & 0x20) !== 0 ? view.getUint32(start + 12, true) : 0,
      body: stream.bytes.slice(start + 16, start + size),
      size,
      descriptors: stream.takeDescriptors(size) ?? [],
    };
    stream.consume(size);
    return taken;
  }
}
