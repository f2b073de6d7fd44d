/**
 * What the house needs of Linux and the runtime does not offer: UNIX sockets that
 * carry descriptors, shared memory, eventfds, and a loop that waits for them. The
 * calls themselves are in `libc.ts`; everything that must be closed is owned by an
 * object here. Importing it takes Linux and `--allow-ffi`.
 *
 * @module
 */

export { CALM_MS, CalmBuffer } from "./calm_buffer.ts";
export { closeAll, Descriptor, liveDescriptors } from "./descriptor.ts";
export { Errno, type ErrnoName, errnoName, LinuxError } from "./errno.ts";
export { EventFd, signalEvent } from "./eventfd.ts";
export { POLLERR, POLLHUP, POLLIN, POLLOUT } from "./libc.ts";
export { Mailbox, type MailboxHandle } from "./mailbox.ts";
export { MappedFile, MappedFiles, MAX_WHOLE_FILE } from "./mapped_file.ts";
export {
  createSharedMemory,
  liveMappings,
  Mapping,
  type MappingAccess,
  readFile,
  type Shareable,
  shareable,
  writeFile,
} from "./mapping.ts";
export {
  Reactor,
  type ReactorCounts,
  type ReactorHandle,
  type ReactorOptions,
  type ReadyHandler,
  type Registration,
  type SpinMode,
  stopReactor,
  wakeReactor,
} from "./reactor.ts";
export { connectUnix, privateDirectory, UnixListener } from "./unix_socket.ts";
export {
  FIRST_BUFFER,
  HEAD_BYTES,
  MAX_DESCRIPTORS,
  UnixStream,
  type UnixStreamOptions,
} from "./unix_stream.ts";
