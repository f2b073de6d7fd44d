import { assert, assertEquals, assertRejects } from "@std/assert";
import { PCI_STD_HEADER_SIZEOF } from "../../../devices/pci/spec.ts";
import * as pci from "../../../devices/pci/spec.ts";
import { liveDescriptors } from "../../linux/descriptor.ts";
import { liveMappings } from "../../linux/mapping.ts";
import { VfioUserCommand as C } from "../spec.ts";
import { Panel, PANEL_VECTORS } from "./_test_panel.ts";
import { startRemote, withRemote } from "./_test_remote.ts";
import { withServer } from "./_test_server.ts";
import { VfioUserClient } from "./client.ts";
import { VfioUserError } from "./client_error.ts";
import { findCapabilities } from "./remote_config.ts";
import { RemoteFunction, type RemoteFunctionOptions } from "./remote_function.ts";

const TABLE = 0x100, PENDING = 0x800;
const ENABLE = pci.PCI_COMMAND_MEMORY | pci.PCI_COMMAND_MASTER;

interface Opened {
  readonly fn: RemoteFunction;
  readonly client: VfioUserClient;
  /** Offsets of capabilities. */
  readonly msi: number;
  readonly msix: number;
  readonly pm: number;
  readonly express: number;
  readonly af: number;
  /** The messages that were sent, by command number. */
  readonly sent: number[];
}

/** A panel that is enabled, behind a real server. */
async function withPanel(
  body: (opened: Opened) => Promise<void>,
  options: Partial<RemoteFunctionOptions> = {},
): Promise<void> {
  const descriptors = liveDescriptors(), mappings = liveMappings();
  await withRemote(async ({ path }) => {
    const sent: number[] = [];
    using client = VfioUserClient.connect(path, {
      tap: ({ direction, bytes }) => {
        if (direction === ">") sent.push(bytes[2] as number);
      },
    });
    using fn = RemoteFunction.open(client, { endpoint: 0x18, ...options });
    await fn.configWrite(pci.PCI_COMMAND, 2, ENABLE);
    const space = new Uint8Array(256);
    client.wait(client.regions.read(7, 0, space));
    const view = new DataView(space.buffer);
    const at = findCapabilities((offset, size) =>
      size === 1
        ? view.getUint8(offset)
        : size === 2
        ? view.getUint16(offset, true)
        : view.getUint32(offset, true)
    );
    await body({
      fn,
      client,
      sent,
      msi: at.get(pci.PCI_CAP_ID_MSI)!,
      msix: at.get(pci.PCI_CAP_ID_MSIX)!,
      pm: at.get(pci.PCI_CAP_ID_PM)!,
      express: at.get(pci.PCI_CAP_ID_EXP)!,
      af: at.get(pci.PCI_CAP_ID_AF)!,
    });
  });
  assertEquals([liveDescriptors(), liveMappings()], [descriptors, mappings]);
}

async function raise(fn: RemoteFunction, vector: number, times = 1): Promise<void> {
  for (let time = 0; time < times; time++) await fn.barWrite(0, Panel.RAISE, 4, vector);
}

async function takeAll(fn: RemoteFunction): Promise<number[]> {
  const counts: number[] = [];
  for (let vector = 0; vector < PANEL_VECTORS; vector++) {
    counts.push(await fn.takeInterrupts(vector));
  }
  return counts;
}

async function unmaskAll(fn: RemoteFunction): Promise<void> {
  for (let vector = 0; vector < PANEL_VECTORS; vector++) {
    await fn.barWrite(2, TABLE + 16 * vector + 12, 4, 0);
  }
}

Deno.test("RemoteFunction reads and writes configuration space and BARs", async () => {
  await withPanel(async ({ fn }) => {
    assertEquals(fn.endpoint, 0x18);
    assertEquals(await fn.configRead(0, 4), 0x5678_1234);
    assertEquals(await fn.configRead(2, 2), 0x5678);
    assertEquals(await fn.configRead(pci.PCI_REVISION_ID, 1), 1);
    await fn.configWrite(pci.PCI_INTERRUPT_LINE, 1, 0x5a);
    assertEquals(await fn.configRead(pci.PCI_INTERRUPT_LINE, 1), 0x5a);
    assertEquals(await fn.barRead(2, 8, 4), 0x2222_0008);
    await fn.barWrite(0, Panel.INTX, 4, 0xffff_fffe);
    assertEquals(await fn.barRead(0, Panel.INTX, 4), 0xffff_fffe);
  });
});

