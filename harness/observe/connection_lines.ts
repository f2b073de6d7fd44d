/**
 * Lines of text over a connection.
 * @module
 */

/** Bounds of {@linkcode linesOf}. */
export interface LineBounds {
  /** Bytes that are read at once. */
  readonly chunk: number;
  /** Characters of a line that has not ended after which nothing more is read. */
  readonly limit: number;
}

/**
 * The lines that have ended, after each read: none at times. Ends when the connection does or breaks,
 * or at a line that is too long. Never throws.
 */
export async function* linesOf(
  connection: Pick<Deno.Conn, "read">,
  { chunk, limit }: LineBounds,
): AsyncGenerator<readonly string[]> {
  const decoder = new TextDecoder();
  const bytes = new Uint8Array(chunk);
  // The pieces of a line that has not ended.
  let pieces: string[] = [];
  let length = 0;
  for (;;) {
    const read = await connection.read(bytes).catch(() => null);
    if (read === null) return;
    const lines = decoder.decode(bytes.subarray(0, read), { stream: true }).split("\n");
    const rest = lines.pop()!;
    if (lines.length > 0) {
      lines[0] = pieces.join("") + lines[0]!;
      pieces = [];
      length = 0;
    }
    pieces.push(rest);
    length += rest.length;
    yield lines;
    if (length > limit) return;
  }
}
