/**
 * Waiting for something for so long and no longer.
 * @module
 */

/** What `promise` gives, or `otherwise` after `ms` milliseconds. */
export async function within<T, O>(promise: Promise<T>, ms: number, otherwise: O): Promise<T | O> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<O>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
