import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { aptError, parseSimulation, privateConfig, privateSources } from "./apt.ts";

Deno.test("privateConfig() takes the host's proxy over, and none of its hooks", () => {
  const config = privateConfig(
    [
      `Acquire::http::Proxy "http://proxy.example:3128";`,
      `Acquire::AllowInsecureRepositories "1";`,
      `Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "true";`,
      `APT::Update::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb";`,
      `DPkg::Post-Invoke:: "touch /tmp/x";`,
      `Dir::State "var/lib/apt";`,
    ].join("\n"),
    "/cache/apt",
  );
  assertStringIncludes(config, `Acquire::http::Proxy "http://proxy.example:3128";`);
  assertStringIncludes(config, `Dir::State "/cache/apt/state";`);
  for (const word of ["Invoke", "DEP-11", "var/lib"]) assert(!config.includes(word), word);
});

Deno.test("privateConfig() demands signatures even where the host does not", () => {
  const config = privateConfig(`Acquire::AllowInsecureRepositories "1";`, "/cache/apt");
  // The last one holds.
  const values = [...config.matchAll(/^Acquire::AllowInsecureRepositories "(.)";$/gm)];
  assertEquals(values.at(-1)?.[1], "0");
});

Deno.test("privateSources() keeps the mirror's key, or falls back to Debian's", () => {
  const mirror = { uri: "http://m.example/d", suite: "bookworm", components: ["main"] };
  const suites = ["trixie", "trixie-backports"];
  const own = privateSources({ ...mirror, signedBy: "/own.gpg" }, suites, "/debian.gpg");
  assertStringIncludes(own, "Suites: trixie trixie-backports\n");
  assertStringIncludes(own, "Signed-By: /own.gpg\n");
  const bare = privateSources({ ...mirror, signedBy: null }, suites, "/debian.gpg");
  assertStringIncludes(bare, "Signed-By: /debian.gpg\n");
  assert(!privateSources({ ...mirror, signedBy: null }, suites, null).includes("Signed-By"));
});

Deno.test("aptError() says what mends each kind of failure", () => {
  for (
    const [stderr, mend] of [
      ["W: GPG error: x InRelease: NO_PUBKEY 6ED0E7B82643E131", "debian-archive-keyring"],
      ["W: GPG error: gpgv, gpgv2 or gpgv1 required for verification", "install gpgv"],
      ["E: Could not get lock /c/apt/state/lists/lock", "wait until"],
      ["E: Could not resolve 'mirror.example'", "proxy"],
      ["E: The repository 'x trixie Release' does not have a Release file.", "mirror"],
      ["E: Write error - write (28: No space left on device)", "VIADUCT_CACHE"],
      ["E: Something new", "apt-get update"],
    ] as const
  ) {
    const error = aptError("x", { code: 100, stdout: "", stderr }, ["trixie"]);
    assertStringIncludes(error.mend, mend);
    assertStringIncludes(error.message, stderr);
  }
});

Deno.test("parseSimulation() reads what would be installed", () => {
  assertEquals(
    parseSimulation(`Reading package lists...
Inst gcc-14-base (14.2.0-19 Debian:13.2/stable [amd64])
Inst libc6 (2.41-12 Debian:13.2/stable [amd64]) []
Inst seabios (1.17.0-1~bpo13+1 Debian Backports:stable-backports [all])
Conf gcc-14-base (14.2.0-19 Debian:13.2/stable [amd64])
`),
    [
      { name: "gcc-14-base", version: "14.2.0-19", architecture: "amd64" },
      { name: "libc6", version: "2.41-12", architecture: "amd64" },
      { name: "seabios", version: "1.17.0-1~bpo13+1", architecture: "all" },
    ],
  );
});
