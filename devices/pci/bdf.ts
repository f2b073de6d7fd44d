/**
 * Requester IDs: bus << 8 | device << 3 | function, 16 bits (PCIe 4.0, 2.2.6.2).
 * @module
 */

/** Devices of a bus. */
export const DEVICES_PER_BUS = 32;
/** Functions of a device. */
export const FUNCTIONS_PER_DEVICE = 8;

/** The requester ID of a function. @throws {RangeError} when a part is out of range */
export function requesterId(bus: number, device: number, fn = 0): number {
  if (
    !isBelow(bus, 256) || !isBelow(device, DEVICES_PER_BUS) || !isBelow(fn, FUNCTIONS_PER_DEVICE)
  ) {
    throw new RangeError(
      `Cannot make a requester ID of bus ${bus}, device ${device}, function ${fn}: ` +
        `they are below 256, ${DEVICES_PER_BUS} and ${FUNCTIONS_PER_DEVICE}`,
    );
  }
  return bus << 8 | device << 3 | fn;
}

/** Device number of a requester ID. */
export function deviceOf(id: number): number {
  return id >> 3 & DEVICES_PER_BUS - 1;
}

/** Function number of a requester ID. */
export function functionOf(id: number): number {
  return id & FUNCTIONS_PER_DEVICE - 1;
}

/** `bb:dd.f` in hexadecimal, as lspci prints it. */
export function formatRequesterId(id: number): string {
  const two = (value: number): string => value.toString(16).padStart(2, "0");
  return `${two(id >> 8 & 0xff)}:${two(deviceOf(id))}.${functionOf(id)}`;
}

/** The requester ID that {@linkcode formatRequesterId} prints as `text`. @throws {SyntaxError} */
export function parseRequesterId(text: string): number {
  const match = /^([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$/i.exec(text);
  if (match === null) {
    throw new SyntaxError(
      `Cannot parse requester ID ${JSON.stringify(text)}: it looks like 00:03.0`,
    );
  }
  const [, bus = "", device = "", fn = ""] = match;
  return requesterId(parseInt(bus, 16), parseInt(device, 16), Number(fn));
}

function isBelow(value: number, limit: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < limit;
}