Deno.test("RemoteFunction.barRead64() is one access of 8 bytes", async () => {
  await withPanel(async ({ fn, sent }) => {
    const value = 0x8765_4321_fedc_ba98n;
    sent.length = 0;
    await fn.barWrite64(0, Panel.WIDE, value);
    assertEquals(await fn.barRead64(0, Panel.WIDE), value);
    assertEquals(sent, [C.VFIO_USER_REGION_WRITE, C.VFIO_USER_REGION_READ]);
  });
});

Deno.test("RemoteFunction reads all ones, and writes nothing, where nothing decodes the access", async () => {
  const refusals: string[] = [];
  await withPanel(async ({ fn, sent }) => {
    sent.length = 0;
    assertEquals(await fn.barRead(0, 0x2000, 4), 0xffff_ffff);
    assertEquals(await fn.barRead(0, 2, 4), 0xffff_ffff);
    assertEquals(await fn.barRead(1, 0, 2), 0xffff);
    assertEquals(await fn.barRead64(0, 0x1ffc), 2n ** 64n - 1n);
    assertEquals(await fn.configRead(0x1000, 1), 0xff);
    await fn.barWrite(0, 0x2000, 4, 1);
    await fn.configWrite(0x1000, 4, 1);
    assertEquals(sent, []);
    await fn.configWrite(pci.PCI_COMMAND, 2, 0);
    assertEquals(await fn.barRead(2, 8, 4), 0xffff_ffff);
    assertEquals(await fn.barRead(2, TABLE + 12, 4), 0xffff_ffff);
    assertEquals(await fn.barRead(0, Panel.PAGE, 4), 0xffff_ffff);
    assertEquals(refusals, []);
  }, { onRefusal: (error) => refusals.push(error.message) });
});

Deno.test("RemoteFunction hands a refused access to onRefusal, and reads all ones", async () => {
  const refusals: VfioUserError[] = [];
  let refuse = false;
  await withServer(({ header, body, view }) => {
    const words = (...values: number[]) => new Uint8Array(new Uint32Array(values).buffer);
    switch (header.command) {
      case C.VFIO_USER_DEVICE_GET_INFO:
        return words(16, 3, 9, 0);
      case C.VFIO_USER_DEVICE_GET_REGION_INFO: {
        const index = view.getUint32(8, true);
        return words(32, 3, index, 0, index === 7 ? 256 : 0, 0, 0, 0);
      }
      case C.VFIO_USER_REGION_READ: {
        if (refuse) return -1;
        const reply = new Uint8Array(16 + view.getUint32(12, true));
        reply.set(body);
        return reply;
      }
      default:
        return new Uint8Array(0);
    }
  }, async (client) => {
    using fn = RemoteFunction.open(client, {
      endpoint: 0,
      onRefusal: (error) => refusals.push(error),
    });
    assertEquals(await fn.configRead(0, 4), 0);
    refuse = true;
    assertEquals(await fn.configRead(0, 4), 0xffff_ffff);
    assertEquals(refusals.map(({ code, errno }) => [code, errno]), [["refused", 1]]);
    assertEquals(fn.region(0), null);
    assertEquals(fn.region(7)?.size, 256);
    const error = await assertRejects(() => fn.inspect(), Error);
    assert(error.message.includes("the protocol has no such command"));
    client.close();
    const closed = await assertRejects(() => fn.configRead(0, 4), VfioUserError);
    assertEquals(closed.code, "closed");
  });
});

Deno.test("RemoteFunction reaches a part with a file without messages, and only while it is decoded", async () => {
  await withPanel(async ({ fn, sent, client }) => {
    await fn.barRead(0, Panel.PAGE, 4);
    sent.length = 0;
    await fn.barWrite(0, Panel.PAGE + 4, 4, 0x1122_3344);
    await fn.barWrite(0, Panel.PAGE + 9, 1, 0x77);
    await fn.barWrite64(0, Panel.PAGE + 16, 5n);
    assertEquals(await fn.barRead(0, Panel.PAGE + 4, 4), 0x1122_3344);
    assertEquals(await fn.barRead(0, Panel.PAGE + 6, 2), 0x1122);
    assertEquals(await fn.barRead64(0, Panel.PAGE + 16), 5n);
    assertEquals(sent, []);
    // By messages one sees the same bytes.
    const bytes = new Uint8Array(4);
    client.wait(client.regions.read(0, Panel.PAGE + 8, bytes));
    assertEquals([...bytes], [0, 0x77, 0, 0]);
  });
});

