import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  checkHeader,
  decodeHeader,
  encodeCommandHeader,
  encodeErrorReply,
  encodeReplyHeader,
  hasUsableSize,
  type Header,
  header,
  HEADER_SIZE,
  isCommand,
  isReply,
  messageLimit,
  replyResult,
  wantsReply,
} from "./header.ts";

const view = new DataView(new ArrayBuffer(64));
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const anyHeader: fc.Arbitrary<Header> = fc.record({
  id: u16,
  command: u16,
  size: u32,
  flags: u32,
  error: u32,
});

function read(): Header {
  const value = header();
  decodeHeader(view, 3, value);
  return value;
}

Deno.test("decodeHeader() reads the specification's layout", () => {
  fc.assert(fc.property(anyHeader, (value) => {
    view.setUint16(3, value.id, true);
    view.setUint16(5, value.command, true);
    view.setUint32(7, value.size, true);
    view.setUint32(11, value.flags, true);
    view.setUint32(15, value.error, true);
    assertEquals(read(), value);
  }));
});

Deno.test("encodeCommandHeader() and encodeErrorReply() write the specification's layout", () => {
  const written = () => [...new Uint8Array(view.buffer, 0, 16)];
  assertEquals(encodeCommandHeader(view, 0, 0x0102, 2, 32, 0x10), HEADER_SIZE);
  assertEquals(written(), [2, 1, 2, 0, 48, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0]);
  const to = { id: 0x0102, command: 2, size: 48, flags: 0x10, error: 0 };
  assertEquals(encodeErrorReply(view, 0, to, 0x16), HEADER_SIZE);
  assertEquals(written(), [2, 1, 2, 0, 16, 0, 0, 0, 0x21, 0, 0, 0, 0x16, 0, 0, 0]);
});

Deno.test("encodeCommandHeader() counts the header into the size", () => {
  encodeCommandHeader(view, 3, 7, 13, 0, 0x10);
  const value = read();
  assertEquals(value, { id: 7, command: 13, size: 16, flags: 0x10, error: 0 });
  assertEquals([isCommand(value), isReply(value), wantsReply(value)], [true, false, false]);
});

Deno.test("encodeReplyHeader() echoes ID and command", () => {
  encodeReplyHeader(view, 3, { id: 0xfffe, command: 9, size: 32, flags: 0, error: 0 }, 20);
  const value = read();
  assertEquals(value, { id: 0xfffe, command: 9, size: 36, flags: 1, error: 0 });
  assertEquals([isCommand(value), isReply(value), replyResult(value)], [false, true, 0]);
});

Deno.test("encodeErrorReply() is a header and no more", () => {
  encodeErrorReply(view, 3, { id: 1, command: 3, size: 64, flags: 0, error: 0 }, -2);
  const value = read();
  assertEquals(value, { id: 1, command: 3, size: 16, flags: 0x21, error: 2 });
  assertEquals(replyResult(value), -2);
});

Deno.test("replyResult() is a failure for the ERROR flag with errno 0", () => {
  assertEquals(replyResult({ id: 0, command: 1, size: 16, flags: 0x21, error: 0 }), -22);
});

const LIMIT = messageLimit(0x10_0000);

Deno.test("spec/08 rule 1: size < 16 or above the limit is EINVAL", () => {
  for (
    const [size, expected] of [[0, -22], [15, -22], [16, 0], [LIMIT, 0], [LIMIT + 1, -22], [
      0xffff_ffff,
      -22,
    ]] as const
  ) {
    const value = { id: 0, command: 2, size, flags: 0, error: 0 };
    assertEquals(checkHeader(value, LIMIT), expected, `size ${size}`);
    assertEquals(hasUsableSize(value, LIMIT), expected === 0);
  }
});

Deno.test("spec/08 rule 1: a type that is neither command nor reply is EINVAL", () => {
  for (let type = 0; type < 16; type++) {
    const value = { id: 0, command: 2, size: 16, flags: type, error: 0 };
    assertEquals(checkHeader(value, LIMIT), type <= 1 ? 0 : -22, `type ${type}`);
  }
});

Deno.test("checkHeader() ignores reserved flags, as the reference server does", () => {
  assertEquals(
    checkHeader({ id: 0, command: 2, size: 16, flags: 0xffff_ffc0, error: 0 }, LIMIT),
    0,
  );
});
