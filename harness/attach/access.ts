/**
 * Single accesses to a region, as a debugger makes them: a BAR that does not decode is
 * switched on for the access, and off again.
 * @module
 */

import { hex } from "../../core/address.ts";
import * as pci from "../../devices/pci/spec.ts";
import type { VfioUserClient } from "../../protocols/vfio_user/client/client.ts";
import type { RegionInfo } from "../../protocols/vfio_user/messages/region_info.ts";
import { VfioPciRegion, VfioRegionInfoFlags } from "../../protocols/vfio_user/vfio_spec.ts";
import { REGION_NAMES, regionName } from "./region_name.ts";

/** Bytes of an access. */
export type PeekSize = 1 | 2 | 4 | 8;

/** Where, and how wide. */
export interface Place {
  /** A region index. */
  readonly region: number;
  readonly offset: number;
  readonly size: PeekSize;
}

/** What was asked for is not there; the message says what is. */
export class PlaceError extends Error {
  override readonly name = "PlaceError";
}

const {
  VFIO_PCI_BAR5_REGION_INDEX: BAR5,
  VFIO_PCI_ROM_REGION_INDEX: ROM,
  VFIO_PCI_CONFIG_REGION_INDEX: CONFIG,
} = VfioPciRegion;
const { VFIO_REGION_INFO_FLAG_READ: READ, VFIO_REGION_INFO_FLAG_WRITE: WRITE } =
  VfioRegionInfoFlags;

/** `0x` and as many digits as the size has. */
export function formatValue(value: bigint, size: PeekSize): string {
  return hex(value, 2 * size);
}

/** Reads `count` values one after the other. `note` is told of what had to be done for it, once. */
export function peek(
  client: VfioUserClient,
  place: Place,
  count: number,
  note: (text: string) => void,
): readonly bigint[] {
  const info = checkedRegion(client, place, count, READ);
  return decoding(client, info, note, () => {
    const values: bigint[] = [];
    const bytes = new Uint8Array(8);
    for (let at = 0; at < count; at++) {
      bytes.fill(0);
      const into = bytes.subarray(0, place.size);
      client.wait(client.regions.read(place.region, place.offset + at * place.size, into));
      values.push(new DataView(bytes.buffer).getBigUint64(0, true));
    }
    return values;
  });
}

/** Stores the low bytes of `value`. `note` as in {@linkcode peek}. */
export function poke(
  client: VfioUserClient,
  place: Place,
  value: bigint,
  note: (text: string) => void,
): void {
  const info = checkedRegion(client, place, 1, WRITE);
  decoding(client, info, note, () => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    client.wait(
      client.regions.write(place.region, place.offset, bytes.subarray(0, place.size)),
    );
  });
}

function checkedRegion(
  client: VfioUserClient,
  { region, offset, size }: Place,
  count: number,
  right: number,
): Readonly<RegionInfo> {
  const { num_regions } = client.wait(client.deviceInfo());
  const name = regionName(region);
  const there = (): string => {
    const names: string[] = [];
    for (let index = 0; index < num_regions; index++) {
      const { info, descriptor } = client.wait(client.regions.info(index));
      descriptor?.close();
      if (info.size > 0) names.push(regionName(index));
    }
    return names.length === 0 ? "it has none" : `it has ${names.join(", ")}`;
  };
  if (region >= num_regions) throw new PlaceError(`The device has no region ${name}; ${there()}`);
  const { info, descriptor } = client.wait(client.regions.info(region));
  descriptor?.close();
  if (info.size === 0) throw new PlaceError(`The device has no region ${name}; ${there()}`);
  if (offset + size * count > info.size) {
    const accesses = count === 1 ? `${size} bytes` : `${count} times ${size} bytes`;
    throw new PlaceError(
      `Cannot access ${accesses} at ${hex(offset)} of ${name}: it has ${hex(info.size)} bytes`,
    );
  }
  if ((info.flags & right) === 0) {
    throw new PlaceError(
      `Cannot ${right === READ ? "read" : "write"} ${name}: its flags do not allow it`,
    );
  }
  return info;
}

/** Runs `body` with the region answering, and puts the registers back. */
function decoding<T>(
  client: VfioUserClient,
  { index }: Readonly<RegionInfo>,
  note: (text: string) => void,
  body: () => T,
): T {
  if (index > ROM) return body();
  const two = new Uint8Array(2);
  client.wait(client.regions.read(CONFIG, pci.PCI_COMMAND, two));
  const command = (two[0] ?? 0) | (two[1] ?? 0) << 8;
  let needed: number = pci.PCI_COMMAND_MEMORY;
  if (index <= BAR5) {
    const bar = new Uint8Array(4);
    client.wait(client.regions.read(CONFIG, pci.PCI_BASE_ADDRESS_0 + 4 * index, bar));
    if (((bar[0] ?? 0) & pci.PCI_BASE_ADDRESS_SPACE_IO) !== 0) needed = pci.PCI_COMMAND_IO;
  }
  if ((command & needed) !== 0) return body();
  const set = (value: number): void => {
    const bytes = new Uint8Array([value & 0xff, value >> 8]);
    client.wait(client.regions.write(CONFIG, pci.PCI_COMMAND, bytes));
  };
  const space = needed === pci.PCI_COMMAND_IO ? "I/O" : "Memory";
  note(
    `${REGION_NAMES[index]} does not answer, ${space} Space is off (command register ` +
      `${hex(command, 4)}): on for this command alone`,
  );
  set(command | needed);
  try {
    return body();
  } finally {
    if (client.failure === null) set(command);
  }
}
