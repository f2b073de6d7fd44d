/**
 * The host's own apt sources (sources.list(5)), in both forms: where its Debian
 * packages come from is where ours come from.
 * @module
 */

/** One repository as the host's sources name it. */
export interface AptSource {
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
  /** The value of Signed-By: key files, or a key itself with its line breaks. Null when not given. */
  readonly signedBy: string | null;
}

/** Reads a `.list` file. What is no `deb` line is passed over, as apt does with comments. */
export function parseListFile(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const raw of text.split("\n")) {
    const line = raw.replace(/#.*/, "").trim();
    const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)(?:\s+(.*))?$/.exec(line);
    if (match === null) continue;
    const [, options = "", uri, suite, components = ""] = match;
    sources.push({
      uri: uri!,
      suite: suite!,
      components: components.split(/\s+/).filter((word) => word !== ""),
      signedBy: /(?:^|\s)signed-by=(\S+)/.exec(options)?.[1]?.replaceAll(",", " ") ?? null,
    });
  }
  return sources;
}

/** Reads a deb822 `.sources` file: one source for each pair of URI and suite. */
export function parseSourcesFile(text: string): AptSource[] {
  const sources: AptSource[] = [];
  const lines = text.split("\n").filter((line) => !line.startsWith("#"));
  for (const stanza of lines.join("\n").split(/\n(?:[ \t]*\n)+/)) {
    const fields = stanzaFields(stanza);
    const words = (name: string): string[] =>
      (fields.get(name) ?? "").split(/\s+/).filter((word) => word !== "");
    if (!words("types").includes("deb")) continue;
    if (/^(?:no|false|without|off|disable|0)$/i.test(fields.get("enabled") ?? "yes")) continue;
    for (const uri of words("uris")) {
      for (const suite of words("suites")) {
        sources.push({
          uri,
          suite,
          components: words("components"),
          signedBy: fields.get("signed-by") ?? null,
        });
      }
    }
  }
  return sources;
}

/** Fields by lower-case name. Lines that begin with a blank go on with the field before. */
function stanzaFields(stanza: string): Map<string, string> {
  const fields = new Map<string, string>();
  let last = "";
  for (const line of stanza.split("\n")) {
    const match = /^([A-Za-z-]+):\s*(.*)$/.exec(line);
    if (match !== null) {
      last = match[1]!.toLowerCase();
      fields.set(last, match[2]!.trimEnd());
    } else if (/^[ \t]/.test(line) && last !== "") {
      fields.set(last, `${fields.get(last)}\n${line.trimEnd()}`);
    }
  }
  return fields;
}

/** Suites that every full mirror of Debian carries beside the release itself. */
const MOVING_SUITES = ["oldstable", "stable", "testing", "unstable", "sid"];

/**
 * The sources that are mirrors of Debian itself, in the host's order, each address
 * once: those that carry `codename` (the host's release) or a moving suite, with `main`.
 * Security, updates and third parties' repositories hold only parts of it.
 */
export function debianMirrors(sources: readonly AptSource[], codename: string): AptSource[] {
  const mirrors = new Map<string, AptSource>();
  for (const source of sources) {
    const whole = source.suite === codename || MOVING_SUITES.includes(source.suite);
    if (!whole || !source.components.includes("main")) continue;
    if (source.uri.startsWith("cdrom:")) continue;
    const address = source.uri.replace(/\/*$/, "");
    if (!mirrors.has(address)) mirrors.set(address, source);
  }
  return [...mirrors.values()];
}
