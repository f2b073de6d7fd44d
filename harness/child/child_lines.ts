/**
 * Parts a child's output stream into protocol lines, which begin with the nonce,
 * and all the rest, which a scenario has printed.
 * @module
 */

import { MAX_LINE } from "./child_protocol.ts";

/** Takes bytes as they come, and gives lines and text in their order. */
export class ChildLines {
  readonly #decoder = new TextDecoder();
  #rest = "";
  /** A line break that a message in front of which nothing stood would take with it. */
  #heldBreak = false;

  /** `message` gets what follows the nonce and a space; `text` gets what else was printed. */
  constructor(
    private readonly nonce: string,
    private readonly message: (line: string) => void,
    private readonly text: (text: string) => void,
  ) {}

  push(bytes: Uint8Array): void {
    this.#take(this.#decoder.decode(bytes, { stream: true }));
  }

  /** The stream has ended: what is left of it is text. */
  end(): void {
    this.#take(this.#decoder.decode());
    if (this.#rest !== "") this.#print(this.#rest);
    this.#rest = "";
  }

  #take(part: string): void {
    const lines = part.split("\n");
    lines[0] = this.#rest + lines[0]!;
    this.#rest = lines.pop()!;
    for (const line of lines) this.#line(line);
    if (this.#rest.length <= MAX_LINE) return;
    // Too long for a message, which is to be known as one that cannot be read.
    if (this.#rest.startsWith(`${this.nonce} `)) this.#line(this.#rest);
    else this.#print(this.#rest);
    this.#rest = "";
  }

  #line(line: string): void {
    if (line.startsWith(`${this.nonce} `)) {
      this.#heldBreak = false;
      this.message(line.slice(this.nonce.length + 1));
    } else if (line === "" && !this.#heldBreak) {
      // A message brings an empty line in front of it; until more is known it is not text.
      this.#heldBreak = true;
    } else {
      this.#print(`${line}\n`);
    }
  }

  #print(text: string): void {
    if (this.#heldBreak) this.text("\n");
    this.#heldBreak = false;
    this.text(text);
  }
}
