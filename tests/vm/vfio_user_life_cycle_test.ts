import { assertEquals } from "@std/assert";
import { vfioUserPci } from "../../harness/vm/vfio_user_pci.ts";
import { EDU_DEVICE, start, vmTest } from "./_machine.ts";
import { enable, plugged, serve } from "./_served.ts";

const EDU = "0000:00:04.0";
const HOT = "0000:01:00.0";
const IDENTIFICATION = "0x010000ed\n";

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

vmTest("edu is found by Linux, and stays through a reboot and a reset", async (t) => {
  await withFolder(async (folder) => {
    await using server = await serve(folder, "edu");
    await using vm = await start({ devices: plugged(server.socket("edu"), { addr: "04.0" }) });
    const look = async () => {
      const { stdout } = await vm.guest.run(
        `cd /sys/bus/pci/devices/${EDU}; cat vendor device revision class subsystem_device`,
      );
      assertEquals(stdout, "0x1234\n0x11e8\n0x10\n0x00ff00\n0x1100\n");
      const bar = await enable(vm, EDU);
      assertEquals((await vm.guest.run(`mmio read 4 ${bar}`)).stdout, IDENTIFICATION);
      return Number(bar);
    };
    /** The liveness register: what the guest wrote last, inverted. */
    const liveness = async (bar: number, command: string) =>
      (await vm.guest.run(`mmio ${command.replace("AT", `${bar + 4}`)}`)).stdout.trim();

    let bar = await look();
    for (
      const [name, again] of [
        ["reboot", () => vm.reboot()],
        ["system_reset", () => vm.systemReset()],
      ] as const
    ) {
      await t.step(name, async () => {
        await liveness(bar, "write 4 AT 0x12345678");
        assertEquals(await liveness(bar, "read 4 AT"), "0xedcba987");
        await again();
        bar = await look();
        assertEquals(await liveness(bar, "read 4 AT"), "0x00000000");
      });
    }
  });
});

vmTest("a server takes the next QEMU when one was killed", async () => {
  await withFolder(async (folder) => {
    await using server = await serve(folder, "edu");
    const devices = plugged(server.socket("edu"), { addr: "04.0" });
    {
      await using vm = await start({ devices });
      const bar = Number(await enable(vm, EDU));
      // A transfer is under way when its client goes.
      await vm.guest.run(
        `mmio write 8 ${bar + 0x80} 0x1000; mmio write 8 ${bar + 0x88} 0x40000
         mmio write 8 ${bar + 0x90} 64; mmio write 8 ${bar + 0x98} 1`,
      );
      Deno.kill(vm.pid, "SIGKILL");
      assertEquals((await vm.ended).signal, "SIGKILL");
    }
    await using vm = await start({ devices });
    const bar = await enable(vm, EDU);
    assertEquals((await vm.guest.run(`mmio read 4 ${bar}`)).stdout, IDENTIFICATION);
  });
});

vmTest(
  "a guest survives its server, and gets the device back by plugging it in again",
  async () => {
    await withFolder(async (folder) => {
      const first = await serve(folder, "edu");
      const path = first.socket("edu");
      await using vm = await start({
        devices: [
          "-device",
          "pcie-root-port,id=root1,addr=05.0",
          ...plugged(path, { bus: "root1", id: "edu0" }),
        ],
      });
      const bar = await enable(vm, HOT);
      assertEquals((await vm.guest.run(`mmio read 4 ${bar}`)).stdout, IDENTIFICATION);
      await first.kill();
      assertEquals((await vm.guest.run(`mmio read 4 ${bar}`)).stdout, "0xffffffff\n");
      assertEquals(
        (await vm.guest.run(`mmio write 4 ${Number(bar) + 4} 1; echo alive`)).stdout,
        "ok\nalive\n",
      );

      await using _second = await serve(folder, "edu");
      await vm.qmp.deviceDel("edu0");
      const { stdout } = await vm.guest.run(`ls /sys/bus/pci/devices/${HOT} 2>/dev/null`);
      assertEquals(stdout, "");
      await vm.qmp.deviceAdd({ ...vfioUserPci(path, { bus: "root1" }), id: "edu1" });
      await vm.guest.run(
        `while ! test -e /sys/bus/pci/devices/${HOT}/resource0; do usleep 5000; done`,
      );
      const again = await enable(vm, HOT);
      assertEquals((await vm.guest.run(`mmio read 4 ${again}`)).stdout, IDENTIFICATION);
    });
  },
);

vmTest("devices come and go while the guest runs", async () => {
  await withFolder(async (folder) => {
    await using server = await serve(folder, "edu", "streamer");
    await using vm = await start({
      devices: ["-device", "pcie-root-port,id=root1,addr=05.0", ...EDU_DEVICE],
    });
    for (const type of ["edu", "streamer", "edu", "streamer"]) {
      await vm.qmp.deviceAdd({ ...vfioUserPci(server.socket(type), { bus: "root1" }), id: "hot" });
      await vm.guest.run(
        `while ! test -e /sys/bus/pci/devices/${HOT}/resource0; do usleep 5000; done`,
      );
      const { stdout } = await vm.guest.run(`cat /sys/bus/pci/devices/${HOT}/device`);
      assertEquals(stdout === "0x11e8\n", type === "edu", stdout);
      await vm.qmp.deviceDel("hot");
      assertEquals((await vm.guest.run(`test -e /sys/bus/pci/devices/${HOT}`)).code, 1);
    }
    // QEMU's own device is not touched by that.
    assertEquals(
      (await vm.guest.run(`mmio read 4 ${await enable(vm, EDU)}`)).stdout,
      IDENTIFICATION,
    );
  });
});

vmTest("two guests on two servers keep out of each other's way", async () => {
  await withFolder(async (folder) => {
    await using one = await serve(`${folder}/1`, "edu");
    await using two = await serve(`${folder}/2`, "edu");
    const vms = await Promise.all(
      [one, two].map((server) =>
        start({ devices: plugged(server.socket("edu"), { addr: "04.0" }) })
      ),
    );
    try {
      const values = await Promise.all(vms.map(async (vm, at) => {
        const register = Number(await enable(vm, EDU)) + 4;
        await vm.guest.run(`mmio write 4 ${register} ${0x1111_1111 * (at + 1)}`);
        const { stdout } = await vm.guest.run(
          `i=0; while [ $i -lt 200 ]; do mmio read 4 ${register}; i=$((i + 1)); done | sort -u`,
        );
        return stdout;
      }));
      assertEquals(values, ["0xeeeeeeee\n", "0xdddddddd\n"]);
      // The other one goes on when one is gone.
      await one.kill();
      const bar = await enable(vms[1]!, EDU);
      assertEquals((await vms[1]!.guest.run(`mmio read 4 ${bar}`)).stdout, IDENTIFICATION);
    } finally {
      await Promise.all(vms.map((vm) => vm.stop()));
    }
  });
});
