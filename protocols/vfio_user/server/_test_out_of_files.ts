/**
 * A process of its own that runs a server out of descriptors, and sees how it waits for some.
 * Prints one line of JSON.
 * @module
 */

import { Edu } from "../../../devices/edu/edu.ts";
import { Descriptor } from "../../linux/descriptor.ts";
import { F_DUPFD_CLOEXEC, fcntl, memfdCreate, MFD_CLOEXEC } from "../../linux/libc.ts";
import { Reactor } from "../../linux/reactor.ts";
import { connectUnix } from "../../linux/unix_socket.ts";
import { ServerMachine } from "./server_machine.ts";
import { VfioUserServer } from "./server.ts";

/** Turns that the server gets while nobody can be accepted. */
const TURNS = 6;

const [path] = Deno.args as [string];
const log: string[] = [];
using reactor = new Reactor({ spin: "off" });
const machine = new ServerMachine({ reactor });
using file = new Descriptor(memfdCreate("many", MFD_CLOEXEC));
const filler: Descriptor[] = [];
const fill = (): void => {
  for (let fd = 0; (fd = fcntl(file.fd, F_DUPFD_CLOEXEC, 0)) >= 0;) filler.push(new Descriptor(fd));
};
fill();
// For its folder while it makes the socket, and for that: none is left to spare.
filler.pop()?.close();
filler.pop()?.close();
using server = new VfioUserServer(machine, {
  path,
  device: new Edu(),
  log: (line) => log.push(line),
});
const clients = [connectUnix(path)];
fill();
const began = reactor.nowNs;
for (let turn = 0; turn < TURNS; turn++) reactor.turn();
const waitedMs = (reactor.nowNs - began) / 1e6;
const refused = [...log];
for (const one of filler.splice(0)) one.close();
while (!server.connected) reactor.turn();
// What fails once more is said once more.
clients.pop()?.close();
while (server.connected) reactor.turn();
clients.push(connectUnix(path), connectUnix(path));
fill();
while (log.filter((line) => line.startsWith("Cannot")).length < 2) reactor.turn();
for (const one of filler.splice(0)) one.close();
while (!server.connected) reactor.turn();
const said = log.map((line) => line.replace(/[:;].*/s, ""));
for (const client of clients) client.close();
Deno.stdout.writeSync(
  new TextEncoder().encode(JSON.stringify({ refused, waitedMs, said }) + "\n"),
);