Deno.test("RemoteFunction with windows ignored sends messages for all", async () => {
  await withPanel(async ({ fn, sent }) => {
    sent.length = 0;
    await fn.barWrite(0, Panel.PAGE, 4, 7);
    assertEquals(await fn.barRead(0, Panel.PAGE, 4), 7);
    assertEquals(sent.length, 2);
  }, { windows: "ignore" });
});

Deno.test("INTx is a level: asserted until the device lets go, whoever looks how often", async () => {
  await withPanel(async ({ fn }) => {
    assertEquals(await fn.intxAsserted(), false);
    await fn.barWrite(0, Panel.INTX, 4, 1);
    for (let look = 0; look < 3; look++) assertEquals(await fn.intxAsserted(), true);
    await fn.barWrite(0, Panel.INTX, 4, 0);
    assertEquals(await fn.intxAsserted(), false);
    // Up and down between two looks.
    await fn.barWrite(0, Panel.INTX, 4, 1);
    await fn.barWrite(0, Panel.INTX, 4, 0);
    assertEquals(await fn.intxAsserted(), false);
    await fn.barWrite(0, Panel.INTX, 4, 1);
    await fn.configWrite(pci.PCI_COMMAND, 2, ENABLE | pci.PCI_COMMAND_INTX_DISABLE);
    assertEquals(await fn.intxAsserted(), false);
    await fn.configWrite(pci.PCI_COMMAND, 2, ENABLE);
    assertEquals(await fn.intxAsserted(), true);
    assertEquals(await takeAll(fn), [0, 0, 0, 0, 0]);
  });
});

Deno.test("MSI: vectors as granted, messages counted, INTx silent meanwhile", async () => {
  await withPanel(async ({ fn, msi }) => {
    await raise(fn, 0);
    await fn.configWrite(msi + pci.PCI_MSI_FLAGS, 2, pci.PCI_MSI_FLAGS_ENABLE | 1 << 4);
    assertEquals(fn.interruptMode, "msi");
    await raise(fn, 0, 3);
    await raise(fn, 1);
    await raise(fn, 2);
    assertEquals(await takeAll(fn), [3, 1, 0, 0, 0]);
    assertEquals(await takeAll(fn), [0, 0, 0, 0, 0]);
    await fn.barWrite(0, Panel.INTX, 4, 1);
    assertEquals(await fn.intxAsserted(), false);
    // What has arrived is not lost by switching MSI off.
    await raise(fn, 1, 2);
    await fn.configWrite(msi + pci.PCI_MSI_FLAGS, 2, 0);
    assertEquals(fn.interruptMode, "intx");
    await raise(fn, 1);
    assertEquals(await takeAll(fn), [0, 2, 0, 0, 0]);
    assertEquals(await fn.intxAsserted(), true);
  });
});

Deno.test("MSI: a masked vector waits, is pending, and sends one message when it is unmasked", async () => {
  await withPanel(async ({ fn, msi }) => {
    const mask = msi + pci.PCI_MSI_MASK_64, pending = msi + pci.PCI_MSI_PENDING_64;
    await fn.configWrite(msi + pci.PCI_MSI_FLAGS, 2, pci.PCI_MSI_FLAGS_ENABLE | 2 << 4);
    await raise(fn, 2);
    await fn.configWrite(mask, 4, 0b100);
    await raise(fn, 2, 3);
    await raise(fn, 1);
    assertEquals(await takeAll(fn), [0, 1, 1, 0, 0]);
    assertEquals(await fn.configRead(pending, 4), 0b100);
    await fn.configWrite(mask, 1, 0);
    assertEquals(await fn.configRead(pending, 4), 0);
    assertEquals(await takeAll(fn), [0, 0, 1, 0, 0]);
  });
});

