/**
 * Serves one device until its stdin ends. Arguments: the socket's path; `edu` or `bulk`; how the
 * reactor waits, `off`, `auto` or microseconds. Prints `ready` when it listens.
 * @module
 */

import { Edu } from "../../../devices/edu/edu.ts";
import { POLLIN } from "../../../protocols/linux/libc.ts";
import { startServer } from "../../../protocols/vfio_user/server/start_server.ts";
import { BulkDevice } from "./bulk_device.ts";

const [path, device, spin] = Deno.args as [string, string, string];
using started = startServer({
  path,
  device: device === "edu" ? new Edu() : new BulkDevice(),
  spin: spin === "off" || spin === "auto" ? spin : Number(spin),
});
const { reactor } = started;
// Nobody writes there: that it is ready means that it has ended.
const stdin = reactor.add(0, POLLIN, () => {
  stdin.remove();
  reactor.stop();
});
Deno.stdout.writeSync(new TextEncoder().encode("ready\n"));
reactor.run();
