/**
 * A million random and mutated messages: the server refuses or ends the connection, and afterwards
 * answers as ever. `VIADUCT_FUZZ_MESSAGES=N` sends more or fewer; `VIADUCT_FUZZ_SEED=N` repeats a run.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { EventFd } from "../../protocols/linux/eventfd.ts";
import { ClientMemory, type Host, withProbe } from "./vfio_user/host.ts";
import { MessageFuzzer } from "./vfio_user/message_fuzzer.ts";
import type { MessageCount } from "../../protocols/vfio_user/server/metrics.ts";
import type { Probe } from "./vfio_user/probe.ts";
import type { RawClient } from "./vfio_user/raw_client.ts";
import * as wire from "./vfio_user/wire.ts";

const MESSAGES = Number(Deno.env.get("VIADUCT_FUZZ_MESSAGES") ?? 1_000_000);
const SEED = Number(
  Deno.env.get("VIADUCT_FUZZ_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0],
);

/** Messages between two looks at how the server is. */
const CHECK_EVERY = 10_000;
/** Messages sent before anything is read. */
const BATCH = 8;

const CAPABILITIES = [
  {},
  { max_msg_fds: 8, write_multiple: true },
  { max_msg_fds: 8, write_multiple: true, max_data_xfer_size: 512, max_dma_maps: 4 },
  { max_msg_fds: 8, twin_socket: { supported: true }, migration: { pgsize: 4096 } },
];

