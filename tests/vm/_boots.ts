/**
 * Boots a machine, prints QEMU's process ID, and stays: for a test that kills it.
 * @module
 */

import { Vm } from "../../harness/vm/vm.ts";

const vm = await Vm.start();
Deno.stdout.writeSync(new TextEncoder().encode(`${vm.pid}\n`));
await vm.ended;
