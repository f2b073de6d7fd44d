import { assert, assertEquals, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { liveDescriptors } from "./descriptor.ts";
import { Errno, LinuxError } from "./errno.ts";
import { connectUnix, privateDirectory, UnixListener } from "./unix_socket.ts";

function withDirectory(body: (directory: string) => void): void {
  const directory = Deno.makeTempDirSync();
  const before = liveDescriptors();
  try {
    body(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
  assertEquals(liveDescriptors(), before);
}

function mode(path: string): number {
  return (Deno.lstatSync(path).mode ?? 0) & 0o7777;
}

Deno.test("UnixListener.listen() makes a socket of mode 0600, and close() removes it", () => {
  withDirectory((directory) => {
    const path = join(directory, "edu.sock");
    const listener = UnixListener.listen(path);
    assertEquals(mode(path), 0o600);
    assertEquals(listener.accept(), -Errno.EAGAIN);
    using client = connectUnix(path);
    const server = listener.accept();
    assert(typeof server !== "number");
    server.head.setUint8(0, 42);
    server.send(1);
    assertEquals(client.receive(), 1);
    assertEquals<number | null>(server.peer.uid, Deno.uid());
    server.close();
    assertEquals(client.receive(), 0);
    listener.close();
    listener.close();
    assertThrows(() => Deno.lstatSync(path), Deno.errors.NotFound);
  });
});

Deno.test("UnixListener.listen() replaces a socket at which nobody listens", () => {
  withDirectory((directory) => {
    const path = join(directory, "stale.sock");
    const first = UnixListener.listen(path);
    // As if its owner had been killed: the file stays, and nobody listens.
    Deno.renameSync(path, path + ".kept");
    first.close();
    Deno.renameSync(path + ".kept", path);
    assertEquals(assertThrows(() => connectUnix(path), LinuxError).code, "ECONNREFUSED");
    using second = UnixListener.listen(path);
    connectUnix(path).close();
    assert(!second.closed);
  });
});

Deno.test("UnixListener.listen() leaves a socket alone at which somebody listens", () => {
  withDirectory((directory) => {
    const path = join(directory, "live.sock");
    using first = UnixListener.listen(path);
    assertEquals(assertThrows(() => UnixListener.listen(path), LinuxError).code, "EADDRINUSE");
    connectUnix(path).close();
    assert(!first.closed);
  });
});

Deno.test("UnixListener.listen() leaves a file alone that is no socket, a link among them", () => {
  withDirectory((directory) => {
    const path = join(directory, "precious");
    Deno.writeTextFileSync(path, "data");
    const link = join(directory, "link.sock");
    Deno.symlinkSync(path, link);
    for (const name of [path, link]) {
      assertEquals(assertThrows(() => UnixListener.listen(name), LinuxError).code, "EEXIST");
    }
    assertEquals(Deno.readTextFileSync(path), "data");
  });
});

Deno.test("UnixListener.close() leaves a successor's socket alone", () => {
  withDirectory((directory) => {
    const path = join(directory, "taken.sock");
    const first = UnixListener.listen(path);
    Deno.removeSync(path);
    using second = UnixListener.listen(path);
    first.close();
    connectUnix(path).close();
    assert(!second.closed);
  });
});

Deno.test("connectUnix() says what is wrong", () => {
  withDirectory((directory) => {
    const absent = assertThrows(() => connectUnix(join(directory, "absent")), LinuxError);
    assertEquals([absent.call, absent.code], ["connect", "ENOENT"]);
    const long = assertThrows(() => connectUnix("/" + "x".repeat(107)), LinuxError, "107");
    assertEquals(long.code, "ENAMETOOLONG");
    assertThrows(() => connectUnix(""), TypeError);
    const path = join(directory, "full.sock");
    using listener = UnixListener.listen(path, 0);
    const clients = [connectUnix(path)];
    const full = assertThrows(() => {
      for (let i = 0; i < 64; i++) clients.push(connectUnix(path));
    }, LinuxError);
    assertEquals(full.code, "EAGAIN");
    for (const client of clients) client.close();
    assert(!listener.closed);
  });
});

Deno.test("privateDirectory() makes a directory of mode 0700 and narrows an empty one", () => {
  withDirectory((directory) => {
    const made = join(directory, "made");
    privateDirectory(made);
    assertEquals(mode(made), 0o700);
    const empty = join(directory, "empty");
    Deno.mkdirSync(empty);
    Deno.chmodSync(empty, 0o755);
    privateDirectory(empty);
    assertEquals(mode(empty), 0o700);
  });
});

Deno.test("privateDirectory() refuses a directory in use that others may enter", () => {
  withDirectory((directory) => {
    const used = join(directory, "used");
    Deno.mkdirSync(used);
    Deno.chmodSync(used, 0o755);
    Deno.writeTextFileSync(join(used, "file"), "");
    assertThrows(() => privateDirectory(used), Error, "chmod 700");
    assertEquals(mode(used), 0o755);
    assertThrows(() => privateDirectory(join(used, "file")), Error, "no directory");
  });
});
