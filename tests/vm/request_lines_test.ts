import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import fc from "fast-check";
import { decodeBase64, encodeBase64 } from "../../harness/vm/base64.ts";
import { SILENT } from "../../harness/vm/fetch/listener.ts";
import { findCompiler } from "../../harness/vm/image/compiler.ts";
import { vmTest } from "./_machine.ts";

/** What request.h promises, as one would write it here. */
function model(line: string): string {
  const field =
    /^[ \t\r]*"([A-Za-z0-9+/=-]*)"[ \t\r]*:[ \t\r]*(?:"([A-Za-z0-9+/=-]*)"|([0-9]+))[ \t\r]*/;
  const open = /^[ \t\r]*\{/.exec(line);
  if (open === null) return "refused";
  let rest = line.slice(open[0].length);
  let text = "";
  for (let count = 1;; count++) {
    const match = field.exec(rest);
    if (match === null || count > 8) return "refused";
    const [whole, name, string, number] = match;
    if (number !== undefined && BigInt(number) > 2n ** 53n) return "refused";
    if (number !== undefined) text += `${name}:${BigInt(number)} `;
    else text += `${name}:"${string}"${shownBytes(string!)} `;
    rest = rest.slice(whole.length);
    if (/^\}[ \t\r]*$/.test(rest)) return text;
    if (!rest.startsWith(",")) return "refused";
    rest = rest.slice(1);
  }
}

function shownBytes(text: string): string {
  const bytes = decodeBase64(text);
  if (bytes === null) return "-1=";
  return `${bytes.length}=${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

const piece = fc.oneof(
  fc.constantFrom("{", "}", ",", ":", '"', " ", "\t", "\\", "null", "-1", "[", "\u00e9"),
  fc.constantFrom("0", "7", "9007199254740992", "9007199254740993", "99999999999999999999999"),
  fc.stringMatching(/^"[A-Za-z0-9+/=-]{0,9}"$/),
  fc.uint8Array({ maxLength: 9 }).map((bytes) => `"${encodeBase64(bytes)}"`),
);
const object = fc.array(
  fc.tuple(
    fc.stringMatching(/^[a-z]{1,5}$/),
    fc.oneof(
      fc.maxSafeNat().map(String),
      fc.constantFrom("9007199254740992", "9007199254740993", "18446744073709551617", "-1", "1.5"),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => `"${encodeBase64(bytes)}"`),
      fc.stringMatching(/^"[A-Za-z0-9+/=-]{0,9}"$/),
    ),
  ),
  { maxLength: 10 },
).map((fields) => `{${fields.map(([name, value]) => `"${name}":${value}`).join(",")}}`);
const line = fc.oneof(
  object,
  fc.array(piece, { maxLength: 14 }).map((pieces) => pieces.join("")),
  // An object with one character put in, or cut short.
  fc.tuple(object, fc.nat(60), fc.constantFrom('"', ",", "}", ":", "\\", "")).map(
    ([text, at, extra]) => text.slice(0, at) + extra + (extra === "" ? "" : text.slice(at)),
  ),
);

vmTest(
  "the guest's agent takes just the lines that request.h says, and what base64 there is",
  async () => {
    const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
    try {
      const compiler = await findCompiler({ network: "allowed", listener: SILENT });
      const sources = [
        new URL("request_lines.c", import.meta.url),
        new URL("../../harness/vm/guest/request.c", import.meta.url),
        new URL("../../harness/vm/guest/base64.c", import.meta.url),
      ];
      await compiler.compile(sources.map((source) => fromFileUrl(source)), `${folder}/lines`);
      await fc.assert(
        fc.asyncProperty(fc.array(line, { minLength: 200, maxLength: 200 }), async (lines) => {
          const process = new Deno.Command(`${folder}/lines`, { stdin: "piped", stdout: "piped" })
            .spawn();
          const writer = process.stdin.getWriter();
          await writer.write(new TextEncoder().encode(lines.map((line) => line + "\n").join("")));
          await writer.close();
          const { code, stdout } = await process.output();
          assertEquals(code, 0);
          const answers = new TextDecoder().decode(stdout).split("\n").slice(0, -1);
          assertEquals(answers, lines.map(model));
        }),
        { numRuns: 20 },
      );
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
