/**
 * A server for tests of the client: it lives in the same thread, is served by the
 * client's poll group, and answers what the test tells it to.
 */

import { closeAll, type Descriptor } from "../../linux/descriptor.ts";
import { Errno } from "../../linux/errno.ts";
import { POLLIN, POLLOUT } from "../../linux/libc.ts";
import { UnixStream } from "../../linux/unix_stream.ts";
import {
  type Capabilities,
  encodeVersionData,
  negotiate,
  type Negotiated,
  OUR_CAPABILITIES,
  parseVersionData,
  replyCapabilities,
} from "../capabilities.ts";
import {
  decodeHeader,
  encodeCommandHeader,
  encodeErrorReply,
  encodeReplyHeader,
  type Header,
  header,
  HEADER_SIZE,
  isReply,
  wantsReply,
} from "../messages/header.ts";
import { VfioUserCommand } from "../spec.ts";
import { VfioUserClient, type VfioUserClientOptions } from "./client.ts";
import { VfioUserError, type VfioUserErrorCode } from "./client_error.ts";
import { type Pollable, PollGroup, type ReadyFd } from "./poll_group.ts";

/** A message that arrived. */
export interface Received {
  readonly header: Header;
  /** A copy. */
  readonly body: Uint8Array;
  readonly view: DataView;
  /** Closed by the test server when the answer is given, unless taken out. */
  descriptors: readonly Descriptor[];
}

/** Body of a good reply, errno of a bad one, or null for none now. */
export type Answer = Uint8Array | number | null;

export type AnswerFunction = (message: Received) => Answer;

export class TestServer implements Pollable {
  readonly stream: UnixStream;
  /** Every command but VERSION, in order. */
  readonly received: Received[] = [];
  /** Every reply to a command of ours. */
  readonly replies: Received[] = [];
  /** What the client announced. */
  client: Capabilities | null = null;
  answer: AnswerFunction;
  /** Bytes of a VERSION reply of the test's making. */
  version: ((server: TestServer, message: Received) => Answer | "hand over") | null = null;
  capabilities: Capabilities = OUR_CAPABILITIES;
  inForce: Negotiated | null = null;
  ended = false;

  constructor(stream: UnixStream, answer: AnswerFunction) {
    this.stream = stream;
    this.answer = answer;
  }

  readyFds(): readonly ReadyFd[] {
    if (this.stream.closed || this.ended) return [];
    const out = this.stream.pendingBytes > 0 ? POLLOUT : 0;
    return [{ fd: this.stream.fd, events: POLLIN | out }];
  }

  poll(): boolean {
    const { stream } = this;
    if (stream.closed || this.ended) return false;
    if (stream.pendingBytes > 0) stream.flush();
    const got = stream.receive();
    if (got === -Errno.EAGAIN) return false;
    if (got <= 0) {
      this.ended = true;
      return true;
    }
    for (;;) {
      if (stream.length < HEADER_SIZE) return true;
      const head = header();
      decodeHeader(stream.view, stream.start, head);
      if (stream.length < head.size) {
        stream.reserve(head.size);
        return true;
      }
      const at = stream.start + HEADER_SIZE;
      const body = stream.bytes.slice(at, at + head.size - HEADER_SIZE);
      const view = new DataView(body.buffer);
      const descriptors = stream.takeDescriptors(head.size) ?? [];
      stream.consume(head.size);
      this.#take({ header: head, body, view, descriptors });
      if (stream.closed) return true;
    }
  }

  /** Answers a command that was left without an answer. */
  reply(to: Received, answer: Uint8Array | number, fds: readonly number[] = []): void {
    const { stream } = this;
    if (typeof answer === "number") {
      stream.send(encodeErrorReply(stream.head, 0, to.header, answer));
    } else {
      stream.send(encodeReplyHeader(stream.head, 0, to.header, answer.length), answer, fds);
    }
  }

  /** Sends a command to the client. */
  command(command: number, id: number, body: Uint8Array, on: UnixStream = this.stream): void {
    on.send(encodeCommandHeader(on.head, 0, id, command, body.length, 0), body);
  }

