/**
 * A device's registers as they were, with somebody coming by at each access.
 * @module
 */

import type { PciTarget } from "../../devices/pci/pci_driver.ts";

/** The target; `breathe` is called after each access has been made, and before it is waited for. */
export function watchedTarget(target: PciTarget, breathe: () => void): PciTarget {
  const seen = <T>(done: Promise<T>): Promise<T> => {
    breathe();
    return done;
  };
  return {
    endpoint: target.endpoint,
    configRead: (offset, size) => seen(target.configRead(offset, size)),
    configWrite: (offset, size, value) => seen(target.configWrite(offset, size, value)),
    barRead: (bar, offset, size) => seen(target.barRead(bar, offset, size)),
    barWrite: (bar, offset, size, value) => seen(target.barWrite(bar, offset, size, value)),
    barRead64: (bar, offset) => seen(target.barRead64(bar, offset)),
    barWrite64: (bar, offset, value) => seen(target.barWrite64(bar, offset, value)),
    takeInterrupts: (vector) => seen(target.takeInterrupts(vector)),
    intxAsserted: () => seen(target.intxAsserted()),
    reset: () => seen(target.reset()),
    inspect: () => seen(target.inspect()),
  };
}
