import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { within } from "../../harness/vm/deadline.ts";
import { GuestError } from "../../harness/vm/guest.ts";
import { QmpError } from "../../harness/vm/qmp.ts";
import { VmError } from "../../harness/vm/vm_error.ts";
import { EDU, EDU_DEVICE, start, vmTest } from "./_machine.ts";

vmTest("Vm comes up again after a reset, a reboot and a panic", async (t) => {
  await using vm = await start();
  const { guest } = vm;

  await t.step("system_reset ends what ran, and the next boot is another", async () => {
    const before = guest.boot!.number;
    await guest.run("touch /tmp/mark");
    const running = guest.run("sleep 600");
    running.catch(() => {});
    const boot = await vm.systemReset();
    const error = await assertRejects(() => running, GuestError, "reset") as GuestError;
    assertEquals(error.code, "reset");
    assert(boot.number !== before);
    assertEquals((await guest.run("test -e /tmp/mark")).code, 1);
  });

  await t.step("the guest can reboot itself", async () => {
    const before = guest.boot!.number;
    const boot = await vm.reboot();
    assert(boot.number !== before);
    assertEquals((await guest.run("true")).code, 0);
  });

  await t.step("a panic fails what ran at once, with the kernel's last words", async () => {
    const before = guest.boot;
    const error = await assertRejects(
      () => guest.run("echo c > /proc/sysrq-trigger"),
      GuestError,
      "Kernel panic",
    ) as GuestError;
    assertEquals(error.code, "reset");
    await guest.ready(60_000, before);
  });
});

vmTest("Vm notices that QEMU was killed", async () => {
  await using vm = await start();
  const running = vm.guest.run("sleep 600");
  running.catch(() => {});
  Deno.kill(vm.pid, "SIGKILL");
  assertEquals((await vm.ended).signal, "SIGKILL");
  const error = await assertRejects(() => running, GuestError, "ended") as GuestError;
  assertEquals(error.code, "gone");
  await assertRejects(() => vm.guest.run("true"), GuestError);
  await assertRejects(() => vm.qmp.execute("query-status"), QmpError, "gone");
});

vmTest("Guest that hangs is told of with its console", async () => {
  await using vm = await start({ silenceMs: 4000 });
  await vm.guest.run("echo the last line > /dev/kmsg; echo another > /dev/console");
  const running = vm.guest.run("sleep 600");
  running.catch(() => {});
  await vm.qmp.execute("stop");
  const error = await assertRejects(() => running, GuestError, "hangs") as GuestError;
  assertEquals(error.code, "silent");
  assertStringIncludes(error.message, "another");
});

vmTest("Vm.start() tells of a kernel that gives up, at once and with its console", async () => {
  const error = await assertRejects(
    () => start({ kernelArgs: ["rdinit=/bin/false"] }),
    GuestError,
    "Kernel panic",
  ) as GuestError;
  assertEquals(error.code, "reset");
  assertStringIncludes(error.message, "To mend it: ");
});

vmTest("Vm.start() tells of a guest whose agent never says hello", async () => {
  const error = await assertRejects(
    () => start({ kernelArgs: ["rdinit=/bin/cat"], bootTimeoutMs: 4000 }),
    GuestError,
    "within 4 s",
  ) as GuestError;
  assertEquals(error.code, "timeout");
});

vmTest("Vm.start() tells what QEMU says of wrong arguments", async () => {
  await assertRejects(
    () => start({ devices: ["-device", "no-such-device"] }),
    VmError,
    "no-such-device",
  );
});

vmTest(
  "Vm.start() leaves nothing of a machine whose sockets have no place, or no folder",
  async () => {
    const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
    const long = `${folder}/${"x".repeat(100)}`;
    await Deno.mkdir(long);
    const before = Deno.env.get("TMPDIR");
    try {
      Deno.env.set("TMPDIR", long);
      await assertRejects(() => start(), VmError, "longer than 107 bytes");
      assertEquals([...Deno.readDirSync(long)], []);
      Deno.env.set("TMPDIR", `${folder}/none`);
      const error = await assertRejects(() => start(), VmError, `${folder}/none`) as VmError;
      assertStringIncludes(error.mend, "TMPDIR");
    } finally {
      if (before === undefined) Deno.env.delete("TMPDIR");
      else Deno.env.set("TMPDIR", before);
      await Deno.remove(folder, { recursive: true });
    }
  },
);

