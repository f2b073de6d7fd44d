import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import * as pci from "../../../devices/pci/spec.ts";
import { type Descriptor, liveDescriptors } from "../../linux/descriptor.ts";
import { Errno } from "../../linux/errno.ts";
import { signalEvent } from "../../linux/eventfd.ts";
import { VfioUserCommand as C } from "../spec.ts";
import type { Answer, Received } from "./_test_server.ts";
import { withServer } from "./_test_server.ts";
import { VfioUserError } from "./client_error.ts";
import { RemoteFunction } from "./remote_function.ts";

const MSIX_AT = 0x40, MSI_AT = 0x60;

/** A device as some other server may have it: configuration space, and what SET_IRQS said. */
class Device {
  readonly config = new Uint8Array(256);
  readonly view = new DataView(this.config.buffer);
  /** By index, then vector: what the client wants signalled. */
  readonly signals = new Map<string, Descriptor>();
  readonly sets: string[] = [];
  irqs: readonly number[] = [1, 4, 300, 1, 1];
  irqFlags = 1;
  /** What is refused, by command. */
  readonly refusals = new Map<number, number>();

  constructor(vectors: number) {
    const { view } = this;
    view.setUint32(0, 0x1111_2222, true);
    view.setUint16(pci.PCI_STATUS, pci.PCI_STATUS_CAP_LIST, true);
    view.setUint8(pci.PCI_CAPABILITY_LIST, MSIX_AT);
    view.setUint8(pci.PCI_INTERRUPT_PIN, 1);
    view.setUint16(MSIX_AT, pci.PCI_CAP_ID_MSIX | MSI_AT << 8, true);
    view.setUint16(MSIX_AT + 2, vectors - 1, true);
    // The table in BAR 1 at 0, the pending bits in BAR 4 at 0x80.
    view.setUint32(MSIX_AT + 4, 1, true);
    view.setUint32(MSIX_AT + 8, 0x80 | 4, true);
    view.setUint16(MSI_AT, pci.PCI_CAP_ID_MSI, true);
    view.setUint16(MSI_AT + 2, 3 << 1, true);
    view.setUint16(pci.PCI_COMMAND, pci.PCI_COMMAND_MEMORY, true);
  }

  signal(index: number, vector: number): void {
    const descriptor = this.signals.get(`${index}.${vector}`);
    if (descriptor !== undefined) signalEvent(descriptor.fd);
  }

  readonly answer = (message: Received): Answer => {
    const { header, body, view } = message;
    const words = (...values: number[]) => new Uint8Array(new Uint32Array(values).buffer);
    const refusal = this.refusals.get(header.command);
    if (refusal !== undefined) return refusal;
    switch (header.command) {
      case C.VFIO_USER_DEVICE_GET_INFO:
        return words(16, 3, 9, 5);
      case C.VFIO_USER_DEVICE_GET_REGION_INFO: {
        const index = view.getUint32(8, true);
        return words(32, 3, index, 0, index === 7 ? 256 : index < 6 ? 0x4000 : 0, 0, 0, 0);
      }
      case C.VFIO_USER_DEVICE_GET_IRQ_INFO: {
        const index = view.getUint32(8, true);
        return words(16, this.irqFlags, index, this.irqs[index]!);
      }
      case C.VFIO_USER_REGION_READ: {
        const offset = view.getUint32(0, true), count = view.getUint32(12, true);
        const reply = new Uint8Array(16 + count);
        reply.set(body);
        if (view.getUint32(8, true) === 7) {
          reply.set(this.config.subarray(offset, offset + count), 16);
        }
        return reply;
      }
      case C.VFIO_USER_REGION_WRITE: {
        const offset = view.getUint32(0, true);
        if (view.getUint32(8, true) === 7) this.config.set(body.subarray(16), offset);
        return body.slice(0, 16);
      }
      default: {
        const [, flags, index, start, count] = new Uint32Array(body.buffer, 0, 5);
        const fds = message.descriptors;
        this.sets.push(`${index} ${flags!.toString(16)} ${start}+${count} fds ${fds.length}`);
        if (count === 0) {
          for (const [key, descriptor] of this.signals) {
            if (!key.startsWith(`${index}.`)) continue;
            descriptor.close();
            this.signals.delete(key);
          }
        }
        fds.forEach((descriptor, at) => {
          const key = `${index}.${start! + at}`;
          this.signals.get(key)?.close();
          this.signals.set(key, descriptor);
        });
        message.descriptors = [];
        return new Uint8Array(0);
      }
    }
  };

  close(): void {
    for (const descriptor of this.signals.values()) descriptor.close();
  }
}

async function withDevice(
  vectors: number,
  body: (device: Device, fn: RemoteFunction) => Promise<void>,
  prepare: (device: Device) => void = () => {},
): Promise<void> {
  const before = liveDescriptors();
  const device = new Device(vectors);
  prepare(device);
  await withServer(device.answer, async (client) => {
    using fn = RemoteFunction.open(client, { endpoint: 0 });
    await body(device, fn);
  });
  device.close();
  assertEquals(liveDescriptors(), before);
}

const msixControl = (fn: RemoteFunction, flags: number): Promise<void> =>
  fn.configWrite(MSIX_AT + pci.PCI_MSIX_FLAGS, 2, flags);

