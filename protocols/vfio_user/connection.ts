/**
 * One stream of vfio-user messages over one socket: where each begins and ends, and how one leaves.
 * It knows headers and lengths, and not what a message means. Nothing here waits, and a message of
 * usual size is received and answered without allocating.
 * @module
 */

import type { Descriptor } from "../linux/descriptor.ts";
import { HEAD_BYTES, type UnixStream } from "../linux/unix_stream.ts";
import type { Direction } from "./message_line.ts";
import {
  decodeHeader,
  encodeCommandHeader,
  encodeErrorReply,
  encodeReplyHeader,
  hasUsableSize,
  type Header,
  header,
  HEADER_SIZE,
  messageLimit,
} from "./messages/header.ts";
import { VfioUserDefault } from "./spec.ts";

/** Told of every message of a connection, both sockets of it. Must not keep `bytes`. */
export interface FrameObserver {
  /** `direction` is `>` from client to server. `descriptors` is how many came with it. */
  frame(direction: Direction, bytes: Uint8Array, descriptors: number): void;
}

/** What stands at the front of a stream. */
export const Front = {
  /** Less than a whole message. */
  PARTIAL: 0,
  /** A whole message. */
  WHOLE: 1,
  /** A header whose size cannot be believed: where the next message begins is not known. */
  LOST: 2,
} as const;

/** A value of {@linkcode Front}. */
export type Front = typeof Front[keyof typeof Front];

/** Bytes of a reply or command body that fit beside its header in {@linkcode Connection.head}. */
export const HEAD_BODY: number = HEAD_BYTES - HEADER_SIZE;

/** Bytes that may be received beyond the longest message, so that what follows it is there as well. */
export const RECEIVE_AHEAD = 0x1000;

/** Owns a stream and cuts it into messages. */
export class Connection implements Disposable {
  /** Bytes and descriptors. */
  readonly stream: UnixStream;
  /** Of the message at the front, once {@linkcode front} has said that there is one, or that it is lost. */
  readonly header: Header = header();
  /** Told of each message, when set. */
  observer: FrameObserver | null = null;
  /** Bytes of the longest message that is taken. */
  limit: number = messageLimit(VfioUserDefault.MAX_DATA_XFER_SIZE);
  readonly #received: Direction;
  readonly #sent: Direction;

  /** Takes over `stream`. @param received the direction of what arrives here */
  constructor(stream: UnixStream, received: Direction) {
    this.stream = stream;
    this.#received = received;
    this.#sent = received === ">" ? "<" : ">";
  }

  /** Looks at the front of what has arrived, and decodes its header into {@linkcode header}. */
  front(): Front {
    const { stream } = this;
    const { length } = stream;
    if (length < HEADER_SIZE) return Front.PARTIAL;
    decodeHeader(stream.view, stream.start, this.header);
    if (!hasUsableSize(this.header, this.limit)) return Front.LOST;
    if (length >= this.header.size) return Front.WHOLE;
    stream.reserve(this.header.size);
    return Front.PARTIAL;
  }

  /**
   * The descriptors of the whole message at the front, the caller's from now on; null when some were
   * lost on the way, all of which are closed. To be called once a message, before {@linkcode drop}.
   */
  takeDescriptors(): readonly Descriptor[] | null {
    const { size } = this.header;
    const descriptors = this.stream.takeDescriptors(size);
    if (this.observer !== null) {
      const { bytes, start } = this.stream;
      this.observer.frame(
        this.#received,
        bytes.subarray(start, start + size),
        descriptors?.length ?? 0,
      );
    }
    return descriptors;
  }

  /** Shows the observer the header of a message that is lost, once. */
  showLost(): void {
    if (this.observer === null) return;
    const { bytes, start } = this.stream;
    this.observer.frame(this.#received, bytes.subarray(start, start + HEADER_SIZE), 0);
  }

  /** Forgets the whole message at the front. Its bytes stay as they are until the next receive. */
  drop(): void {
    this.stream.consume(this.header.size);
  }

  /** Where a message to be sent is put: header first. */
  get head(): DataView<ArrayBuffer> {
    return this.stream.head;
  }

  /**
   * Answers `to` with `bodySize` bytes that stand behind the header in {@linkcode head}, and `rest`
   * after them. 0, or `-errno` when the connection is of no more use.
   */
  reply(
    to: Readonly<Header>,
    bodySize: number,
    rest: Uint8Array | null = null,
    descriptors?: readonly number[],
  ): number {
    encodeReplyHeader(this.head, 0, to, bodySize + (rest?.length ?? 0));
    return this.#send(HEADER_SIZE + bodySize, rest, descriptors);
  }

  /** Answers `to` with an errno of either sign. */
  replyError(to: Readonly<Header>, errno: number): number {
    encodeErrorReply(this.head, 0, to, errno);
    return this.#send(HEADER_SIZE, null, undefined);
  }

  /** Sends a command; body and result as for {@linkcode reply}. */
  command(
    id: number,
    command: number,
    flags: number,
    bodySize: number,
    rest: Uint8Array | null = null,
    descriptors?: readonly number[],
  ): number {
    encodeCommandHeader(this.head, 0, id, command, bodySize + (rest?.length ?? 0), flags);
    return this.#send(HEADER_SIZE + bodySize, rest, descriptors);
  }

  #send(
    length: number,
    rest: Uint8Array | null,
    descriptors: readonly number[] | undefined,
  ): number {
    if (this.observer !== null) {
      let bytes: Uint8Array = this.stream.headBytes.subarray(0, length);
      if (rest !== null) {
        const whole = new Uint8Array(length + rest.length);
        whole.set(bytes);
        whole.set(rest, length);
        bytes = whole;
      }
      this.observer.frame(this.#sent, bytes, descriptors?.length ?? 0);
    }
    return this.stream.send(length, rest, descriptors);
  }

  /** Closes the socket and every descriptor that was not taken. Idempotent. */
  close(): void {
    this.stream.close();
  }

  /** As {@linkcode close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}
