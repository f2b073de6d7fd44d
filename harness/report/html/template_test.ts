import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { asset, escapeText, html } from "./template.ts";

Deno.test("html escapes what is filled in, in elements and in attributes", () => {
  const hostile = `</script><img src=x onerror="alert(1)">'&amp;`;
  assertEquals(
    html`<p title="${hostile}">${hostile}</p>`.text,
    `<p title="&lt;/script&gt;&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&#39;&amp;amp;">` +
      `&lt;/script&gt;&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&#39;&amp;amp;</p>`,
  );
});

Deno.test("html takes templates as they are, joins lists, and leaves nothing for null", () => {
  const items = ["<a>", "b"].map((name) => html`<li>${name}</li>`);
  assertEquals(
    html`<ul>${items}</ul>${null}${[]}${7}`.text,
    "<ul><li>&lt;a&gt;</li><li>b</li></ul>7",
  );
});

Deno.test("html keeps the indentation of source out of the page, and that of text in it", () => {
  assertEquals(
    html`
      <pre>${"a\n    b"}</pre>
    `.text,
    "\n<pre>a\n    b</pre>\n",
  );
});

Deno.test("escapeText() spells out what cannot be seen", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["tab\tand\nline", "tab\tand\nline"],
    ["\u0000\u001b[31m\r", "\\u0000\\u001b[31m\\u000d"],
    ["\u007f\u0085\u009f", "\\u007f\\u0085\\u009f"],
    ["rm\u202e gpj.x", "rm\\u202e gpj.x"],
    ["\u2066\u2069\u200f\u061c", "\\u2066\\u2069\\u200f\\u061c"],
    ["\u2028\u2029\ufeff", "\\u2028\\u2029\\ufeff"],
    ["\ud800 \udc00", "\\ud800 \\udc00"],
    ["\ufffe\uffff\ufdd0\u{1fffe}", "\\ufffe\\uffff\\ufdd0\\u{1fffe}"],
    ["😀 é ל", "😀 é ל"],
  ];
  for (const [text, escaped] of cases) assertEquals(escapeText(text), escaped);
});

Deno.test("escapeText() leaves no character that could end an element or an attribute", () => {
  const unit = fc.oneof(
    fc.constantFrom("<", ">", "&", '"', "'", "\n", "amp;"),
    fc.string({ unit: "binary", maxLength: 1 }),
  );
  fc.assert(fc.property(fc.string({ unit, maxLength: 100 }), (text) => {
    const escaped = escapeText(text);
    assert(!/[<>"']/.test(escaped), escaped);
    assert(/^(?:[^&]|&(?:amp|lt|gt|quot|#39);)*$/.test(escaped), escaped);
    assert(escaped.isWellFormed());
  }));
});

Deno.test("asset() refuses what would end its element", () => {
  assertEquals(asset("style", "p{}").text, "<style>p{}</style>");
  for (const text of ["</script>", "</STYLE >", "<!-- "]) assertThrows(() => asset("script", text));
});
