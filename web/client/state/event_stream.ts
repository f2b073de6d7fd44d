/**
 * Reads `text/event-stream` from a response. The browser's own EventSource hides
 * when it will try again, and gives up for good on a 503; the page has to show the
 * one and survive the other.
 * @module
 */

/** One event of a stream. */
export interface StreamEvent {
  /** `message` when the server named none. */
  readonly type: string;
  readonly data: string;
  /** The last ID that was given, in this event or before; empty when none was. */
  readonly id: string;
}

/** Takes the stream apart, however it was cut into pieces (HTML, 9.2.6). */
export class EventStreamParser {
  /** What has come of a line that has no end yet, in pieces: a line may be long, and pieces many. */
  #rest: string[] = [];
  #type = "";
  #data: string[] = [];
  #id = "";

  /** The events that are complete now that `chunk` has come. */
  push(chunk: string): StreamEvent[] {
    const events: StreamEvent[] = [];
    const isWhole = this.#rest.at(-1)?.endsWith("\r") || /[\r\n]/.test(chunk);
    this.#rest.push(chunk);
    if (!isWhole) return events;
    const text = this.#rest.join("");
    const end = /\r\n|\n|\r/g;
    let start = 0;
    for (let match = end.exec(text); match !== null; match = end.exec(text)) {
      // A CR at the end may be half of CR LF: wait for what follows.
      if (match[0] === "\r" && end.lastIndex === text.length) break;
      this.#line(text.slice(start, match.index), events);
      start = end.lastIndex;
    }
    this.#rest = start === text.length ? [] : [text.slice(start)];
    return events;
  }

  #line(line: string, events: StreamEvent[]): void {
    if (line === "") {
      if (this.#data.length > 0) {
        const type = this.#type === "" ? "message" : this.#type;
        events.push({ type, data: this.#data.join("\n"), id: this.#id });
      }
      this.#type = "";
      this.#data = [];
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#type = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
  }
}
