/**
 * A person at a guest's console: keys go to the guest, but for the one that leaves.
 * @module
 */

/** Ctrl-A, which begins what is not for the guest. */
const ESCAPE = 0x01;
const LEAVE: readonly number[] = [0x78, 0x58];

/** What keys come to. */
export interface Keys {
  /** For the guest. */
  readonly bytes: Uint8Array;
  /** Whether Ctrl-A X was among them; what follows it is dropped. */
  readonly leaves: boolean;
}

/** Finds Ctrl-A X in what is typed, also when it comes in two pieces. */
export class ConsoleKeys {
  #escaped = false;

  /** Takes the next keys. Ctrl-A twice is one for the guest; before any other key it is dropped. */
  take(typed: Uint8Array): Keys {
    const bytes: number[] = [];
    for (const key of typed) {
      if (!this.#escaped && key === ESCAPE) {
        this.#escaped = true;
        continue;
      }
      if (this.#escaped && LEAVE.includes(key)) {
        return { bytes: new Uint8Array(bytes), leaves: true };
      }
      this.#escaped = false;
      bytes.push(key);
    }
    return { bytes: new Uint8Array(bytes), leaves: false };
  }
}