Deno.test("MSI-X: the table is the client's, and vectors are masked until the guest says otherwise", async () => {
  await withPanel(async ({ fn, msix, sent }) => {
    sent.length = 0;
    assertEquals(await fn.barRead(2, TABLE + 12, 4), 1);
    await fn.barWrite(2, TABLE + 16, 4, 0xfee0_1003);
    await fn.barWrite64(2, TABLE + 24, 0x1_0000_0041n);
    assertEquals(await fn.barRead(2, TABLE + 16, 4), 0xfee0_1000);
    assertEquals(await fn.barRead64(2, TABLE + 24), 0x1_0000_0041n);
    assertEquals(await fn.barRead(2, TABLE + 16, 2), 0xffff);
    assert(!sent.includes(C.VFIO_USER_REGION_WRITE));
    await fn.configWrite(msix + pci.PCI_MSIX_FLAGS, 2, pci.PCI_MSIX_FLAGS_ENABLE);
    assertEquals(fn.interruptMode, "msix");
    await raise(fn, 3, 2);
    assertEquals(await takeAll(fn), [0, 0, 0, 0, 0]);
    assertEquals(await fn.barRead(2, PENDING, 4), 0b1000);
    // Pending bits are read-only.
    await fn.barWrite(2, PENDING, 4, 0);
    assertEquals(await fn.barRead(2, PENDING, 4), 0b1000);
    await unmaskAll(fn);
    assertEquals(await fn.barRead(2, PENDING, 4), 0);
    assertEquals(await takeAll(fn), [0, 0, 0, 1, 0]);
    await raise(fn, 4, 5);
    assertEquals(await takeAll(fn), [0, 0, 0, 0, 5]);
  });
});

Deno.test("MSI-X: the function mask holds all vectors back", async () => {
  await withPanel(async ({ fn, msix }) => {
    await unmaskAll(fn);
    const flags = msix + pci.PCI_MSIX_FLAGS;
    await fn.configWrite(flags, 2, pci.PCI_MSIX_FLAGS_ENABLE | pci.PCI_MSIX_FLAGS_MASKALL);
    await raise(fn, 0, 2);
    await raise(fn, 4);
    assertEquals(await takeAll(fn), [0, 0, 0, 0, 0]);
    assertEquals(await fn.barRead(2, PENDING, 4), 0b10001);
    await fn.configWrite(flags, 2, pci.PCI_MSIX_FLAGS_ENABLE);
    assertEquals(await takeAll(fn), [1, 0, 0, 0, 1]);
  });
});

Deno.test("messages leave only while the function may master the bus", async () => {
  await withPanel(async ({ fn, msix }) => {
    await unmaskAll(fn);
    await fn.configWrite(msix + pci.PCI_MSIX_FLAGS, 2, pci.PCI_MSIX_FLAGS_ENABLE);
    await fn.configWrite(pci.PCI_COMMAND, 2, pci.PCI_COMMAND_MEMORY);
    await raise(fn, 0);
    await fn.configWrite(pci.PCI_COMMAND, 2, ENABLE);
    await raise(fn, 0);
    assertEquals(await fn.takeInterrupts(0), 1);
  });
});

Deno.test("reset() puts configuration space, device and interrupts back", async () => {
  await withPanel(async ({ fn, msix }) => {
    await unmaskAll(fn);
    await fn.configWrite(msix + pci.PCI_MSIX_FLAGS, 2, pci.PCI_MSIX_FLAGS_ENABLE);
    await raise(fn, 0);
    await fn.barWrite(0, Panel.INTX, 4, 1);
    await fn.reset();
    assertEquals(fn.interruptMode, "intx");
    assertEquals(await fn.configRead(pci.PCI_COMMAND, 2), 0);
    assertEquals(await fn.intxAsserted(), false);
    await fn.configWrite(pci.PCI_COMMAND, 2, ENABLE);
    assertEquals(await fn.barRead(2, TABLE + 12, 4), 1);
    assertEquals(await fn.barRead(0, Panel.INTX, 4), 0);
    // The message that was sent before has arrived.
    assertEquals(await takeAll(fn), [1, 0, 0, 0, 0]);
    await fn.barWrite(0, Panel.INTX, 4, 1);
    assertEquals(await fn.intxAsserted(), true);
  });
});

