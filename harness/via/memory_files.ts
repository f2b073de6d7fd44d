/**
 * The memory files that this process has open and mapped, as the kernel sees it: what
 * guest RAM is shared by. Other descriptors come and go with the runtime's own.
 * @module
 */

/** How many of each there are. */
export function memoryFiles(): ReadonlyMap<string, number> {
  let open = 0;
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      if (Deno.readLinkSync(`/proc/self/fd/${name}`).startsWith("/memfd:")) open++;
    } catch {
      // The directory's own descriptor.
    }
  }
  const maps = Deno.readTextFileSync("/proc/self/maps");
  const mapped = maps.match(/ \/memfd:/g)?.length ?? 0;
  return new Map([["memory files open", open], ["memory files mapped", mapped]]);
}
