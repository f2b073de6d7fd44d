import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { within } from "../../harness/vm/deadline.ts";
import { GuestError } from "../../harness/vm/guest.ts";
import { barAddress, EDU, EDU_DEVICE, start, vmTest } from "./_machine.ts";

vmTest("Guest.run()", async (t) => {
  await using vm = await start({ devices: EDU_DEVICE });
  const { guest } = vm;

  await t.step("gives stdout, stderr and the exit code", async () => {
    const { code, signal, stdout, stderr } = await guest.run("echo out; echo err >&2; exit 3");
    assertEquals([code, signal, stdout, stderr], [3, null, "out\n", "err\n"]);
  });

  await t.step("gives the signal that ended it", async () => {
    const { code, signal } = await guest.run("kill -TERM $$");
    assertEquals([code, signal], [143, 15]);
  });

  await t.step("carries bytes of every value, both ways, in any amount", async () => {
    const data = new Uint8Array(700_001);
    for (let at = 0; at < data.length; at += 65536) {
      crypto.getRandomValues(data.subarray(at, at + 65536));
    }
    const { code, stdoutBytes } = await guest.run("cat", { stdin: data });
    assertEquals(code, 0);
    assertEquals(stdoutBytes, data);
  });

  await t.step("does not wait for stdin that nobody reads", async () => {
    const { code } = await guest.run("true", { stdin: new Uint8Array(300_000) });
    assertEquals(code, 0);
  });

  await t.step("takes all of a large output, and does not mix up programs", async () => {
    const [zeros, lines, quick] = await Promise.all([
      guest.run("dd if=/dev/zero bs=64k count=64 2>/dev/null"),
      guest.run("seq 1 20000"),
      guest.run("echo quick"),
    ]);
    assertEquals(zeros.stdoutBytes.length, 4 * 1024 * 1024);
    assert(zeros.stdoutBytes.every((byte) => byte === 0));
    assertEquals(lines.stdout.trim().split("\n").length, 20000);
    assertEquals(quick.stdout, "quick\n");
  });

  await t.step("takes what a program leaves in its pipe when it ends", async () => {
    for (let i = 0; i < 10; i++) {
      const { stdoutBytes } = await guest.run("exec dd if=/dev/zero bs=65000 count=1 2>/dev/null");
      assertEquals(stdoutBytes.length, 65000);
    }
  });

  await t.step("kills what takes too long, and shows what it printed", async () => {
    const error = await assertRejects(
      () => guest.run("echo so far; sleep 600; true", { timeoutMs: 300 }),
      GuestError,
      "so far",
    ) as GuestError;
    assertEquals(error.code, "timeout");
    // The guest lives on, without it and its children.
    const { stdout } = await guest.run("ps");
    assert(!stdout.includes("sleep 600"), stdout);
  });

  await t.step("leaves what a command starts in the background", async () => {
    assertEquals((await guest.run("sleep 600 & echo started")).stdout, "started\n");
    assertStringIncludes((await guest.run("ps")).stdout, "sleep 600");
    await guest.run("killall sleep");
  });

  await t.step("says that a program is not there", async () => {
    const { code, stderr } = await guest.run("no-such-program");
    assertEquals(code, 127);
    assertStringIncludes(stderr, "not found");
  });

  await t.step("takes as many programs as the agent holds, and refuses one more", async () => {
    const many = Array.from({ length: 32 }, () => guest.start("cat"));
    await assertRejects(() => guest.run("true"), GuestError, "temporarily unavailable");
    for (const process of many) await process.closeStdin();
    for (const process of many) assertEquals((await process.exited).code, 0);
    assertEquals((await guest.run("true")).code, 0);
  });

  await t.step("mmio reads edu's identification, as spec 02 has it", async () => {
    const bar = await barAddress(vm, EDU, 0);
    assertEquals((await guest.run(`mmio read 4 ${bar}`)).stdout, "0x010000ed\n");
  });

  await t.step("mmio writes and reads back the liveness register, inverted", async () => {
    const liveness = Number(await barAddress(vm, EDU, 0)) + 4;
    const { stdout } = await guest.run(
      `mmio write 4 ${liveness} 0x12345678; mmio read 4 ${liveness}`,
    );
    assertEquals(stdout, "ok\n0xedcba987\n");
  });

  await t.step("mmio makes one access of 8 bytes, which edu tells from two of 4", async () => {
    const source = Number(await barAddress(vm, EDU, 0)) + 0x80;
    const { stdout } = await guest.run(
      `mmio write 8 ${source} 0x1122334455667788; mmio read 8 ${source}; mmio read 4 ${source}`,
    );
    assertEquals(stdout.split("\n").slice(0, 2), ["ok", "0x1122334455667788"]);
  });

  await t.step("mmio reads a BAR's resource file as well", async () => {
    const { stdout } = await guest.run(
      `echo 1 > /sys/bus/pci/devices/${EDU}/enable
       mmio -f /sys/bus/pci/devices/${EDU}/resource0 read 4 0`,
    );
    assertEquals(stdout, "0x010000ed\n");
  });

  await t.step("mmio serves one access a line", async () => {
    const bar = await barAddress(vm, EDU, 0);
    const process = guest.start("mmio serve");
    for (const [line, answer] of [[`read 4 ${bar}`, "0x010000ed"], ["peek", "error: want"]]) {
      await process.write(line + "\n");
      assertStringIncludes((await process.readLine())!, answer!);
    }
    await process.closeStdin();
    assertEquals(await process.readLine(), null);
    assertEquals((await process.exited).code, 0);
  });

  await t.step("mmio refuses misuse and makes no access", async () => {
    for (
      const words of [
        "",
        "read 3 0",
        "read 4 2",
        "read 4 -4",
        "read 4 x",
        "write 1 0 256",
        "time 4 0 0",
      ]
    ) {
      const { code, stdout } = await guest.run(`mmio ${words}`);
      assertEquals([words, code], [words, 2]);
      assertStringIncludes(stdout, "error:");
    }
    assertEquals((await guest.run("mmio -f /none read 4 0")).code, 1);
  });

  await t.step("busybox reads our archives", async () => {
    const { CpioWriter } = await import("../../harness/vm/image/cpio.ts");
    const writer = new CpioWriter();
    writer.directory("d");
    writer.file("d/tool", new TextEncoder().encode("hello"), 0o755);
    writer.link("d/sh", "tool");
    writer.characterDevice("console", 0o600, 5, 1);
    const { code, stdout } = await guest.run("cpio -tv", { stdin: writer.finish() });
    assertEquals(code, 0);
    const lines = stdout.trim().split("\n").map((line) => line.split(/\s+/));
    assertEquals(lines.map((words) => words[0]), [
      "drwxr-xr-x",
      "-rwxr-xr-x",
      "lrwxrwxrwx",
      "crw-------",
    ]);
  });
});

vmTest("Guest.run() on two processors", async (t) => {
  await using vm = await start({ cpus: 2 });
  const { guest } = vm;

  await t.step("does not wait for what a command leaves behind that prints for ever", async () => {
    const { code, stdout } = await guest.run("yes & usleep 200000; exit 3", { timeoutMs: 10_000 });
    assertEquals(code, 3);
    assertEquals(stdout.replaceAll("y\n", ""), "");
    assertEquals((await guest.run("echo on")).stdout, "on\n");
  });

  await t.step("signals a program that has just been started", async () => {
    const processes = Array.from({ length: 16 }, () => guest.start("exec sleep 600"));
    for (const process of processes) process.signal(9);
    for (const process of processes) {
      assertEquals(await within(process.exited, 10_000, null), { code: 137, signal: 9 });
    }
  });
});