for (const by of ["PCI Express", "Advanced Features", "D3hot to D0"] as const) {
  Deno.test(`a function-level reset by ${by} resynchronises the interrupts`, async () => {
    await withPanel(async ({ fn, msix, express, af, pm }) => {
      await unmaskAll(fn);
      await fn.configWrite(msix + pci.PCI_MSIX_FLAGS, 2, pci.PCI_MSIX_FLAGS_ENABLE);
      switch (by) {
        case "PCI Express":
          // The byte that holds the bit is enough.
          await fn.configWrite(express + pci.PCI_EXP_DEVCTL + 1, 1, 0x80);
          break;
        case "Advanced Features":
          await fn.configWrite(af + pci.PCI_AF_CTRL, 1, pci.PCI_AF_CTRL_FLR);
          break;
        case "D3hot to D0":
          await fn.configWrite(pm + pci.PCI_PM_CTRL, 2, 3);
          assertEquals(await fn.barRead(0, Panel.PAGE, 4), 0xffff_ffff);
          assertEquals(fn.interruptMode, "msix");
          await fn.configWrite(pm + pci.PCI_PM_CTRL, 2, 0);
      }
      assertEquals(fn.interruptMode, "intx");
      await fn.configWrite(pci.PCI_COMMAND, 2, ENABLE);
      assertEquals(await fn.barRead(2, TABLE + 12, 4), 1);
      await fn.barWrite(0, Panel.INTX, 4, 1);
      assertEquals(await fn.intxAsserted(), true);
    });
  });
}

Deno.test("replay() after a restart of the server: interrupts and windows work again", async () => {
  const descriptors = liveDescriptors(), mappings = liveMappings();
  const folder = await Deno.makeTempDir({ prefix: "viaduct-" });
  let remote = await startRemote(`${folder}/it.sock`);
  try {
    using client = VfioUserClient.connect(remote.path);
    using fn = RemoteFunction.open(client, { endpoint: 1 });
    await fn.configWrite(pci.PCI_COMMAND, 2, ENABLE);
    await remote.stop();
    await assertRejects(() => fn.configRead(0, 4), VfioUserError);
    remote = await startRemote(remote.path);
    client.reconnect();
    fn.replay();
    assertEquals(await fn.configRead(0, 4), 0x5678_1234);
    await fn.configWrite(pci.PCI_COMMAND, 2, ENABLE);
    await fn.barWrite(0, Panel.INTX, 4, 1);
    assertEquals(await fn.intxAsserted(), true);
    await fn.barWrite(0, Panel.PAGE, 4, 9);
    assertEquals(await fn.barRead(0, Panel.PAGE, 4), 9);
  } finally {
    await remote.stop();
    await Deno.remove(folder, { recursive: true });
  }
  assertEquals([liveDescriptors(), liveMappings()], [descriptors, mappings]);
});

Deno.test("replay() to a server that kept the device: messages come again", async () => {
  await withRemote(async ({ path }) => {
    using client = VfioUserClient.connect(path);
    using fn = RemoteFunction.open(client, { endpoint: 1 });
    await fn.configWrite(pci.PCI_COMMAND, 2, ENABLE);
    const space = new Uint8Array(256);
    client.wait(client.regions.read(7, 0, space));
    let msi: number = PCI_STD_HEADER_SIZEOF;
    while (space[msi] !== pci.PCI_CAP_ID_MSI) msi++;
    await fn.configWrite(msi + pci.PCI_MSI_FLAGS, 2, pci.PCI_MSI_FLAGS_ENABLE);
    await raise(fn, 0);
    client.reconnect();
    fn.replay();
    assertEquals(fn.interruptMode, "msi");
    await raise(fn, 0, 2);
    // One from before, two from now.
    assertEquals(await fn.takeInterrupts(0), 3);
  });
});

Deno.test("findCapabilities() ends on a list that is a circle, and on one that leads nowhere", () => {
  const space = new Uint8Array(256);
  space[pci.PCI_STATUS] = pci.PCI_STATUS_CAP_LIST;
  space[pci.PCI_CAPABILITY_LIST] = 0x40;
  space.set([5, 0x50], 0x40);
  space.set([0x11, 0x41], 0x50);
  const read = (offset: number, size: 1 | 2 | 4): number =>
    size === 1 ? space[offset]! : space[offset]! | space[offset + 1]! << 8;
  assertEquals([...findCapabilities(read)], [[5, 0x40], [0x11, 0x50]]);
  space[0x51] = 0x3c;
  assertEquals([...findCapabilities(read)].length, 2);
});
