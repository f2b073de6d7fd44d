/**
 * A server that changes its own good replies at random: the client answers with its own
 * error or with the right thing, in time, and nothing stays open.
 */

import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { liveDescriptors } from "../../protocols/linux/descriptor.ts";
import { createSharedMemory, liveMappings } from "../../protocols/linux/mapping.ts";
import {
  type Received,
  type TestServer,
  withServer,
} from "../../protocols/vfio_user/client/_test_server.ts";
import type { VfioUserClient } from "../../protocols/vfio_user/client/client.ts";
import { VfioUserError } from "../../protocols/vfio_user/client/client_error.ts";
import { RemoteFunction } from "../../protocols/vfio_user/client/remote_function.ts";
import type { Ticket } from "../../protocols/vfio_user/client/ticket.ts";
import { VfioUserCommand as C } from "../../protocols/vfio_user/spec.ts";

/** What happens to one reply. */
type Mutation =
  | { readonly kind: "none" }
  | { readonly kind: "flip"; readonly at: number; readonly bit: number }
  | { readonly kind: "word"; readonly at: number; readonly value: number }
  | { readonly kind: "cut"; readonly length: number }
  | { readonly kind: "grow"; readonly length: number }
  | { readonly kind: "twice" }
  | { readonly kind: "garbage"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "never" }
  | { readonly kind: "close" }
  | { readonly kind: "descriptors"; readonly count: number };

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("none" as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("flip" as const),
      at: fc.nat(80),
      bit: fc.nat(7),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("word" as const),
      at: fc.nat(16),
      value: fc.oneof(fc.constant(0xffff_ffff), fc.nat(64), fc.nat(0xffff_ffff)),
    }),
  },
  fc.record({ kind: fc.constant("cut" as const), length: fc.nat(60) }),
  fc.record({ kind: fc.constant("grow" as const), length: fc.nat(300) }),
  fc.record({ kind: fc.constant("twice" as const) }),
  fc.record({
    kind: fc.constant("garbage" as const),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }) as fc.Arbitrary<Uint8Array<ArrayBuffer>>,
  }),
  fc.record({ kind: fc.constant("never" as const) }),
  fc.record({ kind: fc.constant("close" as const) }),
  fc.record({ kind: fc.constant("descriptors" as const), count: fc.integer({ min: 1, max: 12 }) }),
);

/** A good reply's body. */
function goodBody({ header, body, view }: Received): Uint8Array {
  const words = (...values: number[]) => new Uint8Array(new Uint32Array(values).buffer);
  switch (header.command) {
    case C.VFIO_USER_DEVICE_GET_INFO:
      return words(16, 3, 9, 5);
    case C.VFIO_USER_DEVICE_GET_REGION_INFO:
      return words(64, 15, view.getUint32(8, true), 32, 0x1000, 0, 0, 0)
        .reduce((into, byte, at) => (into[at] = byte, into), new Uint8Array(64))
        .map((byte, at) => at === 32 || at === 34 || at === 40 ? 1 : at === 57 ? 0x10 : byte);
    case C.VFIO_USER_DEVICE_GET_REGION_IO_FDS:
      return words(16, 0, view.getUint32(8, true), 0);
    case C.VFIO_USER_DEVICE_GET_IRQ_INFO:
      return words(16, 7, view.getUint32(8, true), 3);
    case C.VFIO_USER_REGION_READ: {
      const reply = new Uint8Array(16 + view.getUint32(12, true));
      reply.set(body);
      return reply;
    }
    case C.VFIO_USER_REGION_WRITE:
      return body.slice(0, 16);
    case C.VFIO_USER_DMA_UNMAP:
    case C.VFIO_USER_DEVICE_FEATURE:
      return body.length < 40 ? body : new Uint8Array([...body, 0, 0, 0, 0, 0, 0, 0, 0]);
    case C.VFIO_USER_REGION_WRITE_MULTI:
      return body.slice(0, 8);
    case C.VFIO_USER_MIG_DATA_READ:
      return new Uint8Array([9, 0, 0, 0, 1, 0, 0, 0, 5]);
    default:
      return new Uint8Array(0);
  }
}

/** Sends the reply as the mutation has it. */
function answer(server: TestServer, message: Received, how: Mutation, fd: number): void {
  const body = goodBody(message);
  const frame = new Uint8Array(16 + body.length);
  const view = new DataView(frame.buffer);
  view.setUint16(0, message.header.id, true);
  view.setUint16(2, message.header.command, true);
  view.setUint32(4, frame.length, true);
  view.setUint32(8, 1, true);
  frame.set(body, 16);
  switch (how.kind) {
    case "none":
      return server.raw(frame);
    case "flip":
      frame[how.at % frame.length]! ^= 1 << how.bit;
      return server.raw(frame);
    case "word":
      view.setUint32(4 * (how.at % Math.floor(frame.length / 4)), how.value, true);
      return server.raw(frame);
    case "cut": {
      const length = Math.max(16, frame.length - how.length);
      view.setUint32(4, length, true);
      return server.raw(frame.subarray(0, length));
    }
    case "grow": {
      view.setUint32(4, frame.length + how.length, true);
      return server.raw(new Uint8Array([...frame, ...new Uint8Array(how.length).fill(0xa5)]));
    }
    case "twice":
      server.raw(frame);
      return server.raw(frame);
    case "garbage":
      return server.raw(how.bytes);
    case "never":
      return;
    case "close":
      return server.stream.close();
    case "descriptors":
      return server.reply(message, body, Array.from({ length: how.count }, () => fd));
  }
}

