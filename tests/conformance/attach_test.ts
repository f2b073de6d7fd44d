/**
 * `deno task attach` as a contract (DESIGN.md, 5): what it prints, and its exit codes, of the
 * real program in a process of its own, on a real server in another thread, and on servers
 * that mean no good.
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { UnixListener } from "../../protocols/linux/unix_socket.ts";
import { withRemote } from "../../protocols/vfio_user/client/_test_remote.ts";
import { parseLine } from "../../protocols/vfio_user/message_line.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function attach(...args: string[]): Promise<Result> {
  return await attachWith({}, ...args);
}

async function attachWith(env: Record<string, string>, ...args: string[]): Promise<Result> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--quiet", "harness/cli/attach.ts", ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1", LC_ALL: "C", ...env },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** The cells of the row that starts with `first`. */
function row(text: string, first: string): string[] {
  const line = text.split("\n").find((line) => line.split(/ {2,}/)[0] === first);
  assert(line !== undefined, `no row ${first} in\n${text}`);
  return line.split(/ {2,}/);
}

const hasLspci = await new Deno.Command("lspci", { args: ["--version"] }).output()
  .then(({ success }) => success, () => false);

Deno.test("attach SOCKET info, regions and irqs say what the server has", async () => {
  await withRemote(async ({ path }) => {
    const info = await attach(path, "info");
    assertEquals([info.code, info.stderr], [0, ""]);
    assertMatch(row(info.stdout, "version")[1]!, /^0\.\d$/);
    assertEquals(row(info.stdout, "device")[1], "reset,pci");
    assertEquals(row(info.stdout, "regions")[1], "9");
    assertEquals(row(info.stdout, "max_data_xfer_size")[1], "1048576");

    const regions = await attach(path, "regions");
    assertEquals(regions.code, 0);
    const rows = regions.stdout.trimEnd().split("\n").map((line) => line.split(/ {2,}/));
    assertEquals(rows[0], ["index", "name", "size", "flags", "mmap"]);
    assertEquals(rows[1], ["0", "bar0", "0x2000", "read,write,mmap,caps", "0x1000..0x1fff"]);
    assertEquals(rows[2], ["1", "bar1", "-", "-", "-"]);
    assertEquals(rows[8], ["7", "config", "0x1000", "read,write", "-"]);
    assertEquals(rows.length, 10);

    const irqs = await attach(path, "irqs");
    assertEquals(irqs.code, 0);
    assertEquals(
      irqs.stdout.trimEnd().split("\n").slice(1).map((line) => line.split(/ {2,}/).slice(1, 3)),
      [["intx", "1"], ["msi", "4"], ["msix", "5"], ["err", "1"], ["req", "1"]],
    );
  });
});

Deno.test("attach SOCKET lspci reads with the real lspci, and passes its options on", async () => {
  await withRemote(async ({ path }) => {
    const result = await attach(path, "lspci", "-vvv", "-nn");
    assertEquals(result.code, 0, result.stderr);
    if (!hasLspci) {
      assertStringIncludes(result.stdout, "00: 34 12 78 56");
      assertStringIncludes(result.stderr, "There is no lspci here");
      return;
    }
    assertEquals(result.stderr, "");
    assertStringIncludes(result.stdout, "[1234:5678]");
    assertStringIncludes(result.stdout, "MSI-X: Enable- Count=5 Masked-");
    assertStringIncludes(result.stdout, "Vector table: BAR=2 offset=00000100");
    assertEquals((await attach(path, "lspci", "-Z")).code, 1);
  });
});

