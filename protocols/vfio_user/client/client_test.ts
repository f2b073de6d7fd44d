import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { liveDescriptors } from "../../linux/descriptor.ts";
import { Errno } from "../../linux/errno.ts";
import { liveMappings } from "../../linux/mapping.ts";
import { connectUnix, UnixListener } from "../../linux/unix_socket.ts";
import { UnixStream } from "../../linux/unix_stream.ts";
import { OUR_CAPABILITIES } from "../capabilities.ts";
import { encodeReplyHeader } from "../messages/header.ts";
import {
  type Answer,
  failure,
  plain,
  TestServer,
  versionBody,
  withServer,
} from "./_test_server.ts";
import { VfioUserClient } from "./client.ts";
import { VfioUserError, type VfioUserErrorCode } from "./client_error.ts";
import { PollGroup } from "./poll_group.ts";

Deno.test("VfioUserClient.over() proposes what it has, and keeps what is in force", async () => {
  await withServer(plain, (client, server) => {
    assertEquals(server.client, OUR_CAPABILITIES);
    assertEquals(client.session.version, { major: 0, minor: 0 });
    assertEquals(client.session.inForce.maxSendFds, 8);
    assertEquals(client.session.inForce.writeMultiple, true);
    assertEquals(client.hasTwinSocket, false);
  });
});

Deno.test("spec/08 rule 8: the client proposes no extension, and one that a server claims is not in force", async () => {
  const on = { supported: true };
  const capabilities = { iommufd: on, pasid: on, page_request: on, ats: on };
  let proposed = "";
  const prepare = (server: TestServer): void => {
    server.version = (_, { body }) => {
      proposed = new TextDecoder().decode(body.subarray(4, body.length - 1));
      return versionBody(JSON.stringify({ capabilities }));
    };
  };
  await withServer(plain, (client) => {
    const sent = JSON.parse(proposed) as { capabilities: Record<string, unknown> };
    const names = Object.keys(capabilities);
    assertEquals(names.filter((name) => name in sent.capabilities), []);
    const none = { iommufd: false, pasid: false, page_request: false, ats: false };
    assertEquals(client.session.inForce.extensions, none);
    // What the server said is kept as it said it.
    assertEquals(client.session.server.extensions.ats, true);
  }, { prepare });
});

/** What a server answers to VERSION, and what the error has to say. */
const BAD_VERSIONS: readonly (readonly [string, () => Answer, VfioUserErrorCode, RegExp])[] = [
  ["another major", () => versionBody("{}", 1), "protocol", /version 1\.0, and we proposed 0\.1/],
  ["a higher minor", () => versionBody("{}", 0, 9), "protocol", /version 0\.9, and we proposed/],
  ["no body", () => new Uint8Array(0), "protocol", /0 bytes are no version/],
  ["no NUL", () => versionBody("{}").subarray(0, 6), "protocol", /JSON that ends in NUL/],
  ["broken JSON", () => versionBody("{"), "protocol", /it is no JSON/],
  [
    "capabilities that are no object",
    () => versionBody(`{"capabilities":7}`),
    "protocol",
    /capabilities is 7, must be an object/,
  ],
  [
    "page sizes of nobody",
    () => versionBody(`{"capabilities":{"pgsizes":8192}}`),
    "protocol",
    /pgsizes is 8192/,
  ],
  [
    "a twin socket without a descriptor",
    () => versionBody(`{"capabilities":{"twin_socket":{"supported":true,"fd_index":0}}}`),
    "protocol",
    /fd_index is 0, must be one of 0 descriptors/,
  ],
  ["an error", () => -Errno.EINVAL, "refused", /refused VERSION: EINVAL/],
];

for (const [name, answer, code, what] of BAD_VERSIONS) {
  Deno.test(`VfioUserClient.over() refuses ${name} in the reply to VERSION, and leaks nothing`, async () => {
    const before = liveDescriptors();
    const error = await assertRejects(
      () => withServer(plain, () => {}, { prepare: (server) => (server.version = answer) }),
      VfioUserError,
    );
    assertEquals(error.code, code);
    assertMatch(error.message, what);
    assertEquals(liveDescriptors(), before);
  });
}

