import { assertEquals, assertInstanceOf } from "@std/assert";
import { Errno, errnoName, LinuxError } from "./errno.ts";

Deno.test("errnoName() names numbers of either sign, and says so when there is no name", () => {
  assertEquals(errnoName(11), "EAGAIN");
  assertEquals(errnoName(-Errno.ENOTCONN), "ENOTCONN");
  assertEquals(errnoName(4095), "errno 4095");
  assertEquals([Errno.EDEADLK, Errno.ENOSYS, Errno.EOVERFLOW, Errno.ECONNRESET], [35, 38, 75, 104]);
});

Deno.test("LinuxError carries the call, the number and the name", () => {
  const error = new LinuxError("bind", -98, "/run/a.sock");
  assertInstanceOf(error, Error);
  assertEquals([error.name, error.call, error.errno, error.code], [
    "LinuxError",
    "bind",
    98,
    "EADDRINUSE",
  ]);
  assertEquals(error.message, "Cannot bind /run/a.sock: EADDRINUSE");
});
