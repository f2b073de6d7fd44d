/**
 * VFIO_USER_DEVICE_GET_INFO and VFIO_USER_DEVICE_RESET (vfio-user; spec/08 rules 9 and 26).
 * @module
 */

import { VfioUserCommand } from "../spec.ts";
import type { Fields } from "../structure.ts";
import { VFIO_DEVICE_INFO } from "../vfio_spec.ts";
import { type Empty, EMPTY_REPLY, EMPTY_REQUEST, type MessageCodec, sizedBody } from "./codec.ts";

/** `struct vfio_device_info`, by the names of its fields. */
export type DeviceInfo = Fields<keyof typeof VFIO_DEVICE_INFO.at>;

/** VFIO_USER_DEVICE_GET_INFO. A short body or an argsz below 16 is EINVAL. */
export const DEVICE_GET_INFO: MessageCodec<DeviceInfo, DeviceInfo> = {
  command: VfioUserCommand.VFIO_USER_DEVICE_GET_INFO,
  name: "VFIO_USER_DEVICE_GET_INFO",
  request: sizedBody(VFIO_DEVICE_INFO),
  reply: sizedBody(VFIO_DEVICE_INFO),
};

/** VFIO_USER_DEVICE_RESET: no body either way. */
export const DEVICE_RESET: MessageCodec<Empty, Empty> = {
  command: VfioUserCommand.VFIO_USER_DEVICE_RESET,
  name: "VFIO_USER_DEVICE_RESET",
  request: EMPTY_REQUEST,
  reply: EMPTY_REPLY,
};
