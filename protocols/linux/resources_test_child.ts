/**
 * A process of its own for the tests that count what the whole process has open,
 * or that run it out of descriptors. Prints one line of JSON.
 * @module
 */

import { closeAll, Descriptor, liveDescriptors } from "./descriptor.ts";
import { LinuxError } from "./errno.ts";
import { EventFd } from "./eventfd.ts";
import { F_DUPFD_CLOEXEC, fcntl, memfdCreate, MFD_CLOEXEC, POLLIN } from "./libc.ts";
import { MappedFiles } from "./mapped_file.ts";
import { createSharedMemory, liveMappings } from "./mapping.ts";
import { Reactor } from "./reactor.ts";
import { connectUnix, UnixListener } from "./unix_socket.ts";
import { UnixStream } from "./unix_stream.ts";

function openFiles(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

function mappedFiles(): number {
  return Deno.readTextFileSync("/proc/self/maps").split("\n")
    .filter((line) => line.includes("memfd:")).length;
}

/** Opens, maps, passes, maps at the other end, unmaps and closes; some of it is left to the owners. */
function leaks(rounds: number, path: string): unknown {
  using reactor = new Reactor({ spin: "off" });
  using listener = UnixListener.listen(path);
  const files = new MappedFiles();
  const round = (i: number): void => {
    using client = connectUnix(path);
    using server = listener.accept() as UnixStream;
    const memory = createSharedMemory("leaks", 0x4000);
    using event = EventFd.create();
    const fds = [memory.fd, event.fd, memory.fd];
    client.send(8, null, fds);
    client.send(8, null, fds);
    client.send(8, new Uint8Array(i % 7 === 0 ? 300_000 : 0), i % 3 === 0 ? fds : []);
    const part = files.acquire(memory.fd, 0, 0x1000, "read-write");
    memory.close();
    const registration = reactor.add(server.fd, POLLIN, () => server.receive());
    reactor.turn();
    const passed = server.takeDescriptors(8) ?? [];
    const first = passed[0];
    if (typeof part === "number" || first === undefined) throw new Error(`round ${i}`);
    const other = files.acquire(first.fd, 0x1000, 0x1000, "read-write");
    if (typeof other === "number") throw new Error(`round ${i}: ${other}`);
    other.bytes[0] = i;
    if (part.bytes.buffer !== other.bytes.buffer) throw new Error(`round ${i}: mapped twice`);
    // Every other round leaves the second message's descriptors to close().
    if (i % 2 === 0) server.receive();
    closeAll(passed);
    part.release();
    other.release();
    registration.remove();
  };
  for (let i = 0; i < 200; i++) round(i);
  const before = { files: openFiles(), maps: mappedFiles() };
  for (let i = 0; i < rounds; i++) round(i);
  const after = { files: openFiles(), maps: mappedFiles() };
  return { before, after, mappings: liveMappings(), cached: files.size, watched: reactor.watched };
}

/** Uses up every descriptor, and sees what accept, receive and send do then. */
function exhaustion(path: string): unknown {
  using listener = UnixListener.listen(path);
  const clients = [connectUnix(path), connectUnix(path)];
  const [a, b] = UnixStream.pair();
  using file = new Descriptor(memfdCreate("many", MFD_CLOEXEC));
  a.send(1, null, new Array(16).fill(file.fd));
  const [full, unread] = UnixStream.pair();
  while (full.pendingBytes === 0) full.send(1, new Uint8Array(0x1_0000));
  const filler: Descriptor[] = [];
  for (;;) {
    const fd = fcntl(file.fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) break;
    filler.push(new Descriptor(fd));
  }
  const refused = listener.accept();
  const hungUp = clients[0]?.receive();
  const sent = full.send(1, null, [file.fd]);
  // Room for some of the sixteen.
  for (let i = 0; i < 5; i++) filler.pop()?.close();
  const live = liveDescriptors();
  const received = b.receive();
  const kept = liveDescriptors() - live;
  const taken = b.takeDescriptors(1);
  closeAll(filler);
  const accepted = listener.accept();
  const served = typeof accepted !== "number";
  if (typeof accepted !== "number") accepted.close();
  for (const stream of [a, b, full, unread]) stream.close();
  for (const client of clients) client.close();
  return { refused, hungUp, sent, received, kept, taken, served };
}

/** External bytes after long messages on many streams, and after their buffers were given back. */
function buffers(streams: number): unknown {
  const { gc } = globalThis as { gc?: () => void };
  const count = (): number => {
    // What the first has found, the second gives back.
    gc?.();
    gc?.();
    return Deno.memoryUsage().external;
  };
  const pairs = Array.from({ length: streams }, () => UnixStream.pair());
  const before = count();
  const body = new Uint8Array(0x10_0000 - 1);
  for (const [from, to] of pairs) {
    from.send(1, body);
    while (to.length < body.length + 1) {
      from.flush();
      to.reserve(body.length + 1);
      to.receive();
    }
    to.consume(body.length + 1);
  }
  const busy = count() - before;
  for (const [, to] of pairs) to.shrink();
  const stillBusy = count() - before;
  for (const [, to] of pairs) to.shrink();
  const calm = count() - before;
  for (const pair of pairs) for (const stream of pair) stream.close();
  return { collected: gc !== undefined, busy, stillBusy, calm };
}

const [what, path] = Deno.args as [string, string];
try {
  const result = what === "leaks"
    ? leaks(10_000, path)
    : what === "buffers"
    ? buffers(64)
    : exhaustion(path);
  Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(result) + "\n"));
} catch (error) {
  if (error instanceof LinuxError) Deno.stderr.writeSync(new TextEncoder().encode(error.message));
  throw error;
}
