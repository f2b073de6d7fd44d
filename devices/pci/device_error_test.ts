import { assert, assertEquals } from "@std/assert";
import { DeviceError } from "./device_error.ts";

const READ = { method: "barRead", bar: 0, offset: 0x10, size: 4 } as const;

function thrower(): never {
  throw 1;
}

Deno.test("DeviceError names operation, device and what was thrown, and keeps it as the cause", () => {
  const cause = new Error("boom");
  const error = new DeviceError("nic", READ, { threw: cause });
  assertEquals(
    error.message,
    "Cannot read 4 bytes at BAR 0 offset 0x10 of nic: the model threw: boom",
  );
  assertEquals([error.cause, error.deviceType, error.operation], [cause, "nic", READ]);
});

Deno.test("DeviceError() throws for nothing that a model can throw or return", () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const hostile = new Proxy(Promise.resolve(), { get: thrower, getPrototypeOf: thrower });
  const values = [
    { toString: thrower },
    Object.defineProperty(new Error("x"), "message", { get: thrower }),
    Object.create(null),
    proxy,
    hostile,
    Symbol("s"),
    () => {},
    undefined,
  ];
  for (const value of values) {
    for (const failure of [{ threw: value }, { returned: value }]) {
      const { message } = new DeviceError("nic", READ, failure);
      assert(message.startsWith("Cannot read 4 bytes at BAR 0 offset 0x10 of nic: the model "));
    }
  }
});

Deno.test("DeviceError keeps nothing of a value that was returned", () => {
  const error = new DeviceError("nic", READ, { returned: Promise.resolve() });
  assert(error.message.endsWith("the model returned a promise instead of an integer of 4 bytes"));
  assert(!("cause" in error));
});
