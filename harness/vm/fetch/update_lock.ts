/**
 * Writes `packages.lock` anew from the newest packages of the host's mirror:
 * `deno run -A harness/vm/fetch/update_lock.ts`.
 * @module
 */

import { Terminal } from "../../cli/terminal.ts";
import { cacheFolder } from "./cache.ts";
import { COMPILER, GUEST, QEMU } from "./component.ts";
import { fetchComponent } from "./fetch.ts";
import { type PackagePin, writeLock } from "./package_lock.ts";
import { TerminalListener } from "./terminal_listener.ts";

if (import.meta.main) {
  const listener = new TerminalListener(new Terminal(Deno.stderr));
  const components: { [name: string]: readonly PackagePin[] } = {};
  for (const component of [COMPILER, GUEST, QEMU]) {
    const { packages } = await fetchComponent(component, {
      cache: cacheFolder(),
      lock: {},
      network: "newest",
      listener,
    });
    components[component.name] = packages;
  }
  await writeLock(components);
  listener.end();
}
