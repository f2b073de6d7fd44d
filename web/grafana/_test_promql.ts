/**
 * Reads the part of PromQL that our Grafana dashboard is written in, strictly: what it does not
 * know is an error, and so is a rate of something that is no range.
 * @module
 */

/** Series that an expression asks for. */
export interface Selector {
  readonly metric: string;
  /** Labels that it compares, with what. */
  readonly matchers: readonly { readonly label: string; readonly value: string }[];
  /** The range in brackets; null for an instant. */
  readonly range: string | null;
  /** Function that is applied to it directly, if any. */
  readonly under: string | null;
}

/** What an expression is made of. */
export interface Query {
  readonly selectors: readonly Selector[];
  /** Labels of each aggregation, of those that name some. */
  readonly groupings: readonly (readonly string[])[];
  /** Labels that the result has besides those of the series; null when it has all of theirs. */
  readonly resultLabels: readonly string[] | null;
}

type Kind = "number" | "vector" | "range";

interface Part {
  readonly kind: Kind;
  /** Labels left by an aggregation; null where the series keep theirs. */
  readonly labels: readonly string[] | null;
}

const AGGREGATIONS = new Set(["sum", "max", "min", "avg", "count"]);
const FUNCTIONS: Readonly<Record<string, readonly Kind[]>> = {
  rate: ["range"],
  increase: ["range"],
  histogram_quantile: ["number", "vector"],
  label_values: ["vector"],
};
const TOKEN =
  /\s*(?:(?<name>[a-zA-Z_:][\w:]*)|(?<number>\d+(?:\.\d+)?)|(?<text>"(?:[^"\\]|\\.)*")|(?<range>\[[^\]]*\])|(?<sign>=~|!~|!=|[=(){},+*/-]))/y;

/** Reads an expression. @throws {Error} where it is not one */
export function parsePromQl(text: string): Query {
  const parser = new Parser(text);
  const { labels } = parser.whole();
  return { selectors: parser.selectors, groupings: parser.groupings, resultLabels: labels };
}

class Parser {
  readonly selectors: Selector[] = [];
  readonly groupings: (readonly string[])[] = [];
  readonly #text: string;
  #at = 0;
  #token: RegExpExecArray["groups"] | null = null;
  #under: string | null = null;

  constructor(text: string) {
    this.#text = text;
    this.#advance();
  }

  whole(): Part {
    const part = this.#sum();
    if (this.#token !== null) this.#fail("nothing more");
    return part;
  }

  #advance(): void {
    TOKEN.lastIndex = this.#at;
    const match = TOKEN.exec(this.#text);
    if (match === null && this.#text.slice(this.#at).trim() !== "") this.#fail("a token");
    this.#token = match?.groups ?? null;
    if (match !== null) this.#at = TOKEN.lastIndex;
  }

  #fail(wanted: string): never {
    throw new Error(`Cannot read ${this.#text}: ${wanted} expected before ${this.#at}`);
  }

  /** Whether the token is `sign`; then it is taken. */
  #took(sign: string): boolean {
    if (this.#token?.["sign"] !== sign) return false;
    this.#advance();
    return true;
  }

  #need(sign: string): void {
    if (!this.#took(sign)) this.#fail(sign);
  }

  #name(): string {
    const name = this.#token?.["name"];
    if (name === undefined) this.#fail("a name");
    this.#advance();
    return name;
  }

  #sum(): Part {
    let part = this.#term();
    while (["+", "-", "*", "/"].includes(this.#token?.["sign"] ?? "")) {
      this.#advance();
      const other = this.#term();
      if (part.kind === "range" || other.kind === "range") this.#fail("no range in arithmetic");
      if (String(part.labels) !== String(other.labels)) this.#fail("both sides by the same labels");
      part = { kind: "vector", labels: part.labels };
    }
    return part;
  }

  #term(): Part {
    if (this.#took("(")) {
      const part = this.#sum();
      this.#need(")");
      return part;
    }
    if (this.#token?.["number"] !== undefined) {
      this.#advance();
      return { kind: "number", labels: null };
    }
    const name = this.#name();
    if (AGGREGATIONS.has(name)) return this.#aggregation();
    if (Object.hasOwn(FUNCTIONS, name)) return this.#call(name);
    return this.#selector(name);
  }

  #aggregation(): Part {
    let labels: readonly string[] = [];
    if (this.#token?.["name"] === "by") {
      this.#advance();
      labels = this.#labels();
      this.groupings.push(labels);
    }
    this.#need("(");
    if (this.#sum().kind !== "vector") this.#fail("a vector to aggregate");
    this.#need(")");
    return { kind: "vector", labels };
  }

  #labels(): string[] {
    const labels: string[] = [];
    this.#need("(");
    do labels.push(this.#name()); while (this.#took(","));
    this.#need(")");
    return labels;
  }

  #call(name: string): Part {
    this.#need("(");
    let labels: readonly string[] | null = null;
    const wanted = FUNCTIONS[name]!;
    for (const [at, kind] of wanted.entries()) {
      if (at > 0) this.#need(",");
      this.#under = name;
      const part = this.#sum();
      this.#under = null;
      if (part.kind !== kind) this.#fail(`a ${kind} as argument ${at + 1} of ${name}`);
      if (kind !== "number") labels = part.labels;
    }
    if (name === "label_values") {
      this.#need(",");
      this.groupings.push([this.#name()]);
    }
    this.#need(")");
    if (name !== "histogram_quantile" || labels === null) return { kind: "vector", labels };
    if (!labels.includes("le")) this.#fail("buckets grouped by le");
    return { kind: "vector", labels: labels.filter((label) => label !== "le") };
  }

  #selector(metric: string): Part {
    const matchers: { label: string; value: string }[] = [];
    if (this.#took("{")) {
      do {
        const label = this.#name();
        if (!["=", "!=", "=~", "!~"].includes(this.#token?.["sign"] ?? "")) this.#fail("=");
        this.#advance();
        const value = this.#token?.["text"];
        if (value === undefined) this.#fail("a text");
        this.#advance();
        matchers.push({ label, value: value.slice(1, -1) });
      } while (this.#took(","));
      this.#need("}");
    }
    const range = this.#token?.["range"] ?? null;
    if (range !== null) this.#advance();
    this.selectors.push({ metric, matchers, range, under: this.#under });
    return { kind: range === null ? "vector" : "range", labels: null };
  }
}