Deno.test("many MSI-X vectors get their eventfds when they are first unmasked", async () => {
  await withDevice(300, async (device, fn) => {
    await fn.barWrite(1, 16 * 7 + 12, 4, 0);
    device.sets.length = 0;
    await msixControl(fn, pci.PCI_MSIX_FLAGS_ENABLE);
    assertEquals(device.sets, ["0 21 0+0 fds 0", "2 24 7+1 fds 1"]);
    device.sets.length = 0;
    await fn.barWrite(1, 16 * 299 + 12, 4, 0);
    await fn.barWrite(1, 16 * 299 + 12, 4, 1);
    await fn.barWrite(1, 16 * 299 + 12, 4, 0);
    assertEquals(device.sets, ["2 24 299+1 fds 1"]);
    device.signal(2, 299);
    assertEquals(await fn.takeInterrupts(299), 1);
    device.sets.length = 0;
    await msixControl(fn, 0);
    assertEquals(device.sets, ["2 21 0+0 fds 0", "0 24 0+1 fds 1"]);
  });
});

Deno.test("eventfds go in messages of at most the server's max_msg_fds", async () => {
  await withDevice(20, async (device, fn) => {
    device.sets.length = 0;
    await msixControl(fn, pci.PCI_MSIX_FLAGS_ENABLE);
    assertEquals(device.sets.slice(1), [
      "2 24 0+8 fds 8",
      "2 24 8+8 fds 8",
      "2 24 16+4 fds 4",
    ]);
    device.signal(2, 19);
    await fn.barWrite(1, 16 * 19 + 12, 4, 0);
    assertEquals(await fn.takeInterrupts(19), 1);
  });
});

Deno.test("no more vectors are set up than the server has, and than are granted", async () => {
  await withDevice(20, async (device, fn) => {
    device.sets.length = 0;
    await msixControl(fn, pci.PCI_MSIX_FLAGS_ENABLE);
    assertEquals(device.sets.slice(1), ["2 24 0+3 fds 3"]);
    await msixControl(fn, 0);
    device.sets.length = 0;
    // 32 of 8 granted, and 4 there.
    await fn.configWrite(MSI_AT + pci.PCI_MSI_FLAGS, 2, pci.PCI_MSI_FLAGS_ENABLE | 5 << 4 | 3 << 1);
    assertEquals(device.sets.slice(1), ["1 24 0+4 fds 4"]);
  }, (device) => (device.irqs = [1, 4, 3, 1, 1]));
});

Deno.test("the MSI-X table and the pending bits may be in different BARs", async () => {
  await withDevice(20, async (device, fn) => {
    await msixControl(fn, pci.PCI_MSIX_FLAGS_ENABLE);
    device.signal(2, 5);
    assertEquals(await fn.barRead(4, 0x80, 4), 1 << 5);
    assertEquals(await fn.barRead64(4, 0x80), 1n << 5n);
    assertEquals(await fn.barRead(1, 12, 4), 1);
    assertEquals(await fn.barRead(1, 0x80, 4), 0);
    // The same offset in another BAR is the device's.
    assertEquals(await fn.barRead(4, 0x0, 4), 0);
    assertEquals(await fn.barRead(4, 0x88, 4), 0);
  });
});

Deno.test("INTx of a server that does not mask it by itself: the status register tells", async () => {
  await withDevice(1, async (device, fn) => {
    device.sets.length = 0;
    assertEquals(await fn.intxAsserted(), false);
    const status = device.view.getUint16(pci.PCI_STATUS, true);
    device.view.setUint16(pci.PCI_STATUS, status | pci.PCI_STATUS_INTERRUPT, true);
    assertEquals([await fn.intxAsserted(), await fn.intxAsserted()], [true, true]);
    device.view.setUint16(pci.PCI_STATUS, status, true);
    assertEquals(await fn.intxAsserted(), false);
    // One that keeps no status either: once for each signal.
    device.signal(0, 0);
    assertEquals([await fn.intxAsserted(), await fn.intxAsserted()], [true, false]);
    assertEquals(device.sets, []);
  });
});

Deno.test("a reset that is refused leaves the interrupts as they were", async () => {
  await withDevice(5, async (device, fn) => {
    await msixControl(fn, pci.PCI_MSIX_FLAGS_ENABLE);
    await fn.barWrite(1, 12, 4, 0);
    device.refusals.set(C.VFIO_USER_DEVICE_RESET, -Errno.EIO);
    await assertRejects(() => fn.reset(), VfioUserError, "refused DEVICE_RESET: EIO");
    assertEquals(fn.interruptMode, "msix");
    device.signal(2, 0);
    assertEquals(await fn.takeInterrupts(0), 1);
  });
});

Deno.test("replay() that is refused keeps no eventfd of the connection before", async () => {
  await withDevice(5, async (device, fn) => {
    device.refusals.set(C.VFIO_USER_DEVICE_SET_IRQS, -Errno.EIO);
    assertThrows(() => fn.replay(), VfioUserError, "refused DEVICE_SET_IRQS: EIO");
    device.refusals.clear();
    fn.replay();
    device.signal(0, 0);
    assertEquals(await fn.intxAsserted(), true);
  });
});

Deno.test("a device without any interrupt is a device", async () => {
  await withDevice(1, async (device, fn) => {
    assertEquals(device.sets, []);
    assertEquals(await fn.intxAsserted(), false);
    await msixControl(fn, pci.PCI_MSIX_FLAGS_ENABLE);
    assertEquals(await fn.takeInterrupts(0), 0);
    assertEquals(device.sets, []);
  }, (device) => (device.irqs = [0, 0, 0, 0, 0]));
});
