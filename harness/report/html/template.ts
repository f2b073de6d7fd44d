/**
 * Markup that is put together from text of anyone's: whatever is filled into a
 * template is escaped, unless it was made by a template itself.
 * @module
 */

/** Markup that may stand in a page as it is. Only {@linkcode html} and {@linkcode asset} make it. */
export class Html {
  /** The markup. */
  readonly text: string;

  private constructor(text: string) {
    this.text = text;
  }

  /** @internal */
  static of(text: string): Html {
    return new Html(text);
  }
}

/** What may be filled in. Null and arrays without items leave nothing. */
export type Part = Html | string | number | null | readonly Part[];

const REFERENCES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * What a page must not hold as it is: the characters of markup; control characters,
 * noncharacters and halves of surrogate pairs (HTML, 13.2.3.5); and those that turn the
 * direction of text round or end a line unseen, which make a command look like another one.
 */
const UNSAFE =
  /[&<>"'\p{Bidi_Control}\p{Zl}\p{Zp}\p{Cs}\p{Noncharacter_Code_Point}\ufeff]|(?![\t\n])\p{Cc}/gu;

function spelled(character: string): string {
  const digits = character.codePointAt(0)!.toString(16);
  return digits.length <= 4 ? `\\u${digits.padStart(4, "0")}` : `\\u{${digits}}`;
}

/** `text` for elements and for attributes in quotes. What cannot be seen is spelled out: `\u001b`. */
export function escapeText(text: string): string {
  return text.replace(UNSAFE, (character) => REFERENCES[character] ?? spelled(character));
}

function partText(part: Part): string {
  if (part === null) return "";
  if (part instanceof Html) return part.text;
  if (typeof part === "string") return escapeText(part);
  if (typeof part === "number") return String(part);
  return part.map(partText).join("");
}

/** Literal parts of each template as they are written: the indentation of our source is not the page's. */
const literals = new WeakMap<TemplateStringsArray, readonly string[]>();

function literalsOf(strings: TemplateStringsArray): readonly string[] {
  let known = literals.get(strings);
  if (known === undefined) {
    known = strings.map((literal) => literal.replace(/\s*\n\s*/g, "\n"));
    literals.set(strings, known);
  }
  return known;
}

/** A template of markup: html`<p>${anything}</p>`. Attributes are written in double quotes. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  const own = literalsOf(strings);
  let text = own[0]!;
  for (const [at, part] of parts.entries()) text += partText(part) + own[at + 1]!;
  return Html.of(text);
}

/**
 * A style sheet or a script of our own, in its element. Such elements hold no references, so
 * what ends them cannot be escaped.
 * @throws {Error} when `text` would end its element early
 */
export function asset(element: "style" | "script", text: string): Html {
  if (/<\/(?:style|script)|<!--/i.test(text)) {
    throw new Error(`Cannot put the ${element} into a page: it holds what would end its element`);
  }
  return Html.of(`<${element}>${text}</${element}>`);
}
