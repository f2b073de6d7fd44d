/**
 * A client of a vfio-user server that maps memory, says so, and stays: for a test that kills it.
 * Its argument is the socket.
 * @module
 */

import { ClientMemory } from "../conformance/vfio_user/host.ts";
import { blocking, RawClient } from "../conformance/vfio_user/raw_client.ts";
import { dmaMap } from "../conformance/vfio_user/wire.ts";

const client = RawClient.connect(Deno.args[0]!, blocking);
client.negotiate({ max_msg_fds: 8 });
const memory = new ClientMemory();
const { errno } = client.call(2, dmaMap(0x4000, 0x2000), [memory.fd]);
Deno.stdout.writeSync(new TextEncoder().encode(`mapped ${errno}\n`));
await new Promise(() => setInterval(() => {}, 1000));
