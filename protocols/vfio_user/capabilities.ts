/**
 * The JSON of VFIO_USER_VERSION: what each side can do, and what is in force once both have said it
 * (vfio-user, VFIO_USER_VERSION; spec/08 rules 7 and 8). Member names are those of the JSON.
 * @module
 */

import * as v from "valibot";
import { PAGE_SIZE } from "../../core/address.ts";
import { EINVAL_RESULT } from "./result.ts";
import { VfioUserDefault, VfioUserLimit } from "./spec.ts";

/**
 * Features of our own: in force only when both sides sent `{"supported": true}`. Neither of our sides
 * has any of them yet, so that neither sends one; what a peer sends of them is read and has no effect.
 */
export const EXTENSIONS = ["iommufd", "pasid", "page_request", "ats"] as const;

/** One of {@linkcode EXTENSIONS}. */
export type Extension = typeof EXTENSIONS[number];

/** What one side says of itself, with the specification's defaults for what it left out. */
export interface Capabilities {
  /** Descriptors it can receive in one message: 0 to 1024. */
  readonly max_msg_fds: number;
  /** Bytes of data that one read or write message to it may carry, at least 1. */
  readonly max_data_xfer_size: number;
  /** DMA ranges that may be mapped at one time, at least 1. */
  readonly max_dma_maps: number;
  /** Page sizes of DMA mappings, ORed. */
  readonly pgsizes: number;
  /** REGION_WRITE_MULTI is understood. */
  readonly write_multiple: boolean;
  /** Granule of dirty-page logging, and bytes of the largest bitmap; null when not named. */
  readonly migration: { readonly pgsize: number; readonly max_bitmap_size: number } | null;
  /** Server-to-client commands on a socket of their own; `fd_index` in a reply says which descriptor. */
  readonly twin_socket: { readonly supported: boolean; readonly fd_index: number | null };
  /** Which of our extensions it has. */
  readonly extensions: Readonly<Record<Extension, boolean>>;
}

/** What a peer that sends no JSON can do. */
export const DEFAULT_CAPABILITIES: Capabilities = {
  max_msg_fds: VfioUserDefault.MAX_MSG_FDS,
  max_data_xfer_size: VfioUserDefault.MAX_DATA_XFER_SIZE,
  max_dma_maps: VfioUserDefault.MAX_DMA_MAPS,
  pgsizes: VfioUserDefault.PGSIZES,
  write_multiple: false,
  migration: null,
  twin_socket: { supported: false, fd_index: null },
  extensions: { iommufd: false, pasid: false, page_request: false, ats: false },
};

/**
 * What we announce unless told otherwise: all the specification has, in sizes that QEMU accepts. What
 * is announced must be honoured (spec/08 rule 8), so that an extension is true here only when client
 * and server have it.
 */
export const OUR_CAPABILITIES: Capabilities = {
  max_msg_fds: 8,
  max_data_xfer_size: VfioUserDefault.MAX_DATA_XFER_SIZE,
  max_dma_maps: VfioUserDefault.MAX_DMA_MAPS,
  pgsizes: PAGE_SIZE,
  write_multiple: true,
  migration: { pgsize: PAGE_SIZE, max_bitmap_size: VfioUserDefault.MIGRATION_MAX_BITMAP_SIZE },
  twin_socket: { supported: true, fd_index: null },
  extensions: DEFAULT_CAPABILITIES.extensions,
};

/** Why a version exchange failed: the reply's negative errno, and a line for the log. */
export interface VersionFailure {
  readonly errno: number;
  readonly reason: string;
}

/** Whether {@linkcode parseVersionData} or {@linkcode negotiate} failed. */
export function isVersionFailure(result: object): result is VersionFailure {
  return "errno" in result;
}

function integer(least: number, most: number) {
  const right = `must be an integer from ${least} to ${most}`;
  return v.pipe(
    v.number(right),
    v.integer(right),
    v.minValue(least, right),
    v.maxValue(most, right),
  );
}

const positive = integer(1, Number.MAX_SAFE_INTEGER);
/** All ones of 64 bits as a number: one more than they are. Below it is the number with most of them set. */
const ALL_SIZES = 2 ** 64, MOST_SIZES = 2 ** 64 - 2048;
const flag = v.boolean("must be true or false");
const notObject = "must be an object";

/** `v.object()` alone lets arrays pass. */
function members<Entries extends v.ObjectEntries>(entries: Entries) {
  const isObject = (input: unknown): boolean =>
    typeof input === "object" && input !== null && !Array.isArray(input);
  return v.pipe(v.custom<Record<string, unknown>>(isObject, notObject), v.object(entries));
}

