/**
 * Values that strangers have thrown, as text: a device model, a scenario and a peer's library may
 * throw anything, and looking at it may throw again.
 * @module
 */

/** What stands for a value that cannot be looked at. */
export const UNSHOWABLE = "a value that cannot be shown";

/** Characters of {@linkcode thrownMessage} at most, without the note that it was cut. */
const MESSAGE_LIMIT = 4096;

/** What `look` gives, or undefined when it throws. */
export function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

/** `text` as it is, or its first `limit` characters and a note of how many there were. */
export function shortened(text: string, limit: number): string {
  if (text.length <= limit) return text;
  return `${text.slice(0, limit).toWellFormed()}… (${text.length} characters)`;
}

/**
 * What a thrown value says: an error's message, anything else as a string. Never throws, whatever
 * the value is, and never gives more than a few thousand characters.
 */
export function thrownMessage(thrown: unknown): string {
  // As a whole once more: where the stack is used up, even what follows may throw.
  return attempt(() => {
    const message = attempt(() => ownMessage(thrown));
    if (message !== undefined && message !== "") return shortened(message, MESSAGE_LIMIT);
    const text = attempt(() => String(thrown)) ?? UNSHOWABLE;
    return text === "" ? "an empty string" : shortened(text, MESSAGE_LIMIT);
  }) ?? UNSHOWABLE;
}

/** The name of a thrown error, `Error` for what has none. Never throws. */
export function thrownName(thrown: unknown): string {
  const name = attempt(() => (thrown as { readonly name?: unknown } | null | undefined)?.name);
  return typeof name === "string" && name !== "" ? shortened(name, 100) : "Error";
}

function ownMessage(thrown: unknown): string | undefined {
  if (typeof thrown !== "object" || thrown === null) return undefined;
  const { message } = thrown as { readonly message?: unknown };
  return typeof message === "string" ? message : undefined;
}
