/**
 * Bytes as people look at them.
 * @module
 */

/** Lines of offset, 16 bytes in hexadecimal, and their characters. `digits` are two a byte. */
export function hexDump(digits: string): string {
  const lines: string[] = [];
  for (let at = 0; at < digits.length; at += 32) {
    const bytes = digits.slice(at, at + 32).match(/../g) ?? [];
    const text = bytes.map((byte) => {
      const code = parseInt(byte, 16);
      return code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : ".";
    }).join("");
    const left = bytes.slice(0, 8).join(" ").padEnd(23);
    const right = bytes.slice(8).join(" ").padEnd(23);
    lines.push(`${(at / 2).toString(16).padStart(4, "0")}  ${left}  ${right}  ${text}`);
  }
  return lines.join("\n");
}