function openedByKernel(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

/** Waits, within reason, until nobody is connected. */
function alone(host: Host<Probe>): void {
  for (let i = 0; i < 100_000 && (host.server.connected || i < 3); i++) host.turn();
  assertEquals(host.server.connected, false, JSON.stringify(host.server.inspect()));
}

/** What a client expects of a server that is well. */
function assertWell(host: Host<Probe>): void {
  using client = host.driver();
  const info = client.call(4, wire.bytes(wire.u32(16), wire.u32(0), wire.u32(0), wire.u32(0)));
  assertEquals(info.body, wire.bytes(wire.u32(16), wire.u32(3), wire.u32(9), wire.u32(5)));
  using memory = new ClientMemory();
  assertEquals(client.call(13).errno, 0);
  client.call(10, wire.regionWrite(7, 4, new Uint8Array([7, 0])));
  assertEquals(client.call(2, wire.dmaMap(0x1000, 0x1000), [memory.fd]).errno, 0);
  assertEquals(client.call(10, wire.regionWrite(0, 0x40, wire.bytes(wire.u32(7)))).errno, 0);
  assertEquals(
    client.call(9, wire.regionRead(0, 0x40, 4)).body.subarray(16),
    wire.bytes(wire.u32(7)),
  );
  assertEquals(client.call(3, wire.dmaUnmap(0x1000, 0x1000)).errno, 0);
}

/** Takes what has come. False when the server has hung up. */
function drain(client: RawClient): boolean {
  const { stream } = client;
  for (;;) {
    const received = stream.receive();
    if (received === 0 || (received < 0 && received !== -11 && received !== -105)) return false;
    while (stream.length >= 16) {
      const size = stream.view.getUint32(stream.start + 4, true);
      assert(size >= 16, "the server's own header is broken");
      if (stream.length < size) break;
      stream.consume(size);
    }
    if (received < 0) return true;
  }
}

/** Commands that the server has, by the names it counts them under. */
const COMMANDS = [
  "VERSION",
  "DMA_MAP",
  "DMA_UNMAP",
  "DEVICE_GET_INFO",
  "DEVICE_GET_REGION_INFO",
  "DEVICE_GET_REGION_IO_FDS",
  "DEVICE_GET_IRQ_INFO",
  "DEVICE_SET_IRQS",
  "REGION_READ",
  "REGION_WRITE",
  "DEVICE_RESET",
  "REGION_WRITE_MULTI",
  "DEVICE_FEATURE",
  "MIG_DATA_READ",
  "MIG_DATA_WRITE",
];

/** What became of the messages that the fuzzer made. */
class Outcomes {
  /** Of a command's body: done, and refused. */
  readonly #counts = new Map<string, { done: number; refused: number }>();

  /** Adds what the server has counted in the meantime, or takes it away. */
  add(messages: readonly MessageCount[], sign: 1 | -1): void {
    for (const { command, direction, errno, count } of messages) {
      if (direction !== ">") continue;
      let counts = this.#counts.get(command);
      if (counts === undefined) this.#counts.set(command, counts = { done: 0, refused: 0 });
      counts[errno === "ok" ? "done" : "refused"] += sign * count;
    }
  }

  /** Messages that the server took for commands, whatever it thought of them. */
  get understood(): number {
    let sum = 0;
    for (const { done, refused } of this.#counts.values()) sum += done + refused;
    return sum;
  }

  get done(): number {
    let sum = 0;
    for (const { done } of this.#counts.values()) sum += done;
    return sum;
  }

  of(command: string): { readonly done: number; readonly refused: number } {
    return this.#counts.get(command) ?? { done: 0, refused: 0 };
  }
}

Deno.test(`vfio-user: ${MESSAGES} random and mutated messages, seed ${SEED}, and the server is well`, () => {
  const bugs: string[] = [];
  withProbe((host) => {
    host.device.onRevoke = "release";
    const fuzzer = new MessageFuzzer(SEED);
    const outcomes = new Outcomes();
    using memory = new ClientMemory();
    using event = EventFd.create();
    let sent = 0;
    let baseline = -1;
    while (sent < MESSAGES) {
      assertWell(host);
      alone(host);
      // Counted after the first round, when caches of the runtime are warm.
      if (baseline < 0) baseline = openedByKernel();
      assertEquals(openedByKernel(), baseline, `descriptors after ${sent} messages`);
      assertEquals([host.machine.files.count, host.machine.memory.windows], [0, 0]);
      const end = Math.min(MESSAGES, sent + CHECK_EVERY);
      while (sent < end) {
        using client = host.connect();
        const greets = fuzzer.below(8) > 0;
        if (greets) {
          client.negotiate(CAPABILITIES[fuzzer.below(CAPABILITIES.length)]);
          client.call(10, wire.regionWrite(7, 4, new Uint8Array([7, 0])));
        }
        outcomes.add(host.server.metrics.messages(), -1);
        const garbage = fuzzer.below(50) === 0;
        if (garbage) client.send(fuzzer.garbage());
        let first = !greets && fuzzer.below(2) === 0;
        // One whose stream is out of step goes on for a while, and gives up.
        let batches = garbage ? fuzzer.below(8) : Infinity;
        for (let lives = true; lives && sent < end && batches-- > 0 && fuzzer.below(400) > 0;) {
          for (let i = 0; i < BATCH && lives; i++, sent++) {
            const next = first ? fuzzer.greeting() : fuzzer.next();
            first = false;
            const fds = [
              ...new Array<number>(next.memory).fill(memory.fd),
              ...new Array<number>(next.events).fill(event.fd),
            ];
            lives = next.bytes.length === 0 || client.send(next.bytes, fds) === 0;
            if (next.step === "lost") batches = Math.min(batches, fuzzer.below(8));
          }
          host.turn();
          lives &&= drain(client);
        }
        client.close();
        alone(host);
        outcomes.add(host.server.metrics.messages(), 1);
      }
    }
    assertWell(host);
    alone(host);
    assertEquals(openedByKernel(), baseline);
    assertEquals(bugs, []);
    // Few messages do not make all that there is.
    if (MESSAGES < 100_000) return;
    const { understood, done } = outcomes;
    assert(understood > MESSAGES / 4, `only ${understood} messages were understood as such`);
    assert(done > MESSAGES / 4, `only ${done} commands were carried out`);
    for (const command of COMMANDS) {
      const counts = outcomes.of(command);
      assert(counts.done > 0 && counts.refused > 0, `${command}: ${JSON.stringify(counts)}`);
    }
  }, {
    remoteTimeoutMs: 1,
    onError: ({ message }) => {
      if (!message.includes("the probe was told to") && bugs.length < 10) bugs.push(message);
    },
  });
});
