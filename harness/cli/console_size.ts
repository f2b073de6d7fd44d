/**
 * The size of a person's terminal, for the guest whose console it shows: its shell breaks lines there.
 * @module
 */

import type { Guest } from "../vm/guest.ts";

/** Tells the guest the terminal's size, now and whenever that changes. @returns what ends it, when the guest knows */
export async function followConsoleSize(guest: Pick<Guest, "run">): Promise<() => void> {
  const tell = async (): Promise<void> => {
    try {
      const { rows, columns } = Deno.consoleSize();
      await guest.run(`stty -F /dev/console rows ${rows} cols ${columns}`);
    } catch {
      // Either end has gone, which whoever is at the console sees by himself.
    }
  };
  Deno.addSignalListener("SIGWINCH", tell);
  await tell();
  return () => Deno.removeSignalListener("SIGWINCH", tell);
}
