/**
 * The command line of `deno task vm`: flags to values, or a message that says what would be right.
 * @module
 */

import { Command, Option } from "@commander-js/extra-typings";
import { readCommandLine } from "./command_line.ts";
import { DASHBOARD_FLAG, dashboardPort, withPort } from "./dashboard_port.ts";
import { integer } from "./integer.ts";

/** A command line that makes sense. */
export interface VmCommand {
  /** Names and paths of devices; may be none. */
  readonly devices: readonly string[];
  readonly iommu: "none" | "intel" | "virtio";
  readonly accelerator: "tcg" | "kvm";
  readonly network: "allowed" | "never";
  readonly memoryMib: number;
  readonly cpus: number;
  /** Port of the dashboard, 0 for any that is free; null without one. */
  readonly dashboard: number | null;
}

const DEFAULT_MEMORY_MIB = 512;

function collect(device: string, before: readonly string[]): readonly string[] {
  return [...before, device];
}

function command(names: readonly string[]) {
  return new Command("deno task vm")
    .description(
      "Boots a Linux guest in a stock QEMU with the devices plugged in, and leaves you at its console.",
    )
    .addOption(
      new Option(
        "-d, --device <DEVICE>",
        `one of ${
          names.join(", ")
        }, or a file (with a / or ending with .ts) that exports a device made by ` +
          "defineDevice(); may be given more than once",
      ).argParser(collect).default([] as readonly string[], "edu"),
    )
    .addOption(
      new Option("--iommu <KIND>", "QEMU's IOMMU in front of the devices")
        .choices(["none", "intel", "virtio"] as const)
        .default("none" as const),
    )
    .option("--offline", "use what has been fetched before, and no network")
    .option("--kvm", "run on the processor itself: faster, where it works")
    .option(
      "--memory <MIB>",
      "RAM of the guest",
      integer("A size", 128, 16384),
      DEFAULT_MEMORY_MIB,
    )
    .option("--cpus <N>", "processors of the guest", integer("A number", 1, 16), 1)
    .option(
      DASHBOARD_FLAG,
      "watch the devices in a browser, as --dashboard=PORT; any free port unless told",
      dashboardPort,
    )
    .addHelpText(
      "after",
      "\nThe dashboard's link is printed before the guest boots." +
        "\nCtrl-A X leaves; Ctrl-A Ctrl-A is Ctrl-A for the guest. Input that is no terminal is typed" +
        "\nat the guest's shell, and at its end the guest switches itself off." +
        "\nQEMU and the guest's kernel are fetched the first time, some 100 MB, to ~/.cache/viaduct" +
        "\nor $VIADUCT_CACHE; nothing is installed." +
        "\nExit codes: 0 left, 1 no machine can be had or QEMU failed, 2 usage, 3 internal, 130 interrupted",
    );
}

/**
 * Reads `args`. Null when help was asked for and has been given to `print`.
 * @param names of the devices that need no path
 * @throws {UsageError} that says what would be right
 */
export function parseVmCommand(
  args: readonly string[],
  names: readonly string[],
  print: (text: string) => void,
): VmCommand | null {
  const parser = command(names);
  if (readCommandLine(parser, args.map(withPort), print) === "help") return null;
  const flags = parser.opts();
  return {
    devices: flags.device.length === 0 ? ["edu"] : flags.device,
    iommu: flags.iommu,
    accelerator: flags.kvm === true ? "kvm" : "tcg",
    network: flags.offline === true ? "never" : "allowed",
    memoryMib: flags.memory,
    cpus: flags.cpus,
    dashboard: typeof flags.dashboard === "number" ? flags.dashboard : null,
  };
}
