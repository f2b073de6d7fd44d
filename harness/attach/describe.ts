/**
 * What a vfio-user server says of itself, its regions and its interrupts, as text.
 * @module
 */

import { hex, hexRange } from "../../core/address.ts";
import { errnoName } from "../../protocols/linux/errno.ts";
import { VfioUserError } from "../../protocols/vfio_user/client/client_error.ts";
import type { VfioUserClient } from "../../protocols/vfio_user/client/client.ts";
import type { Ticket } from "../../protocols/vfio_user/client/ticket.ts";
import { EXTENSIONS } from "../../protocols/vfio_user/capabilities.ts";
import {
  VfioDeviceFeature,
  VfioDeviceFlags,
  VfioIrqInfoFlags,
  VfioMigrationFlags,
  VfioRegionInfoFlags,
} from "../../protocols/vfio_user/vfio_spec.ts";
import { columns, flagWords, irqName, regionName } from "./region_name.ts";

/** The answer, or null when the server refuses: a table goes on without it. */
function unlessRefused<T>(client: VfioUserClient, ticket: Ticket<T>): T | { refused: string } {
  try {
    return client.wait(ticket);
  } catch (error) {
    if (error instanceof VfioUserError && error.code === "refused") {
      return { refused: errnoName(error.errno) };
    }
    throw error;
  }
}

function isRefused<T>(answer: T | { refused: string }): answer is { refused: string } {
  return typeof answer === "object" && answer !== null && "refused" in answer;
}

const yes = (is: boolean): string => is ? "yes" : "no";

/** Version, what is in force between us, and the device. */
export function describeServer(client: VfioUserClient): string {
  const { version, inForce } = client.session;
  const device = client.wait(client.deviceInfo());
  const { migration } = inForce;
  const flags = client.wait(
      client.features.probe(VfioDeviceFeature.VFIO_DEVICE_FEATURE_MIGRATION),
    )
    ? unlessRefused(client, client.features.migrationFlags())
    : 0;
  const logging = client.wait(
    client.features.probe(VfioDeviceFeature.VFIO_DEVICE_FEATURE_DMA_LOGGING_START),
  );
  const extensions = EXTENSIONS.filter((name) => inForce.extensions[name]);
  return columns([
    ["version", `${version.major}.${version.minor}`],
    ["device", flagWords(device.flags, VfioDeviceFlags, /^VFIO_DEVICE_FLAGS_/)],
    ["regions", `${device.num_regions}`],
    ["interrupt types", `${device.num_irqs}`],
    ["max_msg_fds", `${inForce.maxSendFds} to the server, ${inForce.maxReceiveFds} from it`],
    ["max_data_xfer_size", `${inForce.maxDataXferSize}`],
    ["max_dma_maps", `${inForce.maxDmaMaps}`],
    ["pgsizes", hex(inForce.pgsizes)],
    ["write_multiple", yes(inForce.writeMultiple)],
    ["twin_socket", yes(client.hasTwinSocket)],
    [
      "migration",
      migration === null
        ? "no"
        : `pgsize ${migration.pgsize}, max_bitmap_size ${migration.maxBitmapSize}`,
    ],
    [
      "migration states",
      isRefused(flags)
        ? flags.refused
        : flagWords(Number(flags), VfioMigrationFlags, /^VFIO_MIGRATION_/),
    ],
    ["dirty-page logging", yes(logging)],
    ["extensions", extensions.length === 0 ? "-" : extensions.join(",")],
  ]);
}

/** A line for each region: index, name, size, flags, and the parts that can be mapped. */
export function describeRegions(client: VfioUserClient): string {
  const { num_regions } = client.wait(client.deviceInfo());
  const rows = [["index", "name", "size", "flags", "mmap"]];
  for (let index = 0; index < num_regions; index++) {
    const answer = unlessRefused(client, client.regions.info(index));
    if (isRefused(answer)) {
      rows.push([`${index}`, regionName(index), "-", answer.refused, "-"]);
      continue;
    }
    const { info, descriptor } = answer;
    const mappable = (info.flags & VfioRegionInfoFlags.VFIO_REGION_INFO_FLAG_MMAP) !== 0;
    const areas = info.sparse?.map(({ offset, size }) => hexRange(offset, size)).join(" ") ??
      hexRange(0, info.size);
    const mmap = !mappable ? "-" : descriptor === null ? `${areas} (no descriptor came)` : areas;
    descriptor?.close();
    rows.push([
      `${index}`,
      regionName(index),
      info.size === 0 ? "-" : hex(info.size),
      info.size === 0 ? "-" : flagWords(info.flags, VfioRegionInfoFlags, /^VFIO_REGION_INFO_FLAG_/),
      mmap,
    ]);
  }
  return columns(rows);
}

/** A line for each interrupt type: index, name, count, flags. */
export function describeIrqs(client: VfioUserClient): string {
  const { num_irqs } = client.wait(client.deviceInfo());
  const rows = [["index", "name", "count", "flags"]];
  for (let index = 0; index < num_irqs; index++) {
    const answer = unlessRefused(client, client.irqs.info(index));
    if (isRefused(answer)) rows.push([`${index}`, irqName(index), "-", answer.refused]);
    else {
      const flags = flagWords(answer.flags, VfioIrqInfoFlags, /^VFIO_IRQ_INFO_/);
      rows.push([`${index}`, irqName(index), `${answer.count}`, flags]);
    }
  }
  return columns(rows);
}
