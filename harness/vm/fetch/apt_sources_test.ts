import { assertEquals } from "@std/assert";
import { debianMirrors, parseListFile, parseSourcesFile } from "./apt_sources.ts";

Deno.test("parseListFile() reads one-line entries with and without options", () => {
  assertEquals(
    parseListFile(`# a comment
deb http://mirror.example/debian bookworm main contrib # trailing
deb [ arch=amd64 signed-by=/a.gpg,/b.gpg ] https://mirror.example/d trixie main
deb-src http://mirror.example/debian bookworm main
deb http://flat.example/ ./
`),
    [
      {
        uri: "http://mirror.example/debian",
        suite: "bookworm",
        components: ["main", "contrib"],
        signedBy: null,
      },
      {
        uri: "https://mirror.example/d",
        suite: "trixie",
        components: ["main"],
        signedBy: "/a.gpg /b.gpg",
      },
      { uri: "http://flat.example/", suite: "./", components: [], signedBy: null },
    ],
  );
});

Deno.test("parseSourcesFile() reads deb822 stanzas: every URI with every suite", () => {
  const sources = parseSourcesFile(`Types: deb deb-src
# http://comment.example/
URIs: http://one.example/debian http://two.example/debian
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb-src
URIs: http://sources.example/
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example/
Suites: bookworm
Components: main
`);
  assertEquals(sources.map((source) => [source.uri, source.suite]), [
    ["http://one.example/debian", "bookworm"],
    ["http://one.example/debian", "bookworm-updates"],
    ["http://two.example/debian", "bookworm"],
    ["http://two.example/debian", "bookworm-updates"],
  ]);
  assertEquals(sources[0]!.signedBy, "/usr/share/keyrings/debian-archive-keyring.gpg");
});

Deno.test("parseSourcesFile() keeps the lines of a key that stands in Signed-By", () => {
  const [source] = parseSourcesFile(`Types: deb
URIs: http://one.example/
Suites: trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEZ
 -----END PGP PUBLIC KEY BLOCK-----
`);
  assertEquals(
    source!.signedBy,
    "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEZ\n -----END PGP PUBLIC KEY BLOCK-----",
  );
});

Deno.test("debianMirrors() passes over partial, foreign and optical sources", () => {
  const source = (uri: string, suite: string, components = ["main"]) => ({
    uri,
    suite,
    components,
    signedBy: null,
  });
  assertEquals(
    debianMirrors([
      source("http://security.example/", "bookworm-security"),
      source("cdrom:[Debian]/", "bookworm"),
      source("http://vendor.example/", "nodistro"),
      source("http://contrib.example/", "bookworm", ["contrib"]),
      source("http://mirror.example/debian/", "bookworm"),
      source("http://mirror.example/debian", "stable"),
      source("mirror+file:/etc/apt/mirrors.txt", "stable"),
    ], "bookworm").map(({ uri }) => uri),
    ["http://mirror.example/debian/", "mirror+file:/etc/apt/mirrors.txt"],
  );
});
