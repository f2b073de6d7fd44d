/**
 * What a function's registers say, read as its driver could read them: configuration space, BARs,
 * the MSI-X table. None of these reads has a side effect.
 * @module
 */

import type { BarIndex, BarLayout } from "../../devices/pci/pci_device.ts";
import type { PciTarget } from "../../devices/pci/pci_driver.ts";
import * as spec from "../../devices/pci/spec.ts";
import type { BarReport, DeviceDetail, MsixReport } from "./observation.ts";

/** Bytes of configuration space that are read. */
const CONFIG_SIZE = 256;
/** Vectors whose entries are read. */
const MAX_ROWS = 64;
/** Capabilities that are followed: a list that a guest's write bent must not go on for ever. */
const MAX_CAPABILITIES = 48;
/** Characters of `inspect()`, as JSON, beyond which it is left out. */
export const MAX_INSPECT: number = 256 * 1024;

/** What a device model says of itself, where the model is at hand. */
export interface DeviceShape {
  readonly bars: readonly BarLayout[];
}

/** A function whose model lives elsewhere, and of whose BARs more is known than registers say. */
export interface SizedTarget extends PciTarget {
  /** Bytes of a BAR; null when there is none, and for the upper half of a wide one. */
  barSize(bar: BarIndex): number | null;
  /**
   * The registers for who only looks on, where a driver's way there is a part of the run: a look
   * leaves no message among the run's, and fails at once where a driver would wait.
   */
  readonly onlooker?: Pick<PciTarget, "configRead" | "barRead">;
}

function isSized(target: PciTarget): target is SizedTarget {
  return "barSize" in target;
}

/**
 * Reads the function. `shape` is null when its model lives elsewhere: then sizes are known of a
 * {@linkcode SizedTarget} alone, since a BAR's own answer would take writes to it.
 */
export async function readDetail(
  target: PciTarget,
  shape: DeviceShape | null,
): Promise<DeviceDetail> {
  const registers = (isSized(target) ? target.onlooker : undefined) ?? target;
  const config = new Uint8Array(CONFIG_SIZE);
  const view = new DataView(config.buffer);
  for (let at = 0; at < CONFIG_SIZE; at += 4) {
    view.setUint32(at, await registers.configRead(at, 4), true);
  }
  return {
    endpoint: target.endpoint,
    config: [...config].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
    bars: readBars(view, shape, (bar) => isSized(target) ? target.barSize(bar) : null),
    msix: await readMsix(registers, view),
    inspect: plainJson(await target.inspect()),
  };
}

function readBars(
  config: DataView,
  shape: DeviceShape | null,
  sizeOf: (bar: BarIndex) => number | null,
): BarReport[] {
  const bars: BarReport[] = [];
  for (let index = 0; isBar(index); index++) {
    const layout = shape?.bars.find((bar) => bar.index === index);
    const low = config.getUint32(spec.PCI_BASE_ADDRESS_0 + 4 * index, true);
    if (shape !== null && layout === undefined) continue;
    const size = layout?.size ?? sizeOf(index);
    if (low === 0 && size === null) continue;
    const io = (low & spec.PCI_BASE_ADDRESS_SPACE_IO) !== 0;
    const wide = !io &&
      (low & spec.PCI_BASE_ADDRESS_MEM_TYPE_MASK) === spec.PCI_BASE_ADDRESS_MEM_TYPE_64 &&
      index + 1 < spec.PCI_STD_NUM_BARS;
    const flags = io ? spec.PCI_BASE_ADDRESS_IO_FLAGS : spec.PCI_BASE_ADDRESS_MEM_FLAGS;
    const high = wide ? config.getUint32(spec.PCI_BASE_ADDRESS_0 + 4 * index + 4, true) : 0;
    const address = high * 2 ** 32 + ((low & ~flags) >>> 0);
    bars.push({
      index,
      kind: layout?.kind ?? (io ? "io" : wide ? "mmio64" : "mmio32"),
      // An upper half of all ones is what sizing leaves behind, and no address.
      address: address === 0 || !Number.isSafeInteger(address) ? null : address,
      size,
      prefetchable: !io && (low & spec.PCI_BASE_ADDRESS_MEM_PREFETCH) !== 0,
    });
    if (wide) index++;
  }
  return bars;
}

