import { assertEquals, assertRejects } from "@std/assert";
import { Peer, withPair } from "./_test_pair.ts";
import { Qmp, QmpError } from "./qmp.ts";

interface Command {
  readonly execute: string;
  readonly id: number;
  readonly arguments?: unknown;
}

/** An open monitor, and the test as QEMU at its other end. */
async function withQmp(body: (qmp: Qmp, qemu: Peer, hangUp: () => void) => Promise<void>) {
  await withPair(async ({ ours, theirs }) => {
    const qemu = new Peer(theirs);
    const opening = Qmp.open(ours);
    await qemu.say({ QMP: { version: {}, capabilities: ["oob"] } });
    const { execute, id } = await qemu.next<Command>();
    assertEquals(execute, "qmp_capabilities");
    await qemu.say({ return: {}, id });
    const qmp = await opening;
    await body(qmp, qemu, () => theirs.close());
    qmp.close();
    await qmp.ended;
  });
}

Deno.test("Qmp.execute() gives each command its own answer, in whatever order", () =>
  withQmp(async (qmp, qemu) => {
    const status = qmp.execute("query-status");
    const text = qmp.execute("human-monitor-command", { "command-line": "info mtree" });
    const first = await qemu.next<Command>();
    const second = await qemu.next<Command>();
    assertEquals(first.execute, "query-status");
    assertEquals("arguments" in first, false);
    assertEquals(second.arguments, { "command-line": "info mtree" });
    await qemu.say({ return: "tree", id: second.id });
    await qemu.say({ event: "STOP", timestamp: { seconds: 1, microseconds: 2 } });
    await qemu.say({ return: { status: "running", running: true, more: 1 }, id: first.id });
    assertEquals(await text, "tree");
    assertEquals(await status, { status: "running", running: true });
  }));

Deno.test("Qmp.execute() throws QEMU's own error with its class", () =>
  withQmp(async (qmp, qemu) => {
    const failing = qmp.execute("device_del", { id: "none" });
    const { id } = await qemu.next<Command>();
    await qemu.say({ error: { class: "DeviceNotFound", desc: "Device 'none' not found" }, id });
    const error = await assertRejects(() => failing, QmpError, "Device 'none' not found");
    assertEquals((error as QmpError).code, "DeviceNotFound");
  }));

Deno.test("Qmp.execute() throws when the result is not what the reference says", () =>
  withQmp(async (qmp, qemu) => {
    const status = qmp.execute("query-status");
    const { id } = await qemu.next<Command>();
    await qemu.say({ return: { status: 5 }, id });
    await assertRejects(() => status, QmpError, "query-status");
  }));

Deno.test("Qmp.execute() throws when QEMU goes away before it answers, and ever after", () =>
  withQmp(async (qmp, qemu, hangUp) => {
    const status = qmp.execute("query-status");
    await qemu.next<Command>();
    hangUp();
    await assertRejects(() => status, QmpError, "gone");
    await assertRejects(() => qmp.execute("stop"), QmpError, "gone");
  }));

Deno.test("Qmp throws for a peer that does not speak QMP", async () => {
  await withPair(async ({ ours, theirs }) => {
    const opening = Qmp.open(ours);
    await new Peer(theirs).raw("SSH-2.0-OpenSSH\n");
    await assertRejects(() => opening, QmpError, "SSH-2.0");
  });
});

Deno.test("Qmp.nextEvent() takes the first event that matches", () =>
  withQmp(async (qmp, qemu) => {
    const event = qmp.nextEvent("DEVICE_DELETED", ({ data }) => data["device"] === "b");
    await qemu.say({ event: "DEVICE_DELETED", data: { device: "a" } });
    await qemu.say({ event: "RESET", data: { guest: true } });
    await qemu.say({ event: "DEVICE_DELETED", data: { device: "b" } });
    assertEquals(await event, { name: "DEVICE_DELETED", data: { device: "b" } });
  }));

Deno.test("Qmp.deviceDel() waits until the guest has let go", () =>
  withQmp(async (qmp, qemu) => {
    let done = false;
    const deleting = qmp.deviceDel("d").then(() => done = true);
    const { id } = await qemu.next<Command>();
    await qemu.say({ return: {}, id });
    const status = qmp.execute("query-status");
    const next = await qemu.next<Command>();
    await qemu.say({ return: { status: "running", running: true }, id: next.id });
    await status;
    assertEquals(done, false);
    await qemu.say({ event: "DEVICE_DELETED", data: { device: "d" } });
    await deleting;
  }));