vmTest("Vm.powerOff() ends QEMU by the guest's own doing", async () => {
  await using vm = await start();
  const { code, signal } = await vm.powerOff();
  assertEquals([code, signal], [0, null]);
});

vmTest("Vm.stop() ends QEMU, its folder and itself, also when called twice", async () => {
  const vm = await start();
  const [first, second] = await Promise.all([vm.stop(), vm.stop()]);
  assertEquals(first, second);
  assertEquals([first.code, first.signal], [0, null]);
  await assertRejects(() => Deno.stat(`/proc/${vm.pid}`), Deno.errors.NotFound);
  await assertRejects(() => vm.guest.run("true"), GuestError, "ended");
});

vmTest("Vm.stop() ends a QEMU that does not listen", async () => {
  const vm = await start();
  Deno.kill(vm.pid, "SIGSTOP");
  assertEquals((await vm.stop()).signal, "SIGKILL");
});

vmTest("Vm ends with the process that started it", async () => {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const parent = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", new URL("_boots.ts", import.meta.url).pathname],
    env: { TMPDIR: folder },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = parent.stdout.getReader();
  const { value } = await reader.read();
  const pid = Number(new TextDecoder().decode(value));
  assert((await Deno.stat(`/proc/${pid}`)).isDirectory);
  const watcher = Deno.watchFs(folder, { recursive: false });
  parent.kill("SIGKILL");
  // The machine's own folder is the only one there.
  const removal = async (): Promise<true> => {
    for await (const event of watcher) if (event.kind === "remove") break;
    return true;
  };
  assert(await within(removal(), 10_000, false), "the machine's folder is still there");
  await parent.status;
  await reader.cancel();
  // Killed before its folder went; the kernel still takes it apart.
  const deadline = performance.now() + 10_000;
  let status: string;
  do {
    status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  } while (status !== "" && !/^State:\s+Z/m.test(status) && performance.now() < deadline);
  assert(status === "" || /^State:\s+Z/m.test(status), status);
  await Deno.remove(folder, { recursive: true });
});

vmTest("Vm has several machines at once, each with its own console", async () => {
  const [one, two] = await Promise.all([start({ devices: EDU_DEVICE }), start({ cpus: 2 })]);
  try {
    const [edu, none] = await Promise.all(
      [one, two].map((vm) => vm.guest.run(`test -e /sys/bus/pci/devices/${EDU}; echo $?; nproc`)),
    );
    assertEquals([edu!.stdout, none!.stdout], ["0\n1\n", "1\n2\n"]);
  } finally {
    await Promise.all([one.stop(), two.stop()]);
  }
});

vmTest("Qmp plugs a device in and out while the guest runs", async () => {
  await using vm = await start({ devices: ["-device", "pcie-root-port,id=root1,addr=05.0"] });
  const ids =
    "cat /sys/bus/pci/devices/0000:01:00.0/vendor /sys/bus/pci/devices/0000:01:00.0/device";
  await vm.qmp.deviceAdd({ driver: "edu", id: "hot", bus: "root1" });
  const { stdout } = await vm.guest.run(`while ! ${ids} 2>/dev/null; do usleep 20000; done`);
  assertEquals(stdout, "0x1234\n0x11e8\n");
  await vm.qmp.deviceDel("hot");
  assertEquals((await vm.guest.run(`${ids} 2>/dev/null`)).code, 1);
  await assertRejects(() => vm.qmp.deviceDel("hot"), QmpError, "not found");
});

vmTest("Vm with console: interactive gives a shell on it, and logs it", async () => {
  await using vm = await start({ console: "interactive" });
  const console = vm.console!;
  await console.write(new TextEncoder().encode("echo $((6*7))-here\n"));
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(4096);
  let text = "";
  // QEMU logs a character once it has sent it, and before the next.
  while (!text.includes("42-here\r")) {
    const length = await console.read(chunk);
    assert(length !== null, text);
    text += decoder.decode(chunk.subarray(0, length), { stream: true });
  }
  assertStringIncludes(vm.consoleTail(), "42-here");
});

vmTest("Vm bounds the log of its console", async () => {
  await using vm = await start();
  // Much faster than a guest would.
  await Deno.writeFile(vm.consoleLog, new Uint8Array(0x20_0000).fill(0x78), { append: true });
  const small = async () => {
    while ((await Deno.stat(vm.consoleLog)).blocks! * 512 > 0x4_0000) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return true;
  };
  assert(await within(small(), 20_000, false));
  assertStringIncludes(await Deno.readTextFile(vm.consoleLog), "bytes left out)\n");
});
