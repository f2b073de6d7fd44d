/**
 * The command line of `deno task serve`: flags to values, or a message that says what would be right.
 * @module
 */

import { Command, InvalidArgumentError } from "@commander-js/extra-typings";
import { readCommandLine } from "./command_line.ts";
import { DASHBOARD_FLAG, dashboardPort, withPort } from "./dashboard_port.ts";
import { UsageError } from "./usage_error.ts";

/** How the server's thread waits: `off`, `auto`, or microseconds. */
export type Spin = "off" | "auto" | number;

/** A command line that makes sense. */
export interface ServeCommand {
  /** Names and paths, at least one. */
  readonly devices: readonly string[];
  readonly socketDir: string;
  readonly spin: Spin;
  /** File that every message is written to, or null. */
  readonly messages: string | null;
  /** Port of the dashboard, 0 for any that is free; null without one. */
  readonly dashboard: number | null;
}

const MAX_SPIN_US = 1_000_000;

function spin(text: string): Spin {
  if (text === "off" || text === "auto") return text;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= 0 && value <= MAX_SPIN_US) return value;
  throw new InvalidArgumentError(
    `It is off, auto, or a number of microseconds from 0 to ${MAX_SPIN_US}.`,
  );
}

function path(text: string): string {
  if (text === "") throw new InvalidArgumentError("It must be a path.");
  return text;
}

function command(names: readonly string[]) {
  return new Command("deno task serve")
    .description(
      "Serves each device on a vfio-user socket of its own, and prints how to plug them into QEMU.",
    )
    .argument(
      "<DEVICE...>",
      `devices: ${
        names.join(", ")
      }, or files (with a / or ending with .ts) that export one made by defineDevice()`,
    )
    .requiredOption(
      "--socket-dir <D>",
      "where the sockets go, D/DEVICE.sock; made when absent",
      path,
    )
    .option(
      "--spin <HOW>",
      "off, auto, or microseconds to look before going to sleep",
      spin,
      "auto",
    )
    .option("--messages <F>", "write every message: as text, or for Wireshark to F.pcapng", path)
    .option(
      DASHBOARD_FLAG,
      "watch the devices in a browser, as --dashboard=PORT; any free port unless told",
      dashboardPort,
    )
    .option("--iommu", "put the devices behind a virtio-iommu (not built yet)")
    .option("--net <BACKEND>", "back end of virtio-net (not built yet)")
    .addHelpText(
      "after",
      "\nPrints `ready` when all listen, and the dashboard's link on stderr. SIGINT and SIGTERM end it and remove the sockets." +
        "\nExit codes: 0 ended, 2 usage, 3 internal, 130 interrupted",
    );
}

/**
 * Reads `args`. Null when help was asked for and has been given to `print`.
 * @param names of the devices that need no path
 * @throws {UsageError} that says what would be right
 */
export function parseServeCommand(
  args: readonly string[],
  names: readonly string[],
  print: (text: string) => void,
): ServeCommand | null {
  const parser = command(names);
  if (readCommandLine(parser, args.map(withPort), print) === "help") return null;
  const flags = parser.opts();
  if (flags.iommu !== undefined) {
    throw new UsageError(
      "Cannot serve with --iommu: it needs a virtio-iommu, which is not built yet; leave it out",
    );
  }
  if (flags.net !== undefined) {
    throw new UsageError(
      "Cannot serve with --net: it needs a virtio-net, which is not built yet; leave it out",
    );
  }
  return {
    devices: parser.args,
    socketDir: flags.socketDir,
    spin: flags.spin as Spin,
    messages: flags.messages ?? null,
    dashboard: typeof flags.dashboard === "number" ? flags.dashboard : null,
  };
}
