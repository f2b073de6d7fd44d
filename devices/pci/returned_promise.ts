/**
 * Promises where a device model may not give one.
 * @module
 */

/**
 * Whether `value` is a promise. From then on its rejection does no harm: `rejected` is told of it.
 * Looks at no property of what is no promise: it may be a stranger's.
 */
export function isPromise(value: unknown, rejected: (cause: unknown) => void): boolean {
  if (typeof value !== "object" || value === null) return false;
  try {
    Promise.prototype.then.call(value as Promise<unknown>, undefined, rejected);
    return true;
  } catch {
    return false;
  }
}