  /** Sends bytes as they are. */
  raw(bytes: Uint8Array): void {
    this.stream.headBytes.set(bytes);
    this.stream.send(bytes.length);
  }

  close(): void {
    for (const { descriptors } of [...this.received, ...this.replies]) closeAll(descriptors);
    this.stream.close();
  }

  #take(message: Received): void {
    if (isReply(message.header)) {
      this.replies.push(message);
      return;
    }
    if (message.header.command === VfioUserCommand.VFIO_USER_VERSION) {
      this.#agree(message);
      return;
    }
    this.received.push(message);
    const answer = this.answer(message);
    if (answer !== null) {
      if (wantsReply(message.header)) this.reply(message, answer);
      closeAll(message.descriptors);
    }
  }

  #agree(message: Received): void {
    const theirs = parseVersionData(message.body.subarray(4, message.body.length - 1));
    if ("errno" in theirs) throw new Error(theirs.reason);
    this.client = theirs;
    if (this.version !== null) {
      const answer = this.version(this, message);
      if (answer !== null && answer !== "hand over") this.reply(message, answer);
      return;
    }
    const inForce = negotiate(this.capabilities, theirs);
    if ("errno" in inForce) throw new Error(inForce.reason);
    this.inForce = inForce;
    this.reply(message, versionBody(replyCapabilities(inForce, null)));
  }
}

/** The body of a VERSION reply. */
export function versionBody(capabilities: Capabilities | string, major = 0, minor = 0): Uint8Array {
  const json = typeof capabilities === "string"
    ? new TextEncoder().encode(capabilities)
    : encodeVersionData(capabilities);
  const body = new Uint8Array(4 + json.length + 1);
  const view = new DataView(body.buffer);
  view.setUint16(0, major, true);
  view.setUint16(2, minor, true);
  body.set(json, 4);
  return body;
}

/** A client and its server, both closed at the end of `body`. */
export function withServer(
  answer: AnswerFunction,
  body: (client: VfioUserClient, server: TestServer) => void | Promise<void>,
  options: VfioUserClientOptions & {
    readonly prepare?: (server: TestServer) => void;
  } = {},
): Promise<void> {
  const [near, far] = UnixStream.pair();
  const group = new PollGroup();
  const server = new TestServer(far, answer);
  options.prepare?.(server);
  group.add(server);
  const { prepare: _, ...rest } = options;
  return Promise.try(async () => {
    const client = VfioUserClient.over(near, { timeoutMs: 2000, group, ...rest });
    try {
      await body(client, server);
    } finally {
      client.close();
    }
  }).finally(() => {
    server.close();
    near.close();
    group.close();
  });
}

/** The request's first `length` bytes: what many replies repeat. */
export function echo(message: Received, length: number): Uint8Array {
  return message.body.slice(0, length);
}

/** A region whose bytes are their own offsets; everything else succeeds without a body. */
export const plain: AnswerFunction = ({ header, body, view }) => {
  switch (header.command) {
    case VfioUserCommand.VFIO_USER_REGION_READ: {
      const offset = view.getUint32(0, true), count = view.getUint32(12, true);
      const reply = new Uint8Array(16 + count);
      reply.set(body);
      for (let at = 0; at < count; at++) reply[16 + at] = offset + at;
      return reply;
    }
    case VfioUserCommand.VFIO_USER_REGION_WRITE:
      return body.slice(0, 16);
    case VfioUserCommand.VFIO_USER_DMA_UNMAP:
      return body;
    default:
      return new Uint8Array(0);
  }
};

/** Runs `body`, which must throw our error with this code and message. */
export function failure(code: VfioUserErrorCode, what: RegExp, body: () => unknown): VfioUserError {
  let thrown: unknown = null;
  try {
    body();
  } catch (error) {
    thrown = error;
  }
  if (thrown instanceof VfioUserError && thrown.code === code && what.test(thrown.message)) {
    return thrown;
  }
  throw new Error(`Wanted a VfioUserError ${code} with ${what}, and found ${thrown}`);
}

/** `length` bytes, each made from its place. */
export function bytesOf(length: number, value: (at: number) => number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, at) => value(at));
}
