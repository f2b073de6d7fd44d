/**
 * The filter language of the box in the top bar, one for every list:
 * `command:DMA_MAP errno:!0 region:0 len:>4096 "two words"`.
 *
 * Terms are and'ed. A term with a key looks at that column: equal, or with `*`
 * as a wildcard; `!` turns it round; `<`, `<=`, `>`, `>=` compare numbers, also in
 * hexadecimal. A term without a key is looked for in every column. Case never counts.
 *
 * @module
 */

/** A row as the filter sees it: what its columns say, by key. */
export type Columns = Readonly<Record<string, string | number | null | undefined>>;

/** One term of a filter. */
export interface Term {
  /** Empty for a term that looks at every column. */
  readonly key: string;
  readonly negated: boolean;
  readonly operator: "is" | "<" | "<=" | ">" | ">=";
  /** In lower case. */
  readonly value: string;
}

/** A filter, ready to be used on rows. */
export interface Filter {
  readonly terms: readonly Term[];
  /** Whether a row passes. */
  matches(row: Columns): boolean;
}

const TOKEN = /(?:([a-z][\w-]*):)?(!?)(<=|>=|<|>)?(?:"([^"]*)"?|(\S+))/giy;

/** Reads a filter. Never fails: what is no term of a known form is text to look for. */
export function parseFilter(text: string): Filter {
  const terms: Term[] = [];
  let at = 0;
  while (at < text.length) {
    if (/\s/.test(text[at]!)) {
      at++;
      continue;
    }
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) {
      at++;
      continue;
    }
    at = TOKEN.lastIndex;
    const [, key, not, operator, quoted, bare] = match;
    const value = (quoted ?? bare ?? "").toLowerCase();
    if (value === "") continue;
    terms.push({
      key: (key ?? "").toLowerCase(),
      negated: not === "!",
      operator: key === undefined ? "is" : (operator ?? "is") as Term["operator"],
      value,
    });
  }
  const tests = terms.map(testOf);
  return { terms, matches: (row) => tests.every((test) => test(row)) };
}

function testOf(term: Term): (row: Columns) => boolean {
  const { key, negated, operator, value } = term;
  if (key === "") {
    return (row) => Object.values(row).some((cell) => text(cell).includes(value)) !== negated;
  }
  if (operator !== "is") {
    const limit = number(value);
    return (row) => {
      const cell = number(text(row[key]));
      const holds = operator === "<"
        ? cell < limit
        : operator === "<="
        ? cell <= limit
        : operator === ">"
        ? cell > limit
        : cell >= limit;
      return holds !== negated;
    };
  }
  if (value.includes("*")) {
    const parts = value.split("*");
    return (row) => holdsParts(text(row[key]), parts) !== negated;
  }
  const wanted = number(value);
  return (row) => {
    const cell = text(row[key]);
    return (cell === value || (cell !== "" && number(cell) === wanted)) !== negated;
  };
}

/** Whether `cell` is `parts` in their order, with anything between them. No regular expression: those can be made to run for ever. */
function holdsParts(cell: string, parts: readonly string[]): boolean {
  const first = parts[0]!;
  const last = parts[parts.length - 1]!;
  if (cell.length < first.length + last.length) return false;
  if (!cell.startsWith(first) || !cell.endsWith(last)) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = cell.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= cell.length - last.length;
}

function text(cell: Columns[string]): string {
  return cell === null || cell === undefined ? "" : String(cell).toLowerCase();
}

/** NaN, which equals nothing, for what is no number. */
function number(value: string): number {
  return value === "" ? NaN : Number(value.replaceAll("_", ""));
}