const supported = members({ supported: v.optional(flag, false) });

/** Members that are not named here are ignored, at every level. */
const VERSION_DATA = members({
  capabilities: v.optional(
    members({
      max_msg_fds: v.optional(integer(0, VfioUserLimit.MAX_MSG_FDS), VfioUserDefault.MAX_MSG_FDS),
      max_data_xfer_size: v.optional(positive, VfioUserDefault.MAX_DATA_XFER_SIZE),
      max_dma_maps: v.optional(positive, VfioUserDefault.MAX_DMA_MAPS),
      // A mask of 64 bits: more than a safe integer may be meant, and high bits do no harm.
      pgsizes: v.optional(integer(1, ALL_SIZES), VfioUserDefault.PGSIZES),
      write_multiple: v.optional(flag, false),
      migration: v.optional(
        members({
          pgsize: v.optional(positive, VfioUserDefault.MIGRATION_PGSIZE),
          max_bitmap_size: v.optional(positive, VfioUserDefault.MIGRATION_MAX_BITMAP_SIZE),
        }),
      ),
      twin_socket: v.optional(
        members({
          supported: v.optional(flag, false),
          fd_index: v.optional(integer(0, VfioUserLimit.MAX_MSG_FDS - 1)),
        }),
      ),
      iommufd: v.optional(supported),
      pasid: v.optional(supported),
      page_request: v.optional(supported),
      ats: v.optional(supported),
    }),
    {},
  ),
});

function failure(reason: string): VersionFailure {
  return { errno: EINVAL_RESULT, reason: `Cannot accept the version data: ${reason}` };
}

/**
 * Reads the JSON of a version message, without its NUL. No bytes at all, `{}`, and members we do not
 * know are fine. Anything broken or of a wrong type is EINVAL, with the reason.
 */
export function parseVersionData(bytes: Uint8Array): Capabilities | VersionFailure {
  if (bytes.length === 0) return DEFAULT_CAPABILITIES;
  if (bytes.length > VfioUserLimit.VERSION_DATA) {
    return failure(`it has ${bytes.length} bytes, at most ${VfioUserLimit.VERSION_DATA} are read`);
  }
  let json: unknown;
  try {
    // Copied: decode() takes no view of shared memory, which a receive buffer may be.
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.slice()));
  } catch (error) {
    return failure(error instanceof SyntaxError ? "it is no JSON" : "it is no UTF-8");
  }
  const result = v.safeParse(VERSION_DATA, json);
  if (!result.success) {
    const issue = result.issues[0];
    const where = v.getDotPath(issue) ?? "the whole";
    return failure(`${where} is ${excerpt(issue.input)}, ${issue.message}`);
  }
  const found = result.output.capabilities;
  return {
    max_msg_fds: found.max_msg_fds,
    max_data_xfer_size: found.max_data_xfer_size,
    max_dma_maps: found.max_dma_maps,
    pgsizes: Math.min(found.pgsizes, MOST_SIZES),
    write_multiple: found.write_multiple,
    migration: found.migration ?? null,
    twin_socket: {
      supported: found.twin_socket?.supported ?? false,
      fd_index: found.twin_socket?.fd_index ?? null,
    },
    extensions: {
      iommufd: found.iommufd?.supported ?? false,
      pasid: found.pasid?.supported ?? false,
      page_request: found.page_request?.supported ?? false,
      ats: found.ats?.supported ?? false,
    },
  };
}

/** A peer's value in a log line: short, and without control characters. */
function excerpt(value: unknown): string {
  // JSON leaves DEL, the controls behind it and the directions of writing as they are.
  const text = (JSON.stringify(value) ?? "missing").replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return text.length > 40 ? text.slice(0, 40) + "…" : text;
}

/** What holds between two sides. */
export interface Negotiated {
  /** Descriptors we may put into one message: what the peer can receive. */
  readonly maxSendFds: number;
  /** Descriptors we take in one message. */
  readonly maxReceiveFds: number;
  /** Bytes of data in one read or write message, either way. */
  readonly maxDataXferSize: number;
  /** DMA ranges mapped at one time. */
  readonly maxDmaMaps: number;
  /** Page sizes of DMA mappings, ORed: those that both sides know. */
  readonly pgsizes: number;
  /** REGION_WRITE_MULTI may be sent. */
  readonly writeMultiple: boolean;
  /** Dirty-page logging and migration; null when a side does not name it. */
  readonly migration: { readonly pgsize: number; readonly maxBitmapSize: number } | null;
  /** Both want server-to-client commands on a socket of their own. */
  readonly twinSocket: boolean;
  /** Which of our extensions are in force. */
  readonly extensions: Readonly<Record<Extension, boolean>>;
}

