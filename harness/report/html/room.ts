/**
 * Limits on text, so that no scenario makes a report too long to open.
 * @module
 */

/** Characters that are left of a text whatever else was said. */
const LEAST = 160;

/** Its first `length` characters, and no half of a surrogate pair. */
function start(text: string, length: number): string {
  const cut = text.slice(0, length);
  return /[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut;
}

/** Its last `length` characters, and no half of a surrogate pair. */
function end(text: string, length: number): string {
  const cut = length === 0 ? "" : text.slice(-length);
  return /^[\udc00-\udfff]/.test(cut) ? cut.slice(1) : cut;
}

/** At most `most` characters of a name, on one line: cut in its middle, since both ends tell names apart. */
export function shortName(name: string, most: number): string {
  const line = name.replaceAll("\n", " ");
  if (line.length <= most) return line;
  const back = Math.floor((most - 1) / 2);
  return `${start(line, most - 1 - back)}…${end(line, back)}`;
}

/** Hands out room for texts until there is none. */
export class Room {
  #left: number;

  /** `characters` in all; each text gets a line even when they are used up. */
  constructor(characters: number) {
    this.#left = characters;
  }

  /** `text`, or about `most` characters of it: its beginning, how much is left out, and its end. */
  take(text: string, most: number): string {
    const limit = Math.max(LEAST, Math.min(most, this.#left));
    if (text.length <= limit) {
      this.#left -= text.length;
      return text;
    }
    this.#left -= limit;
    const back = Math.floor(limit / 4);
    const left = text.length - limit;
    return `${start(text, limit - back)}\n(${left} characters left out)\n${end(text, back)}`;
  }
}
