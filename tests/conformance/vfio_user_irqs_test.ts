/**
 * VFIO_USER_DEVICE_SET_IRQS (spec/08 rule 12, spec/09 rule 17), over a real socket.
 * @module
 */

import { assertEquals } from "@std/assert";
import { Descriptor } from "../../protocols/linux/descriptor.ts";
import { EventFd } from "../../protocols/linux/eventfd.ts";
import {
  F_SETFL,
  fcntl,
  MFD_CLOEXEC,
  pointerOf,
  stable,
  write,
} from "../../protocols/linux/libc.ts";
import { ClientMemory, type Host, withProbe } from "./vfio_user/host.ts";
import type { Probe } from "./vfio_user/probe.ts";
import type { RawClient } from "./vfio_user/raw_client.ts";
import * as wire from "./vfio_user/wire.ts";

const EINVAL = 22;
const NONE = 1, BOOL = 2, EVENTFD = 4, MASK = 8, UNMASK = 16, TRIGGER = 32;
const INTX = 0, MSI = 1, MSIX = 2, ERR = 3, REQ = 4;
const { setIrqs } = wire;
const yes = (count: number) => new Uint8Array(count).fill(1);

const REFUSED: readonly [string, Uint8Array, number?][] = [
  ["19 bytes", setIrqs(TRIGGER | NONE, MSI, 0, 1).subarray(0, 19)],
  ["argsz 19", setIrqs(TRIGGER | NONE, MSI, 0, 1, undefined, 19)],
  ["argsz 0", setIrqs(TRIGGER | NONE, MSI, 0, 1, undefined, 0)],
  ["type 5", setIrqs(TRIGGER | NONE, 5, 0, 1)],
  ["type 2^32 - 1", setIrqs(TRIGGER | NONE, 0xffff_ffff, 0, 1)],
  ["no action", setIrqs(NONE, MSI, 0, 1)],
  ["no data type", setIrqs(TRIGGER, MSI, 0, 1)],
  ["two actions", setIrqs(TRIGGER | MASK | NONE, MSI, 0, 1)],
  ["MASK and UNMASK", setIrqs(MASK | UNMASK | NONE, INTX, 0, 1)],
  ["two data types", setIrqs(TRIGGER | NONE | BOOL, MSI, 0, 1, yes(1))],
  ["NONE with EVENTFD", setIrqs(TRIGGER | NONE | EVENTFD, MSI, 0, 1)],
  ["an unknown flag", setIrqs(TRIGGER | NONE | 0x40, MSI, 0, 1)],
  ["start and count past 2^32", setIrqs(TRIGGER | NONE, MSI, 0xffff_ffff, 2)],
  ["start out of range", setIrqs(TRIGGER | NONE, MSI, 4, 1)],
  ["count out of range", setIrqs(TRIGGER | NONE, MSI, 0, 5)],
  ["start and count out of range together", setIrqs(TRIGGER | NONE, MSIX, 7, 2)],
  ["MASK of ERR", setIrqs(MASK | NONE, ERR, 0, 1)],
  ["UNMASK of ERR", setIrqs(UNMASK | NONE, ERR, 0, 1)],
  ["MASK of REQ", setIrqs(MASK | NONE, REQ, 0, 1)],
  ["UNMASK of REQ", setIrqs(UNMASK | NONE, REQ, 0, 1)],
  ["count 2 on ERR", setIrqs(TRIGGER | NONE, ERR, 0, 2)],
  ["count 2 on REQ", setIrqs(TRIGGER | NONE, REQ, 0, 2)],
  ["count 0 with BOOL", setIrqs(TRIGGER | BOOL, MSI, 0, 0)],
  ["count 0 with EVENTFD", setIrqs(TRIGGER | EVENTFD, MSI, 0, 0)],
  ["count 0 with MASK", setIrqs(MASK | NONE, INTX, 0, 0)],
  ["count 0 with start 1", setIrqs(TRIGGER | NONE, MSI, 1, 0)],
  ["descriptors with NONE", setIrqs(TRIGGER | NONE, MSI, 0, 1), 1],
  ["descriptors with BOOL", setIrqs(TRIGGER | BOOL, MSI, 0, 1, yes(1)), 1],
  ["descriptors to disable all", setIrqs(TRIGGER | NONE, MSI, 0, 0), 1],
  ["fewer descriptors than count", setIrqs(TRIGGER | EVENTFD, MSI, 0, 2), 1],
  ["more descriptors than count", setIrqs(TRIGGER | EVENTFD, MSI, 0, 1), 2],
  ["BOOL shorter than count", setIrqs(TRIGGER | BOOL, MSI, 0, 2, yes(1))],
  ["BOOL longer than count", setIrqs(TRIGGER | BOOL, MSI, 0, 1, yes(2))],
  ["BOOL without data", setIrqs(TRIGGER | BOOL, MSI, 0, 1)],
  ["BOOL with an argsz below its data", setIrqs(TRIGGER | BOOL, MSI, 0, 1, yes(1), 20)],
  ["BOOL with an argsz above its data", setIrqs(TRIGGER | BOOL, MSI, 0, 1, yes(1), 22)],
  ["MSI masked by a descriptor", setIrqs(MASK | EVENTFD, MSI, 0, 1), 1],
];

