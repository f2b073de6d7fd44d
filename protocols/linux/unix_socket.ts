/**
 * Where UNIX stream connections come from: a listener at a path that is its
 * owner's alone, and connecting to one.
 * @module
 */

import { dirname } from "@std/path";
import { Descriptor } from "./descriptor.ts";
import { Errno, LinuxError } from "./errno.ts";
import {
  accept4,
  AF_UNIX,
  bind,
  connect,
  fchmod,
  flock,
  listen,
  LOCK_EX,
  O_CLOEXEC,
  O_RDONLY,
  open,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  socket,
} from "./libc.ts";
import { UnixStream, type UnixStreamOptions } from "./unix_stream.ts";

/** Bytes of `sun_path` that a name may take, its NUL not counted (`struct sockaddr_un`). */
const MAX_SOCKET_PATH = 107;

function unixAddress(path: string): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(path);
  if (name.length === 0 || name.includes(0)) {
    throw new TypeError(`Cannot name a socket ${JSON.stringify(path)}`);
  }
  if (name.length > MAX_SOCKET_PATH) {
    throw new LinuxError(
      "name a socket",
      Errno.ENAMETOOLONG,
      `${path} (${name.length} bytes; at most ${MAX_SOCKET_PATH} fit)`,
    );
  }
  const address = new Uint8Array(new ArrayBuffer(2 + name.length + 1));
  address[0] = AF_UNIX;
  address.set(name, 2);
  return address;
}

function streamSocket(): Descriptor {
  return new Descriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

/**
 * Connects to the socket at `path`. Never waits for a listener that does not accept.
 * @throws {LinuxError} `ENOENT`, `ECONNREFUSED` when nobody listens, `EACCES`, `EAGAIN` when its queue is full
 */
export function connectUnix(path: string, options: UnixStreamOptions = {}): UnixStream {
  const address = unixAddress(path);
  const descriptor = streamSocket();
  const result = connect(descriptor.fd, address);
  if (result < 0) {
    descriptor.close();
    throw new LinuxError("connect", result, `to ${path}`);
  }
  return new UnixStream(descriptor, options);
}

/**
 * Makes sure that `path` is a directory that nobody but its owner enters: made with
 * mode 0700 when absent, narrowed to it when it is empty.
 *
 * @throws {Error} when it is another user's, or holds files and lets others in: it
 * may be in use for something else, and is left as it is
 */
export function privateDirectory(path: string): void {
  let made = false;
  try {
    Deno.mkdirSync(path, { mode: 0o700 });
    made = true;
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  const status = Deno.statSync(path);
  if (!status.isDirectory) throw new Error(`Cannot use ${path} for sockets: it is no directory`);
  const mode = (status.mode ?? 0) & 0o7777;
  if (status.uid !== Deno.uid()) {
    throw new Error(
      `Cannot use ${path} for sockets: it belongs to user ${status.uid}, and we are ${Deno.uid()}`,
    );
  }
  if ((mode & 0o7777) === 0o700) return;
  if (!made && !Deno.readDirSync(path)[Symbol.iterator]().next().done) {
    if ((mode & 0o077) === 0) return;
    throw new Error(
      `Cannot use ${path} for sockets: it has mode 0${mode.toString(8)} and holds files; ` +
        `name another directory, or take the rights of others away with chmod 700`,
    );
  }
  Deno.chmodSync(path, 0o700);
}

/** A socket at a path, mode 0600, that connections are accepted from. */
export class UnixListener implements Disposable {
  readonly #descriptor: Descriptor;
  readonly path: string;
  readonly #device: number;
  readonly #inode: number | null;
  /** Given up for a moment when descriptors run out, to turn a caller away. */
  #spare: Descriptor | null;

  private constructor(descriptor: Descriptor, path: string) {
    this.#descriptor = descriptor;
    this.path = path;
    const status = Deno.lstatSync(path);
    this.#device = status.dev;
    this.#inode = status.ino;
    this.#spare = openSpare();
  }

  /**
   * Listens at `path`. A socket file that nobody listens at is replaced; anything
   * else is left alone. Two processes that try this at once cannot both succeed.
   *
   * @throws {LinuxError} `EADDRINUSE` when somebody listens there, `EEXIST` when the file is no socket
   */
  static listen(path: string, backlog = 64): UnixListener {
    const address = unixAddress(path);
    // The lock goes with the descriptor. It covers the look at the old file and the
    // making of the new one.
    using directory = new Descriptor(open(dirname(path), O_RDONLY | O_CLOEXEC));
    flock(directory.fd, LOCK_EX);
    removeStale(path, address);
    const descriptor = streamSocket();
    let bound = false;
    try {
      // Linux gives the file the mode of the socket, so that it is never open to others.
      fchmod(descriptor.fd, 0o600);
      bind(descriptor.fd, address, path);
      bound = true;
      listen(descriptor.fd, backlog);
      return new UnixListener(descriptor, path);
    } catch (error) {
      descriptor.close();
      if (bound) Deno.removeSync(path);
      throw error;
    }
  }

  /** The socket, to poll: readable when a connection waits. @throws {Error} once closed */
  get fd(): number {
    return this.#descriptor.fd;
  }

  /** True once it is closed. */
  get closed(): boolean {
    return this.#descriptor.closed;
  }

  /**
   * The next connection, or `-errno`: `-EAGAIN` when none waits; `-EMFILE` or `-ENFILE`
   * when there is no descriptor for it, and then the caller has been hung up on. Where even
   * that takes a descriptor that is not there the caller waits, and {@linkcode fd} stays
   * readable: after an error other than `-EAGAIN` let some time pass.
   */
  accept(options: UnixStreamOptions = {}): UnixStream | number {
    for (;;) {
      const result = accept4(this.fd, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (result >= 0) {
        this.#spare ??= openSpare();
        return new UnixStream(new Descriptor(result), options);
      }
      // The connection was over before it began.
      if (result === -Errno.ECONNABORTED || result === -Errno.EINTR) continue;
      if (result === -Errno.EMFILE || result === -Errno.ENFILE) this.#turnAway();
      return result;
    }
  }

  /** Takes and drops one connection: left in the queue, it would wake every poll for nothing. */
  #turnAway(): void {
    if (this.#spare === null) return;
    this.#spare.close();
    this.#spare = null;
    const result = accept4(this.fd, SOCK_CLOEXEC);
    if (result >= 0) new Descriptor(result).close();
    this.#spare = openSpare();
  }

  /** Stops listening, and removes the file unless somebody has put another in its place. Idempotent. */
  close(): void {
    if (this.#descriptor.closed) return;
    this.#descriptor.close();
    this.#spare?.close();
    try {
      const status = Deno.lstatSync(this.path);
      if (status.dev === this.#device && status.ino === this.#inode) Deno.removeSync(this.path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function openSpare(): Descriptor | null {
  try {
    return new Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC));
  } catch (error) {
    if (error instanceof LinuxError && (error.code === "EMFILE" || error.code === "ENFILE")) {
      return null;
    }
    throw error;
  }
}

function removeStale(path: string, address: Uint8Array<ArrayBuffer>): void {
  let status: Deno.FileInfo;
  try {
    status = Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (status.isSocket !== true) {
    throw new LinuxError("listen", Errno.EEXIST, `at ${path}, which is no socket`);
  }
  using probe = streamSocket();
  const result = connect(probe.fd, address);
  if (result !== -Errno.ECONNREFUSED) {
    throw new LinuxError("listen", Errno.EADDRINUSE, `at ${path}, where somebody listens`);
  }
  Deno.removeSync(path);
}