/**
 * What is in force between us and a peer. The same for server and client, so that both come to the
 * same values. EINVAL when the page sizes have nothing in common, or when both sides migrate with
 * different granules.
 */
export function negotiate(ours: Capabilities, theirs: Capabilities): Negotiated | VersionFailure {
  const pgsizes = Number(BigInt(ours.pgsizes) & BigInt(theirs.pgsizes));
  if (pgsizes === 0) {
    return failure(
      `capabilities.pgsizes is ${theirs.pgsizes}, must have a bit of ${ours.pgsizes}`,
    );
  }
  let migration: Negotiated["migration"] = null;
  if (ours.migration !== null && theirs.migration !== null) {
    const { pgsize } = ours.migration;
    if (theirs.migration.pgsize !== pgsize) {
      return failure(
        `capabilities.migration.pgsize is ${theirs.migration.pgsize}, must be ${pgsize}`,
      );
    }
    const maxBitmapSize = Math.min(
      ours.migration.max_bitmap_size,
      theirs.migration.max_bitmap_size,
    );
    migration = { pgsize, maxBitmapSize };
  }
  const both = (name: Extension): boolean => ours.extensions[name] && theirs.extensions[name];
  return {
    maxSendFds: theirs.max_msg_fds,
    maxReceiveFds: ours.max_msg_fds,
    maxDataXferSize: Math.min(ours.max_data_xfer_size, theirs.max_data_xfer_size),
    maxDmaMaps: Math.min(ours.max_dma_maps, theirs.max_dma_maps),
    pgsizes,
    writeMultiple: ours.write_multiple && theirs.write_multiple,
    migration,
    twinSocket: ours.twin_socket.supported && theirs.twin_socket.supported,
    extensions: {
      iommufd: both("iommufd"),
      pasid: both("pasid"),
      page_request: both("page_request"),
      ats: both("ats"),
    },
  };
}

/**
 * What a server replies once it knows what is in force: its limits, and of the features only those
 * that the client proposed (vfio-user: "must be a subset of those proposed"), which also keeps QEMU
 * from warning about ours. `twinFdIndex` is the client's end of the twin socket among the reply's
 * descriptors, or null when there is none.
 */
export function replyCapabilities(
  inForce: Negotiated,
  twinFdIndex: number | null,
): Capabilities {
  return {
    max_msg_fds: inForce.maxReceiveFds,
    max_data_xfer_size: inForce.maxDataXferSize,
    max_dma_maps: inForce.maxDmaMaps,
    pgsizes: inForce.pgsizes,
    write_multiple: inForce.writeMultiple,
    migration: inForce.migration === null ? null : {
      pgsize: inForce.migration.pgsize,
      max_bitmap_size: inForce.migration.maxBitmapSize,
    },
    twin_socket: { supported: inForce.twinSocket && twinFdIndex !== null, fd_index: twinFdIndex },
    extensions: inForce.extensions,
  };
}

/** The JSON of a version message, without the NUL that {@linkcode VERSION} adds. */
export function encodeVersionData(capabilities: Capabilities): Uint8Array<ArrayBuffer> {
  const { twin_socket, extensions, migration, write_multiple, ...limits } = capabilities;
  const json: Record<string, unknown> = { ...limits };
  if (write_multiple) json.write_multiple = true;
  if (migration !== null) json.migration = migration;
  if (twin_socket.supported) {
    json.twin_socket = twin_socket.fd_index === null ? { supported: true } : twin_socket;
  }
  for (const name of EXTENSIONS) {
    if (extensions[name]) json[name] = { supported: true };
  }
  return new TextEncoder().encode(JSON.stringify({ capabilities: json }));
}

/**
 * The client's half of the twin socket: which of the reply's `descriptors` is the socket, or null for
 * none. A reply that claims one and does not name it is EINVAL, and the client must close, since it
 * could miss commands (vfio-user, VFIO_USER_VERSION).
 */
export function twinSocketIndex(
  reply: Capabilities,
  descriptors: number,
): number | null | VersionFailure {
  const { supported, fd_index } = reply.twin_socket;
  if (!supported) return null;
  if (fd_index !== null && fd_index < descriptors) return fd_index;
  return failure(
    `capabilities.twin_socket.fd_index is ${
      fd_index ?? "missing"
    }, must be one of ${descriptors} descriptors`,
  );
}