for (const [name, body, fds = 0] of REFUSED) {
  Deno.test(`vfio-user rule 12: ${name}: EINVAL, and nothing changes`, () => {
    withProbe((host) => {
      using client = host.driver();
      using kept = EventFd.create();
      using other = EventFd.create();
      client.call(8, setIrqs(TRIGGER | EVENTFD, MSI, 0, 1), [kept.fd]);
      assertEquals(client.call(8, body, new Array<number>(fds).fill(other.fd)).errno, EINVAL);
      host.device.host.interrupts.raise(0);
      assertEquals([kept.drain(), other.drain()], [1, 0]);
    });
  });
}

Deno.test("vfio-user rule 12: a descriptor that is no eventfd: EINVAL, and none of the others takes effect", () => {
  withProbe((host) => {
    using client = host.driver();
    using event = EventFd.create();
    using memory = new ClientMemory();
    const body = setIrqs(TRIGGER | EVENTFD, MSI, 0, 2);
    assertEquals(client.call(8, body, [event.fd, memory.fd]).errno, EINVAL);
    assertEquals(host.device.host.interrupts.mode, "intx");
  });
});

Deno.test("vfio-user rule 12: a descriptor whose file has no name that is text: EINVAL, and the server lives on", () => {
  const library = Deno.dlopen("libc.so.6", {
    memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  });
  using file = new Descriptor(
    library.symbols.memfd_create(new Uint8Array([0xff, 0]), MFD_CLOEXEC),
  );
  library.close();
  withProbe((host) => {
    using client = host.driver();
    using event = EventFd.create();
    for (const fds of [[file.fd, event.fd], [event.fd, file.fd]]) {
      assertEquals(client.call(8, setIrqs(TRIGGER | EVENTFD, MSI, 0, 2), fds).errno, EINVAL);
    }
    assertEquals(enable(client, MSI, 0, event), 0);
  });
});

/** Gives vectors `start` and up of a type eventfds. */
function enable(client: RawClient, index: number, start: number, ...events: EventFd[]): number {
  const body = setIrqs(TRIGGER | EVENTFD, index, start, events.length);
  return client.call(8, body, events.map(({ fd }) => fd)).errno;
}

