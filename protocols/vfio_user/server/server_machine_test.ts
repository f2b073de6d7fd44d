import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { Fault, type Iova } from "../../../core/address.ts";
import { VirtualClock } from "../../../core/observe/virtual_clock.ts";
import { Edu } from "../../../devices/edu/edu.ts";
import { Reactor } from "../../linux/reactor.ts";
import { connectUnix } from "../../linux/unix_socket.ts";
import { ServerMachine } from "./server_machine.ts";
import { startServer } from "./start_server.ts";

Deno.test("ServerMachine has the reactor's time unless it is given another", () => {
  using reactor = new Reactor({ spin: "off" });
  const clock = new VirtualClock();
  assertEquals(new ServerMachine({ reactor }).clock, reactor.clock);
  const machine = new ServerMachine({ reactor, clock });
  assert(machine.clock === clock && reactor.clock !== clock);
  clock.advance(7);
  const { memory } = machine.iommu.addEndpoint(1);
  assertEquals(memory.readU8(0x1000 as Iova), Fault.NO_DOMAIN);
  assertEquals(machine.iommu.drainFaults().map(({ timeNs }) => timeNs), [7_000_000]);
});

Deno.test("ServerMachine hangs up on a client that says nothing, also while its devices' time stands still", () => {
  const directory = Deno.makeTempDirSync();
  try {
    const path = join(directory, "edu.sock");
    const clock = new VirtualClock();
    using started = startServer({ path, device: new Edu(), clock, stallTimeoutMs: 300, seed: 1 });
    using client = connectUnix(path);
    const { reactor, server } = started;
    while (!server.connected) reactor.turn(100);
    // An hour of the devices' time is no time for the client.
    clock.advance(3_600_000);
    reactor.turn(0);
    assertEquals(server.connected, true);
    while (server.connected) reactor.turn(100);
    assertEquals([client.receive(), server.metrics.hungUp], [0, 1]);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