async function readMsix(
  target: Pick<PciTarget, "barRead">,
  config: DataView,
): Promise<MsixReport | null> {
  const at = findCapability(config, spec.PCI_CAP_ID_MSIX);
  if (at === null) return null;
  const control = config.getUint16(at + spec.PCI_MSIX_FLAGS, true);
  const where = config.getUint32(at + spec.PCI_MSIX_TABLE, true);
  const pendingWhere = config.getUint32(at + spec.PCI_MSIX_PBA, true);
  const bar = where & 7, pendingBar = pendingWhere & 7;
  const vectors = (control & spec.PCI_MSIX_FLAGS_QSIZE) + 1;
  const rows: MsixReport["rows"][number][] = [];
  if (isBar(bar) && isBar(pendingBar)) {
    const table = (where & ~7) >>> 0, pending = (pendingWhere & ~7) >>> 0;
    let word = 0;
    for (let vector = 0; vector < Math.min(vectors, MAX_ROWS); vector++) {
      const entry = table + vector * spec.PCI_MSIX_ENTRY_SIZE;
      const read = (offset: number): Promise<number> => target.barRead(bar, entry + offset, 4);
      if (vector % 32 === 0) word = await target.barRead(pendingBar, pending + vector / 8, 4);
      const low = await read(spec.PCI_MSIX_ENTRY_LOWER_ADDR);
      const high = await read(spec.PCI_MSIX_ENTRY_UPPER_ADDR);
      rows.push({
        vector,
        // What is wider than an address can be is cut; a guest may write anything there.
        address: (high & 0xf_ffff) * 2 ** 32 + low,
        data: await read(spec.PCI_MSIX_ENTRY_DATA),
        masked: (await read(spec.PCI_MSIX_ENTRY_VECTOR_CTRL) & spec.PCI_MSIX_ENTRY_CTRL_MASKBIT) !==
          0,
        pending: (word >>> vector % 32 & 1) !== 0,
      });
    }
  }
  return {
    enabled: (control & spec.PCI_MSIX_FLAGS_ENABLE) !== 0,
    functionMasked: (control & spec.PCI_MSIX_FLAGS_MASKALL) !== 0,
    vectors,
    bar,
    rows,
  };
}

function isBar(index: number): index is 0 | 1 | 2 | 3 | 4 | 5 {
  return index < spec.PCI_STD_NUM_BARS;
}

function findCapability(config: DataView, id: number): number | null {
  if ((config.getUint16(spec.PCI_STATUS, true) & spec.PCI_STATUS_CAP_LIST) === 0) return null;
  let at = config.getUint8(spec.PCI_CAPABILITY_LIST) & ~3;
  for (let seen = 0; at >= 0x40 && at <= CONFIG_SIZE - 12 && seen < MAX_CAPABILITIES; seen++) {
    if (config.getUint8(at + spec.PCI_CAP_LIST_ID) === id) return at;
    at = config.getUint8(at + spec.PCI_CAP_LIST_NEXT) & ~3;
  }
  return null;
}

/** A model's state as JSON, whatever it holds; null when it is none or too long. */
function plainJson(value: unknown): DeviceDetail["inspect"] {
  try {
    const text = JSON.stringify(
      value,
      (_, part: unknown) => typeof part === "bigint" ? `0x${part.toString(16)}` : part,
    );
    if (text === undefined || text.length > MAX_INSPECT) return null;
    const parsed = JSON.parse(text) as unknown;
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return null;
    return parsed as DeviceDetail["inspect"];
  } catch {
    return null;
  }
}