for (const [type, index, mode] of [["MSI", MSI, "msi"], ["MSI-X", MSIX, "msix"]] as const) {
  Deno.test(`vfio-user rule 12: ${type} vectors signal their eventfds, and no others`, () => {
    withProbe((host) => {
      using client = host.driver();
      const { interrupts } = host.device.host;
      using first = EventFd.create();
      using second = EventFd.create();
      assertEquals(interrupts.mode, "intx");
      assertEquals(enable(client, index, 1, first, second), 0);
      assertEquals(interrupts.mode, mode);
      for (const vector of [0, 1, 1, 2, 3, 4, 99, -1, 1.5]) interrupts.raise(vector);
      assertEquals([first.drain(), second.drain()], [2, 1]);
      // Replaced at run time (spec/09 rule 17).
      using third = EventFd.create();
      enable(client, index, 1, third);
      interrupts.raise(1);
      assertEquals([first.drain(), third.drain()], [0, 1]);
      // Without a descriptor: that vector off, and what it raises is lost. The type stays on.
      assertEquals(client.call(8, setIrqs(TRIGGER | EVENTFD, index, 1, 1)).errno, 0);
      interrupts.raise(1);
      interrupts.raise(2);
      assertEquals([third.drain(), second.drain(), interrupts.mode], [0, 1, mode]);
      enable(client, index, 1, third);
      assertEquals(third.drain(), 0);
      // Count 0: all off.
      assertEquals(client.call(8, setIrqs(TRIGGER | NONE, index, 0, 0)).errno, 0);
      interrupts.raise(1);
      interrupts.raise(2);
      assertEquals([third.drain(), second.drain(), interrupts.mode], [0, 0, "intx"]);
    });
  });
}

Deno.test("vfio-user rule 12: messages leave only while the function may master the bus", () => {
  withProbe((host) => {
    using client = host.client();
    using event = EventFd.create();
    enable(client, MSI, 0, event);
    host.device.host.interrupts.raise(0);
    assertEquals(event.drain(), 0);
    client.call(10, wire.regionWrite(7, 4, new Uint8Array([4, 0])));
    host.device.host.interrupts.raise(0);
    assertEquals(event.drain(), 1);
  });
});

Deno.test("vfio-user rule 12: NONE and BOOL trigger what they name", () => {
  withProbe((host) => {
    using client = host.driver();
    const events = [0, 1, 2, 3].map(() => EventFd.create());
    enable(client, MSI, 0, ...events);
    const drain = () => events.map((event) => event.drain());
    client.call(8, setIrqs(TRIGGER | NONE, MSI, 1, 2));
    assertEquals(drain(), [0, 1, 1, 0]);
    client.call(8, setIrqs(TRIGGER | BOOL, MSI, 0, 4, new Uint8Array([1, 0, 0, 255])));
    assertEquals(drain(), [1, 0, 0, 1]);
    for (const index of [ERR, REQ]) {
      enable(client, index, 0, events[0]!);
      client.call(8, setIrqs(TRIGGER | NONE, index, 0, 1));
      client.call(8, setIrqs(TRIGGER | BOOL, index, 0, 1, yes(1)));
      assertEquals(drain(), [2, 0, 0, 0]);
      client.call(8, setIrqs(TRIGGER | NONE, index, 0, 0));
    }
    for (const event of events) event.close();
  });
});

Deno.test("vfio-user rule 12: a masked message waits for its UNMASK", () => {
  withProbe((host) => {
    using client = host.driver();
    using event = EventFd.create();
    enable(client, MSIX, 2, event);
    client.call(8, setIrqs(MASK | BOOL, MSIX, 1, 2, new Uint8Array([0, 1])));
    host.device.host.interrupts.raise(2);
    host.device.host.interrupts.raise(2);
    assertEquals(event.drain(), 0);
    client.call(8, setIrqs(UNMASK | NONE, MSIX, 2, 1));
    assertEquals(event.drain(), 1);
    client.call(8, setIrqs(UNMASK | NONE, MSIX, 2, 1));
    assertEquals(event.drain(), 0);
  });
});

function assertPin(host: Host<Probe>, asserted: boolean): void {
  host.device.host.interrupts.setIntx(asserted);
}

Deno.test("vfio-user rule 12: INTx signals once, masks itself, and again after UNMASK while it is pending", () => {
  withProbe((host) => {
    using client = host.driver();
    using event = EventFd.create();
    const unmask = () => client.call(8, setIrqs(UNMASK | NONE, INTX, 0, 1)).errno;
    assertEquals(enable(client, INTX, 0, event), 0);
    assertPin(host, true);
    assertEquals(event.drain(), 1);
    assertPin(host, true);
    assertPin(host, false);
    assertPin(host, true);
    assertEquals(event.drain(), 0, "masked by itself");
    assertEquals(unmask(), 0);
    assertEquals(event.drain(), 1, "still asserted");
    assertPin(host, false);
    assertEquals(unmask(), 0);
    assertEquals(event.drain(), 0);
    assertPin(host, true);
    assertEquals(event.drain(), 1);
  });
});

