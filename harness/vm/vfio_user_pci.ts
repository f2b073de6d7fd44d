/**
 * QEMU's own vfio-user client, `vfio-user-pci`: a device that is served elsewhere.
 * @module
 */

/** Milliseconds that QEMU waits for a reply before it gives the connection up (spec/09 rule 6). */
const MESSAGE_TIMEOUT_MS = 60_000;

/**
 * The device behind the socket at `path`, for `-device` as JSON and for `device_add`. `properties`
 * are others of QEMU's, like `addr`.
 */
export function vfioUserPci(
  path: string,
  properties: Readonly<Record<string, unknown>> = {},
): { readonly driver: string; readonly [property: string]: unknown } {
  return {
    driver: "vfio-user-pci",
    socket: { path, type: "unix" },
    "x-msg-timeout": MESSAGE_TIMEOUT_MS,
    ...properties,
  };
}