/** One of everything. */
const COMMANDS: readonly ((client: VfioUserClient) => Ticket<unknown>)[] = [
  (client) => client.deviceInfo(),
  (client) => client.regions.info(2),
  (client) => client.regions.ioFds(2),
  (client) => client.regions.read(0, 8, new Uint8Array(40)),
  (client) => client.regions.write(0, 8, new Uint8Array(40)),
  (client) =>
    client.regions.writeMulti([{ region: 0, offset: 4, data: new Uint8Array(4) }, {
      region: 1,
      offset: 8,
      data: new Uint8Array(8),
    }]),
  (client) => client.dma.map({ address: 0x1000, size: 0x1000, access: 3 }),
  (client) => client.dma.unmap(0x1000, 0x1000),
  (client) => client.dma.unmapAll(),
  (client) => client.dma.unmapDirty(0x1000, 0x1000, 4096),
  (client) => client.irqs.info(2),
  (client) => client.irqs.act("trigger", 0, 0, 1),
  (client) => client.features.migrationFlags(),
  (client) => client.features.state(),
  (client) => client.features.setState(1),
  (client) => client.features.startLogging(4096, [{ iova: 0, length: 4096 }]),
  (client) => client.features.dirtyPages(0, 4096, 4096),
  (client) => client.features.readData(64),
  (client) => client.reset(),
];

/** Closes what an answer brought along. */
function dispose(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  if ("descriptor" in value) (value.descriptor as { close(): void } | null)?.close();
  if ("descriptors" in value) {
    for (const descriptor of value.descriptors as readonly { close(): void }[]) descriptor.close();
  }
}

Deno.test("VfioUserClient survives any reply: an answer or its own error, in time, nothing left open", async () => {
  using file = createSharedMemory("fuzz", 0x1000);
  const before = [liveDescriptors(), liveMappings()];
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(COMMANDS.length - 1), mutation), { minLength: 1, maxLength: 12 }),
      async (steps) => {
        await withServer(() => null, (client, server) => {
          for (const [which, how] of steps) {
            server.answer = (message) => {
              answer(server, message, how, file.fd);
              return null;
            };
            try {
              // What came before may have left the stream in the middle of a message.
              dispose(client.wait(COMMANDS[which]!(client), how.kind === "none" ? 20 : 1));
            } catch (error) {
              assert(error instanceof VfioUserError, `threw ${error}`);
              if (client.failure !== null) return;
            }
          }
        });
        assertEquals([liveDescriptors(), liveMappings()], before);
      },
    ),
    { numRuns: 400 },
  );
});

Deno.test("RemoteFunction.open() survives any reply", async () => {
  using file = createSharedMemory("fuzz", 0x1000);
  const before = [liveDescriptors(), liveMappings()];
  await fc.assert(
    fc.asyncProperty(
      fc.nat(40),
      mutation,
      fc.uint8Array({ minLength: 256, maxLength: 256 }),
      async (which, how, config) => {
        await withServer(() => null, async (client, server) => {
          let count = 0;
          server.answer = (message) => {
            const { header, view } = message;
            const mine = count++ === which ? how : { kind: "none" } as const;
            if (header.command === C.VFIO_USER_REGION_READ && mine.kind === "none") {
              // Configuration space of nobody's making.
              const offset = view.getUint32(0, true), length = view.getUint32(12, true);
              const body = new Uint8Array(16 + length);
              body.set(message.body);
              body.set(config.subarray(offset, offset + length), 16);
              server.reply(message, body);
            } else answer(server, message, mine, file.fd);
            return null;
          };
          try {
            using fn = RemoteFunction.open(client, { endpoint: 0 });
            for (let offset = 0; offset < 256; offset += 4) {
              await fn.configWrite(offset, 4, 0xffff_ffff);
            }
            await fn.takeInterrupts(0);
            await fn.intxAsserted();
            await fn.barRead(0, 0, 4);
            await fn.barWrite64(1, 8, 3n);
            await fn.reset();
          } catch (error) {
            assert(error instanceof VfioUserError, `threw ${error}`);
          }
        }, { timeoutMs: how.kind === "none" ? 2000 : 20 });
        assertEquals([liveDescriptors(), liveMappings()], before);
      },
    ),
    { numRuns: 100 },
  );
});