Deno.test("attach SOCKET lspci has no file while lspci runs, which a Ctrl-C would leave behind", async () => {
  await withRemote(async ({ path }) => {
    const folder = await Deno.makeTempDir();
    try {
      const script = '#!/bin/sh\n/bin/ls "$TMPDIR"\nread -r line <"$2"\necho "$line"\n';
      await Deno.mkdir(`${folder}/bin`);
      await Deno.mkdir(`${folder}/tmp`);
      await Deno.writeTextFile(`${folder}/bin/lspci`, script, { mode: 0o755 });
      const env = { PATH: `${folder}/bin`, TMPDIR: `${folder}/tmp` };
      const result = await attachWith(env, path, "lspci");
      assertEquals(result.code, 0, result.stderr);
      assertEquals(result.stdout, "00:00.0 ff00: 1234:5678 (rev 01)\n");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
});

Deno.test("attach SOCKET lspci without lspci prints the dump", async () => {
  await withRemote(async ({ path }) => {
    const empty = await Deno.makeTempDir();
    try {
      const result = await attachWith({ PATH: empty }, path, "lspci");
      assertEquals(result.code, 0);
      assertMatch(result.stdout, /^00:00\.0 ff00: 1234:5678 \(rev 01\)\n00: 34 12 78 56 /);
      assertStringIncludes(result.stderr, "There is no lspci here");
    } finally {
      await Deno.remove(empty);
    }
  });
});

Deno.test("attach SOCKET peek and poke reach registers, and switch Memory Space on for it", async () => {
  await withRemote(async ({ path }) => {
    assertEquals((await attach(path, "peek", "config", "0")).stdout, "0x56781234\n");
    assertEquals((await attach(path, "peek", "config", "0x2", "2")).stdout, "0x5678\n");
    const table = await attach(path, "peek", "bar2", "0x0", "--count", "3");
    assertEquals(table.stdout, "0x0: 0x22220000\n0x4: 0x22220004\n0x8: 0x22220008\n");
    const note = (bar: string): string =>
      `${bar} does not answer, Memory Space is off (command register 0x0000): on for this command ` +
      "alone\n";
    assertEquals(table.stderr, note("bar2"));
    assertEquals((await attach(path, "poke", "bar0", "0x10", "7", "8")).stderr, note("bar0"));
    // It is off again.
    assertEquals((await attach(path, "peek", "config", "4", "2")).stdout, "0x0000\n");
    assertEquals((await attach(path, "poke", "config", "4", "6", "2")).code, 0);
    const poke = await attach(path, "poke", "BAR0", "0x10", "0x1234_5678_9abc_def0", "8");
    assertEquals([poke.code, poke.stdout, poke.stderr], [0, "", ""]);
    assertEquals((await attach(path, "peek", "bar0", "16", "8")).stdout, "0x123456789abcdef0\n");
    assertEquals((await attach(path, "peek", "config", "4", "2")).stdout, "0x0006\n");
  });
});

Deno.test("attach SOCKET peek and poke take a region's index for its name", async () => {
  await withRemote(async ({ path }) => {
    assertEquals((await attach(path, "peek", "7", "0")).stdout, "0x56781234\n");
    assertEquals((await attach(path, "peek", "0x7", "2", "2")).stdout, "0x5678\n");
    assertEquals((await attach(path, "poke", "7", "4", "6", "2")).code, 0);
    const poke = await attach(path, "poke", "0", "0x10", "0x1234", "8");
    assertEquals([poke.code, poke.stdout, poke.stderr], [0, "", ""]);
    assertEquals((await attach(path, "peek", "bar0", "16", "8")).stdout, "0x0000000000001234\n");
    for (
      const [index, name] of [["1", "bar1"], ["9", "region9"], ["4294967295", "region4294967295"]]
    ) {
      const { code, stderr } = await attach(path, "peek", index!, "0");
      assertEquals(code, 2);
      assertEquals(stderr, `The device has no region ${name}; it has bar0, bar2, config\n`);
    }
    const help = (await attach(path, "peek", "--help")).stdout;
    assertMatch(help, /vga,\s+or\s+an\s+index/);
  });
});

Deno.test("attach SOCKET trace prints each message as a line that can be read back", async () => {
  await withRemote(async ({ path }) => {
    const traced = await attach(path, "trace", "peek", "config", "0", "2");
    assertEquals(traced.code, 0);
    assertStringIncludes(traced.stderr, "0x1234\n");
    const lines = traced.stdout.trimEnd().split("\n").map(parseLine);
    assert(lines.every((line) => line !== null));
    const last = lines.slice(-2);
    assertEquals(last.map((line) => [line!.direction, line!.name, line!.kind]), [
      [">", "REGION_READ", "command"],
      ["<", "REGION_READ", "reply"],
    ]);
    assertEquals(lines[0]!.name, "VERSION");
    const plain = await attach(path, "trace");
    assertStringIncludes(plain.stderr, "max_msg_fds");
    const dashes = await attach(path, "trace", "--", "irqs");
    assertStringIncludes(dashes.stdout, "DEVICE_GET_IRQ_INFO");
  });
});

/** A command line after the socket, and what is said of it. */
const WRONG: readonly (readonly [readonly string[], RegExp])[] = [
  [[], /^A command is missing; there are info, regions, irqs, lspci, peek, poke, trace\n/],
  [["inof"], /^There is no command inof; did you mean info\?; there are info, /],
  [["info", "more"], /too many arguments/],
  [["peek"], /missing required argument 'REGION'/],
  [["peek", "bar7", "0"], /A region is one of bar0, .*did you mean bar0/],
  [["peek", "4294967296", "0"], /A region is one of bar0, .*, vga, or its index/],
  [["peek", "bar0", "-1"], /An offset is a number of bytes/],
  [["peek", "bar0", "0", "--size", "4"], /unknown option '--size'/],
  [["peek", "bar0", "1.5"], /An offset is a number of bytes, like 64 or 0x40/],
  [["peek", "bar0", "0", "3"], /A size is 1, 2, 4 or 8 bytes/],
  [["peek", "bar0", "0", "--count", "0"], /A count is an integer from 1 to 1048576/],
  [["poke", "bar0", "0", "0x100", "1"], /^Cannot poke 0x100 into 1 bytes: name a SIZE that holds/],
  [["poke", "bar0", "0", "0x1_0000_0000_0000_0000"], /A value is a number of at most 64 bits/],
  [["--timeout", "0", "info"], /A timeout is an integer from 1 to 2147483647/],
  [["trace", "trace"], /^Cannot trace a trace/],
  [["trace", "peek", "bar0"], /missing required argument 'OFFSET'/],
];

for (const [words, what] of WRONG) {
  Deno.test(`attach SOCKET ${words.join(" ") || "(nothing)"} is a usage error, before anyone is connected to`, async () => {
    const { code, stdout, stderr } = await attach("/nonexistent.sock", ...words);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, what);
    assertStringIncludes(stderr, "See deno task attach --help");
  });
}

Deno.test("attach without a socket, and with the words in the wrong order, says so", async () => {
  const nothing = await attach();
  assertEquals(nothing.code, 2);
  assertMatch(nothing.stderr, /^A socket is missing: name the path/);
  const turned = await attach("peek", "run/edu.sock", "bar0", "0");
  assertEquals(turned.code, 2);
  assertMatch(turned.stderr, /^The socket comes first: deno task attach SOCKET peek run\/edu.sock/);
  const empty = await attach("", "info");
  assertEquals([empty.code, empty.stdout], [2, ""]);
  assertMatch(empty.stderr, /^A socket is missing: name the path/);
  const late = await attach("--timeout", "5", "run/edu.sock", "info");
  assertEquals(late.code, 2);
  assertMatch(late.stderr, /^The socket comes first, and then --timeout\n/);
  for (const help of [["--help"], ["-h"], ["x.sock", "--help"], ["x.sock", "peek", "--help"]]) {
    const { code, stdout } = await attach(...help);
    assertEquals(code, 0);
    assertMatch(stdout, /^Usage: deno task attach SOCKET /);
  }
});

Deno.test("attach SOCKET peek of what is not there says what is", async () => {
  await withRemote(async ({ path }) => {
    const absent = await attach(path, "peek", "bar1", "0");
    assertEquals(absent.code, 2);
    assertEquals(absent.stderr, "The device has no region bar1; it has bar0, bar2, config\n");
    const beyond = await attach(path, "poke", "bar0", "0x1ffe", "1");
    assertEquals(beyond.code, 2);
    assertEquals(
      beyond.stderr,
      "Cannot access 4 bytes at 0x1ffe of bar0: it has 0x2000 bytes\n",
    );
  });
});

/** What a server does with the client's first bytes, and what attach says. */
const BAD_SERVERS:
  readonly (readonly [string, (conn: Deno.UnixConn) => Promise<unknown>, RegExp])[] = [
    [
      "hangs up",
      () => Promise.resolve(),
      /^The connection to the server is over with 1 command unanswered: the server ended it\n$/,
    ],
    [
      "sends garbage",
      (conn) => conn.write(new Uint8Array(64).fill(0xee)),
      /^Cannot go on with the server, the connection is over: the header of .*\n$/,
    ],
    [
      "refuses",
      async (conn) => {
        const request = new Uint8Array(1024);
        await conn.read(request);
        await conn.write(
          new Uint8Array([request[0]!, request[1]!, 1, 0, 16, 0, 0, 0, 0x21, 0, 0, 0, 22, 0, 0, 0]),
        );
      },
      /^The server refused VERSION: EINVAL\n$/,
    ],
  ];

for (const [name, serve, what] of BAD_SERVERS) {
  Deno.test(`attach to a server that ${name} exits with 1, and says why`, async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/bad.sock`;
    using listener = Deno.listen({ transport: "unix", path });
    const served = listener.accept().then(async (conn) => {
      await serve(conn);
      // What the client sent is read first, so that closing is an end and no reset.
      const rest = new Uint8Array(4096);
      if (name !== "refuses") await conn.read(rest);
      conn.close();
    });
    const { code, stdout, stderr } = await attach(path, "info");
    await served;
    await Deno.remove(folder, { recursive: true });
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, what);
  });
}

Deno.test("attach to a server that says nothing ends after --timeout", async () => {
  const folder = await Deno.makeTempDir();
  try {
    using listener = UnixListener.listen(`${folder}/mute.sock`);
    const { code, stderr } = await attach(listener.path, "--timeout", "50", "info");
    assertEquals(code, 1);
    assertEquals(
      stderr,
      "Cannot finish VERSION: the server has not answered for 50 ms; it may be serving another client\n",
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("attach to nobody says what would be right", async () => {
  const { code, stderr } = await attach("/nonexistent/it.sock", "info");
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^Cannot connect to \/nonexistent\/it\.sock: nothing is there; give the path /,
  );
});

Deno.test("attach ends with 130 when it is interrupted while it waits", async () => {
  const folder = await Deno.makeTempDir();
  try {
    using listener = UnixListener.listen(`${folder}/mute.sock`);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--quiet", "harness/cli/attach.ts", listener.path, "trace"],
      cwd: ROOT,
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    // Its first line says that it waits for the answer.
    const reader = child.stdout.getReader();
    await reader.read();
    child.kill("SIGINT");
    const { code } = await child.status;
    assertEquals(code, 130);
    await reader.cancel();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
