import { assertEquals } from "@std/assert";
import { UnixStream } from "../linux/unix_stream.ts";
import { Connection, Front } from "./connection.ts";
import { HEADER_SIZE } from "./messages/header.ts";

function pair(): [Connection, Connection] {
  const [a, b] = UnixStream.pair();
  return [new Connection(a, "<"), new Connection(b, ">")];
}

Deno.test("Connection.front() waits for a whole message, and gives up on sizes that cannot be", () => {
  const [client, server] = pair();
  using _ = client, __ = server;
  assertEquals(server.front(), Front.PARTIAL);
  client.head.setUint32(HEADER_SIZE, 0x1234, true);
  client.command(7, 4, 0, 4);
  server.stream.receive();
  assertEquals(server.front(), Front.WHOLE);
  assertEquals({ ...server.header }, { id: 7, command: 4, size: 20, flags: 0, error: 0 });
  server.drop();
  assertEquals(server.front(), Front.PARTIAL);
  for (const size of [0, 15, 0x1000_0000]) {
    client.head.setUint32(4, size, true);
    client.stream.send(16);
    server.stream.receive();
    assertEquals(server.front(), Front.LOST);
    server.stream.consume(16);
  }
});

Deno.test("Connection.reply() echoes ID and command, with the body in pieces; replyError() is a header", () => {
  const [client, server] = pair();
  using _ = client, __ = server;
  client.command(9, 5, 0, 0);
  server.stream.receive();
  server.front();
  const header = { ...server.header };
  server.drop();
  server.head.setUint16(HEADER_SIZE, 0xabcd, true);
  server.reply(header, 2, new Uint8Array([1, 2, 3]));
  server.replyError(header, -22);
  client.stream.receive();
  assertEquals(client.front(), Front.WHOLE);
  assertEquals({ ...client.header }, { id: 9, command: 5, size: 21, flags: 1, error: 0 });
  const { bytes, start } = client.stream;
  assertEquals(bytes.slice(start + 16, start + 21), new Uint8Array([0xcd, 0xab, 1, 2, 3]));
  client.drop();
  assertEquals(client.front(), Front.WHOLE);
  assertEquals({ ...client.header }, { id: 9, command: 5, size: 16, flags: 0x21, error: 22 });
});

Deno.test("Connection tells its observer of each message once, whole, with its direction", () => {
  const [client, server] = pair();
  using _ = client, __ = server;
  const seen: string[] = [];
  server.observer = {
    frame: (direction, bytes, descriptors) =>
      seen.push(`${direction} ${bytes.length} ${descriptors}`),
  };
  client.command(1, 4, 0, 8, null, [client.stream.fd]);
  server.stream.receive();
  server.front();
  server.front();
  server.takeDescriptors()?.forEach((descriptor) => descriptor.close());
  const header = { ...server.header };
  server.drop();
  server.reply(header, 0, new Uint8Array(3000));
  assertEquals(seen, ["> 24 1", "< 3016 0"]);
});