Deno.test("vfio-user rule 12: INTx can be masked by the client, and its eventfd replaced and taken away", () => {
  withProbe((host) => {
    using client = host.driver();
    using event = EventFd.create();
    using second = EventFd.create();
    enable(client, INTX, 0, event);
    client.call(8, setIrqs(MASK | BOOL, INTX, 0, 1, yes(1)));
    assertPin(host, true);
    assertEquals(event.drain(), 0);
    enable(client, INTX, 0, second);
    assertEquals(second.drain(), 0, "the mask stays");
    client.call(8, setIrqs(UNMASK | BOOL, INTX, 0, 1, yes(1)));
    assertEquals([event.drain(), second.drain()], [0, 1]);
    client.call(8, setIrqs(TRIGGER | NONE, INTX, 0, 0));
    client.call(8, setIrqs(UNMASK | NONE, INTX, 0, 1));
    assertEquals(second.drain(), 0);
    // Enabled afresh while the pin is asserted: signalled at once.
    enable(client, INTX, 0, event);
    assertEquals(event.drain(), 1);
  });
});

Deno.test("vfio-user rule 12: an eventfd for UNMASK or MASK does it when the client signals it", () => {
  withProbe((host) => {
    using client = host.driver();
    using trigger = EventFd.create();
    using unmask = EventFd.create();
    using mask = EventFd.create();
    enable(client, INTX, 0, trigger);
    assertEquals(client.call(8, setIrqs(UNMASK | EVENTFD, INTX, 0, 1), [unmask.fd]).errno, 0);
    assertEquals(client.call(8, setIrqs(MASK | EVENTFD, INTX, 0, 1), [mask.fd]).errno, 0);
    assertPin(host, true);
    assertEquals(trigger.drain(), 1);
    unmask.signal();
    host.turn(2);
    assertEquals(trigger.drain(), 1);
    assertPin(host, false);
    unmask.signal();
    host.turn(2);
    mask.signal();
    host.turn(2);
    assertPin(host, true);
    assertEquals(trigger.drain(), 0);
    // De-assigned: signals of it mean nothing any more.
    assertEquals(client.call(8, setIrqs(UNMASK | EVENTFD, INTX, 0, 1)).errno, 0);
    unmask.signal();
    host.turn(2);
    assertEquals(trigger.drain(), 0);
  });
});

Deno.test("vfio-user rule 12: the pin is silent while messages are on, and speaks again after", () => {
  withProbe((host) => {
    using client = host.driver();
    using pin = EventFd.create();
    using vector = EventFd.create();
    enable(client, INTX, 0, pin);
    assertPin(host, true);
    assertEquals(pin.drain(), 1);
    enable(client, MSI, 0, vector);
    client.call(8, setIrqs(UNMASK | NONE, INTX, 0, 1));
    assertEquals(pin.drain(), 0);
    client.call(8, setIrqs(TRIGGER | NONE, MSI, 0, 0));
    assertEquals(pin.drain(), 1);
  });
});

Deno.test("vfio-user rule 12: a peer that fills or hijacks an eventfd delays nobody", () => {
  withProbe((host) => {
    using client = host.driver();
    using event = EventFd.create();
    enable(client, MSI, 0, event);
    for (let i = 0; i < 10; i++) event.signal();
    host.device.host.interrupts.raise(0);
    assertEquals(event.drain(), 11);
    // As full as it can be, and blocking.
    fcntl(event.fd, F_SETFL, 0);
    const most = new BigUint64Array(stable(8)).fill(2n ** 64n - 2n);
    assertEquals(write(event.fd, pointerOf(most), 8), 8);
    host.device.host.interrupts.raise(0);
    assertEquals(client.call(8, setIrqs(TRIGGER | NONE, MSI, 0, 1)).errno, 0);
    assertEquals(event.drain(), 2 ** 64);
    host.device.host.interrupts.raise(0);
    assertEquals(event.drain(), 1);
    assertEquals(client.call(8, setIrqs(TRIGGER | NONE, MSI, 0, 0)).errno, 0);
  });
});