Deno.test("VfioUserClient.over() takes the twin socket that the reply names, and closes what else comes", async () => {
  const before = liveDescriptors();
  const [near, far] = UnixStream.pair();
  const prepare = (server: TestServer): void => {
    server.version = (_, message) => {
      const twin = `{"capabilities":{"twin_socket":{"supported":true,"fd_index":1}}}`;
      server.reply(message, versionBody(twin), [far.fd, near.fd, far.fd]);
      return "hand over";
    };
  };
  await withServer(plain, (client, server) => {
    assertEquals(client.hasTwinSocket, true);
    // The pair, both ends of the connection, and of three descriptors one.
    assertEquals(liveDescriptors(), before + 5);
    // Replies have no business there, though they answer what was asked.
    server.answer = () => null;
    const read = client.regions.read(0, 0, new Uint8Array(0));
    while (server.received.length < 1) client.group.turn(1000);
    const { header, body } = server.received[0]!;
    far.send(encodeReplyHeader(far.head, 0, header, body.length), body);
    failure(
      "protocol",
      /a reply to REGION_READ came on the socket for the server's own commands/,
      () => client.wait(read),
    );
  }, { prepare });
  near.close();
  far.close();
  assertEquals(liveDescriptors(), before);
});

Deno.test("VfioUserClient.connect() says what is wrong with a path", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/none.sock`;
    failure(
      "closed",
      /Cannot connect to .*none\.sock: nothing is there/,
      () => VfioUserClient.connect(path),
    );
    UnixListener.listen(`${folder}/old.sock`).close();
    await Deno.writeTextFile(path, "");
    failure("closed", /nobody listens there/, () => VfioUserClient.connect(path));
    using full = UnixListener.listen(`${folder}/full.sock`, 1);
    using waiting = new DisposableStack();
    for (let at = 0; at < 2; at++) waiting.use(connectUnix(full.path));
    failure(
      "closed",
      /full\.sock: too many clients wait there already; try again when they have gone$/,
      () => VfioUserClient.connect(full.path),
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("reconnect() negotiates anew with whoever listens now", async () => {
  const folder = await Deno.makeTempDir();
  const group = new PollGroup();
  const servers: TestServer[] = [];
  try {
    const path = `${folder}/it.sock`;
    using listener = UnixListener.listen(path);
    const accept = {
      readyFds: () => listener.closed ? [] : [{ fd: listener.fd, events: 1 }],
      poll: () => {
        const stream = listener.accept();
        if (typeof stream === "number") return false;
        const server = new TestServer(stream, plain);
        servers.push(server);
        group.add(server);
        return true;
      },
    };
    group.add(accept);
    using client = VfioUserClient.connect(path, { group, timeoutMs: 2000 });
    const ticket = client.reset();
    servers[0]!.close();
    group.remove(servers[0]!);
    assertThrows(() => client.wait(ticket), VfioUserError);
    failure("closed", /Cannot send DEVICE_RESET/, () => client.reset());
    client.reconnect();
    assertEquals(client.failure, null);
    client.wait(client.reset());
    assertEquals(servers.length, 2);
    client.close();
    failure("closed", /the client is closed/, () => client.reconnect());
  } finally {
    for (const server of servers) server.close();
    group.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("3000 connections, good and broken off, leave no descriptor and no mapping behind", async () => {
  const descriptors = liveDescriptors(), mappings = liveMappings();
  const open = [...Deno.readDirSync("/proc/self/fd")].length;
  for (let round = 0; round < 3000; round++) {
    await withServer(plain, (client, server) => {
      if (round % 3 === 0) client.regions.read(0, 0, new Uint8Array(8));
      else if (round % 3 === 1) server.stream.close();
      else client.wait(client.regions.read(0, 0, new Uint8Array(8)));
    });
  }
  assertEquals([liveDescriptors(), liveMappings()], [descriptors, mappings]);
  assert([...Deno.readDirSync("/proc/self/fd")].length <= open + 1);
});
