/**
 * Where two values part: what `t.equal()` puts into the detail of its check.
 * @module
 */

import { hex } from "../../core/address.ts";

/** Bytes shown on each side of the first that differs. */
const WINDOW = 8;
/** Characters of a value before it is cut. */
const SHOWN = 200;

function asBytes(value: unknown): Uint8Array | null {
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) {
    return new Uint8Array(value);
  }
  return null;
}

/** A value on one line, cut when it is long. */
export function show(value: unknown): string {
  const text = Deno.inspect(value, {
    depth: 4,
    breakLength: Infinity,
    compact: true,
    iterableLimit: 20,
    strAbbreviateSize: SHOWN,
  });
  return text.length <= SHOWN ? text : `${text.slice(0, SHOWN)}…`;
}

/** Bytes around `at` in hexadecimal, the one at `at` in brackets. */
function around(bytes: Uint8Array, at: number): string {
  const start = Math.max(0, at - WINDOW);
  const end = Math.min(bytes.length, at + WINDOW);
  const shown: string[] = [];
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!.toString(16).padStart(2, "0");
    shown.push(i === at ? `[${byte}]` : byte);
  }
  if (at >= bytes.length) shown.push("[end]");
  return (start > 0 ? "… " : "") + shown.join(" ") + (end < bytes.length ? " …" : "");
}

function byteDifference(actual: Uint8Array, expected: Uint8Array): string | null {
  const shared = Math.min(actual.length, expected.length);
  let at = 0;
  while (at < shared && actual[at] === expected[at]) at++;
  if (at === actual.length && at === expected.length) return null;
  let differing = Math.abs(actual.length - expected.length);
  for (let i = at; i < shared; i++) if (actual[i] !== expected[i]) differing++;
  const lengths = actual.length === expected.length
    ? `of ${hex(actual.length)} bytes`
    : `, lengths ${hex(actual.length)} and ${hex(expected.length)}`;
  return `first difference at offset ${hex(at)}; ${differing} ${
    lengths.startsWith("of") ? lengths + " differ" : `bytes differ${lengths}`
  }\nactual    ${around(actual, at)}\nexpected  ${around(expected, at)}`;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function values(path: string, actual: unknown, expected: unknown): string {
  const at = path === "" ? "" : `at ${path}\n`;
  return `${at}actual    ${show(actual)}\nexpected  ${show(expected)}`;
}

/** Marks a pair as being compared, so that values that hold themselves end. */
type Open = Map<object, Set<object>>;

function objectDifference(
  path: string,
  actual: object,
  expected: object,
  open: Open,
): string | null {
  const others = open.get(actual);
  if (others?.has(expected)) return null;
  if (others === undefined) open.set(actual, new Set([expected]));
  else others.add(expected);

  if (Array.isArray(actual) && Array.isArray(expected)) {
    const shared = Math.min(actual.length, expected.length);
    for (let i = 0; i < shared; i++) {
      const found = differs(`${path}[${i}]`, actual[i], expected[i], open);
      if (found !== null) return found;
    }
    return actual.length === expected.length ? null : values(
      path,
      actual,
      expected,
    ) + `\nlengths   ${actual.length} and ${expected.length}`;
  }
  if (actual instanceof Map && expected instanceof Map) {
    return objectDifference(`${path}(entries)`, [...actual], [...expected], open);
  }
  if (actual instanceof Set && expected instanceof Set) {
    return objectDifference(`${path}(values)`, [...actual], [...expected], open);
  }
  if (actual instanceof Date && expected instanceof Date) {
    return Object.is(actual.getTime(), expected.getTime()) ? null : values(path, actual, expected);
  }
  if (isPlain(actual) && isPlain(expected)) {
    const keys = new Set([...Object.keys(expected), ...Object.keys(actual)]);
    for (const key of keys) {
      const inside = /^[A-Za-z_$][\w$]*$/.test(key)
        ? (path === "" ? key : `${path}.${key}`)
        : `${path}[${JSON.stringify(key)}]`;
      if (Object.hasOwn(actual, key) !== Object.hasOwn(expected, key)) {
        const missing = Object.hasOwn(actual, key) ? "expected" : "actual";
        return `at ${inside}: missing in ${missing}\nactual    ${show(actual)}\nexpected  ${
          show(expected)
        }`;
      }
      const found = differs(
        inside,
        (actual as Record<string, unknown>)[key],
        (expected as Record<string, unknown>)[key],
        open,
      );
      if (found !== null) return found;
    }
    return null;
  }
  return values(path, actual, expected);
}

function differs(path: string, actual: unknown, expected: unknown, open: Open): string | null {
  if (Object.is(actual, expected)) return null;
  // 0 and -0 are one number to whoever compares registers.
  if (actual === expected) return null;
  const actualBytes = asBytes(actual);
  const expectedBytes = asBytes(expected);
  if (actualBytes !== null && expectedBytes !== null) {
    const found = byteDifference(actualBytes, expectedBytes);
    return found === null || path === "" ? found : `at ${path}\n${found}`;
  }
  if (
    typeof actual !== "object" || typeof expected !== "object" || actual === null ||
    expected === null || actualBytes !== null || expectedBytes !== null
  ) {
    return values(path, actual, expected);
  }
  return objectDifference(path, actual, expected, open);
}

/**
 * Null when the two are equal: JSON-like values, arrays and plain objects by
 * content, bytes (typed arrays and buffers) by content, anything else by
 * identity. Otherwise where they first differ and both sides there, as lines.
 */
export function difference(actual: unknown, expected: unknown): string | null {
  return differs("", actual, expected, new Map());
}
