/**
 * `deno task serve` as a process of its own, for tests that plug its devices into QEMU.
 * @module
 */

import { fromFileUrl, join } from "@std/path";
import { TextLineStream } from "./_text_lines.ts";
import { vfioUserPci } from "../../harness/vm/vfio_user_pci.ts";
import type { Vm } from "../../harness/vm/vm.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));

/** A server that listens. */
export interface Served extends AsyncDisposable {
  readonly pid: number;
  /** Where the device of this type is. */
  socket(type: string): string;
  /** Ends it at once, without a chance to say goodbye. */
  kill(): Promise<void>;
}

/** Starts a server, and waits until it listens. */
export async function serve(folder: string, ...args: readonly string[]): Promise<Served> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      join(ROOT, "harness/cli/serve.ts"),
      ...args,
      "--socket-dir",
      folder,
    ],
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextLineStream()).getReader();
  for (;;) {
    const { value, done } = await lines.read();
    if (done) throw new Error("Cannot serve: the server has ended");
    if (value === "ready") break;
  }
  await lines.cancel();
  const end = async (signal: Deno.Signal): Promise<void> => {
    try {
      child.kill(signal);
    } catch {
      // It has ended.
    }
    await child.status;
  };
  return {
    pid: child.pid,
    socket: (type) => join(folder, `${type}.sock`),
    kill: () => end("SIGKILL"),
    [Symbol.asyncDispose]: () => end("SIGTERM"),
  };
}

/** QEMU's arguments for the device behind a socket. */
export function plugged(socket: string, properties: Record<string, unknown> = {}): string[] {
  return ["-device", JSON.stringify(vfioUserPci(socket, properties))];
}

/** Switches the function's memory space on, as a driver does, and gives its first BAR's address. */
export async function enable(vm: Vm, device: string): Promise<string> {
  const { stdout } = await vm.guest.run(
    `cd /sys/bus/pci/devices/${device} && echo 1 > enable && sed -n 1p resource`,
  );
  return stdout.split(" ")[0]!;
}
