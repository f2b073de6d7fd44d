/**
 * `deno task serve` as a contract (DESIGN.md, 5; spec/09 rule 5): flags, outputs, exit codes and
 * sockets, of the real program in a process of its own.
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import * as fs from "node:fs";
import { fromFileUrl, join } from "@std/path";
import { parseLine } from "../../protocols/vfio_user/message_line.ts";
import { ClientMemory } from "./vfio_user/host.ts";
import { blocking, RawClient } from "./vfio_user/raw_client.ts";
import * as wire from "./vfio_user/wire.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const INFO = wire.bytes(wire.u32(16), wire.u32(0), wire.u32(0), wire.u32(0));
const text = new TextDecoder();

function start(args: readonly string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--quiet", "--no-check", "harness/cli/serve.ts", ...args],
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-serve-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A server that is ready, and how it ended. */
class Served {
  readonly #child: Deno.ChildProcess;
  readonly #stdout: ReadableStreamDefaultReader<Uint8Array>;
  stdout = "";

  constructor(args: readonly string[]) {
    this.#child = start(args);
    this.#stdout = this.#child.stdout.getReader();
  }

  async ready(): Promise<void> {
    while (!/^ready$/m.test(this.stdout)) {
      const { value, done } = await this.#stdout.read();
      if (done) throw new Error(`It ended before it was ready: ${await this.#child.stderr.text()}`);
      this.stdout += text.decode(value);
    }
  }

  async end(signal: Deno.Signal): Promise<{ code: number; stderr: string }> {
    this.#child.kill(signal);
    const [{ code }, stderr] = await Promise.all([this.#child.status, this.#child.stderr.text()]);
    await this.#stdout.cancel();
    return { code, stderr };
  }
}

async function serving(args: readonly string[], body: (served: Served) => Promise<void> | void) {
  const served = new Served(args);
  try {
    await served.ready();
    await body(served);
  } catch (error) {
    await served.end("SIGKILL");
    throw error;
  }
  return await served.end("SIGTERM");
}

function connect(path: string): RawClient {
  const client = RawClient.connect(path, blocking);
  client.negotiate({ max_msg_fds: 8 });
  return client;
}

Deno.test("deno task serve listens, prints QEMU's arguments and ready, and ends with 130 on SIGINT", async () => {
  await withFolder(async (folder) => {
    const sockets = join(folder, "sockets");
    const served = new Served(["edu", "streamer", "--socket-dir", sockets]);
    await served.ready();
    const edu = join(sockets, "edu.sock"), streamer = join(sockets, "streamer.sock");
    const device = (path: string) =>
      `-device '{"driver":"vfio-user-pci","socket":{"path":"${path}","type":"unix"},"x-msg-timeout":60000}'`;
    assertEquals(served.stdout.split("\n"), [
      "-object memory-backend-memfd,id=mem,size=512M,share=on",
      "-machine q35,memory-backend=mem",
      device(edu),
      device(streamer),
      "ready",
      "",
    ]);
    assertEquals((await Deno.stat(sockets)).mode! & 0o7777, 0o700);
    for (const path of [edu, streamer]) {
      assertEquals((await Deno.stat(path)).mode! & 0o7777, 0o600);
      using client = connect(path);
      assertEquals(client.call(4, INFO).errno, 0);
    }
    const { code, stderr } = await served.end("SIGINT");
    assertEquals(code, 130, stderr);
    assertStringIncludes(stderr, "edu: A client has connected\n");
    assertEquals([...Deno.readDirSync(sockets)], []);
  });
});

Deno.test("deno task serve removes its sockets on SIGTERM too, and exits with 0", async () => {
  await withFolder(async (folder) => {
    const { code } = await serving(["edu", "--socket-dir", folder], () => {
      // A client that stays does not keep it.
      connect(join(folder, "edu.sock"));
    });
    assertEquals([code, [...Deno.readDirSync(folder)]], [0, []]);
  });
});

Deno.test("deno task serve survives clients that come, go and are killed; the device's state stays", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "edu.sock");
    const { code, stderr } = await serving(
      ["edu", "--socket-dir", folder, "--spin", "off"],
      async () => {
        {
          using client = connect(path);
          client.call(10, wire.regionWrite(7, 4, new Uint8Array([6, 0])));
          client.call(10, wire.regionWrite(0, 4, wire.bytes(wire.u32(0x1234))));
        }
        using memory = new ClientMemory();
        for (let i = 0; i < 200; i++) {
          const client = connect(path);
          client.call(2, wire.dmaMap(0x1000, 0x1000), [memory.fd]);
          client.send(wire.message(4, INFO).subarray(0, i % 20 + 1));
          client.close();
        }
        // One in a process of its own, killed in the middle of things.
        const module = import.meta.resolve("./vfio_user/raw_client.ts");
        const script = `import { RawClient, blocking } from ${JSON.stringify(module)};
        const client = RawClient.connect(${JSON.stringify(path)}, blocking);
        client.negotiate();
        console.log("connected");
        for (;;) client.call(9, new Uint8Array(16));`;
        const child = new Deno.Command(Deno.execPath(), {
          args: ["eval", "--config", join(ROOT, "deno.json"), script],
          stdout: "piped",
          stderr: "null",
        }).spawn();
        const reader = child.stdout.getReader();
        assertStringIncludes(text.decode((await reader.read()).value), "connected");
        child.kill("SIGKILL");
        await Promise.all([child.status, reader.cancel()]);
        using client = connect(path);
        const { body } = client.call(9, wire.regionRead(0, 4, 4));
        assertEquals(body.subarray(16), wire.bytes(wire.u32(~0x1234 >>> 0)));
      },
    );
    assertEquals(code, 0, stderr);
  });
});

Deno.test("deno task serve takes a file that exports a device, and its time is real", async () => {
  await withFolder(async (folder) => {
    const readme = await Deno.readTextFile(join(ROOT, "README.md"));
    const source = /^```ts ignore doorbell\.ts\n([\s\S]*?)^```$/m.exec(readme)?.[1];
    assert(source !== undefined);
    const file = join(folder, "doorbell.ts");
    await Deno.writeTextFile(file, source);
    const { code, stderr } = await serving(
      [file, "edu", "--socket-dir", join(folder, "s")],
      async () => {
        using client = connect(join(folder, "s", "doorbell.sock"));
        using memory = new ClientMemory();
        client.call(10, wire.regionWrite(7, 4, new Uint8Array([6, 0])));
        client.call(2, wire.dmaMap(0x1000, 0x1000), [memory.fd]);
        client.call(10, wire.regionWrite(0, 4, wire.bytes(wire.u32(0x1010))));
        for (let i = 0; i < 3; i++) {
          client.call(10, wire.regionWrite(0, 8, wire.bytes(wire.u32(1))));
        }
        assertEquals(memory.bytes[0x10], 3);
        using edu = connect(join(folder, "s", "edu.sock"));
        edu.call(10, wire.regionWrite(7, 4, new Uint8Array([6, 0])));
        edu.call(10, wire.regionWrite(0, 8, wire.bytes(wire.u32(5))));
        const result = () => edu.call(9, wire.regionRead(0, 8, 4)).body[16];
        const end = performance.now() + 5000;
        while (result() !== 120 && performance.now() < end) {
          await new Promise((go) => setTimeout(go, 1));
        }
        assertEquals(result(), 120);
      },
    );
    assertEquals(code, 0, stderr);
  });
});

Deno.test("deno task serve --messages writes a line a message, or a capture", async () => {
  await withFolder(async (folder) => {
    for (const name of ["m.log", "m.pcapng"]) {
      const file = join(folder, name);
      const { code, stderr } = await serving([
        "edu",
        "--socket-dir",
        join(folder, "s"),
        "--messages",
        file,
      ], () => {
        using client = connect(join(folder, "s", "edu.sock"));
        client.call(4, INFO);
        client.call(9, wire.regionRead(0, 0x1000, 4));
        client.call(9, wire.regionRead(3, 0, 4));
      });
      assertEquals(code, 0, stderr);
      const bytes = await Deno.readFile(file);
      if (name === "m.pcapng") {
        assertEquals(bytes.subarray(0, 4), new Uint8Array([0x0a, 0x0d, 0x0d, 0x0a]));
        continue;
      }
      const lines = text.decode(bytes).trimEnd().split("\n").map((line) => parseLine(line)!);
      assertEquals(lines.map(({ direction, name, errno }) => `${direction} ${name} ${errno}`), [
        "> VERSION null",
        "< VERSION null",
        "> DEVICE_GET_INFO null",
        "< DEVICE_GET_INFO null",
        "> REGION_READ null",
        "< REGION_READ null",
        "> REGION_READ null",
        "< REGION_READ EINVAL",
      ]);
    }
  });
});

/** A named pipe with a reader, who reads when it is asked to. */
async function pipeIn(folder: string): Promise<{ path: string; fd: number }> {
  const path = join(folder, "pipe.pcapng");
  await new Deno.Command("mkfifo", { args: [path] }).output();
  return { path, fd: fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK) };
}

Deno.test("deno task serve --messages writes to a pipe what its reader takes, and keeps no client waiting", async () => {
  await withFolder(async (folder) => {
    const { path, fd } = await pipeIn(folder);
    const edu = join(folder, "s", "edu.sock");
    const args = ["edu", "--socket-dir", join(folder, "s"), "--messages", path];
    const written = wire.regionWrite(0, 0, new Uint8Array(0x4_0000));
    const { code, stderr } = await serving(args, () => {
      using client = connect(edu);
      // Nobody reads: 20 MiB are more than a pipe, and more than may wait.
      for (let i = 0; i < 80; i++) client.call(10, written);
      assertEquals(client.call(4, INFO).errno, 0);
      const chunk = new Uint8Array(4096);
      assertEquals(fs.readSync(fd, chunk), chunk.length);
      assertEquals(chunk.subarray(0, 4), new Uint8Array([0x0a, 0x0d, 0x0d, 0x0a]));
      // Nor does one that goes.
      fs.closeSync(fd);
      assertEquals(client.call(4, INFO).errno, 0);
    });
    assertEquals(code, 0, stderr);
    const complaint = `Cannot write all of --messages ${path}:`;
    const complaints = stderr.split("\n").filter((line) => line.startsWith(complaint));
    // It may be told to end before it has seen the reader go, and counts what that has missed then.
    assertEquals(complaints.filter((line) => !/: \d+ messages left out: /.test(line)), [
      `${complaint} messages are left out from now on: the reader is too slow`,
      `${complaint} its reader has gone`,
    ]);
  });
});

Deno.test("deno task serve --messages says how many a slow reader has missed", async () => {
  await withFolder(async (folder) => {
    const { path, fd } = await pipeIn(folder);
    const args = ["edu", "--socket-dir", join(folder, "s"), "--messages", path];
    const written = wire.regionWrite(0, 0, new Uint8Array(0x4_0000));
    const { code, stderr } = await serving(args, () => {
      using client = connect(join(folder, "s", "edu.sock"));
      for (let i = 0; i < 80; i++) client.call(10, written);
    });
    fs.closeSync(fd);
    assertEquals(code, 0, stderr);
    const missed = /^Cannot write all of --messages .*: (\d+) messages left out/m.exec(stderr)?.[1];
    assert(Number(missed) > 20 && Number(missed) < 60, stderr);
    assertMatch(stderr, /: its reader did not take the last \d+ bytes$/m);
  });
});

Deno.test("deno task serve --messages /dev/stdout is all that a pipe gets; QEMU's arguments go to stderr", async () => {
  await withFolder(async (folder) => {
    const child = start(["edu", "--socket-dir", folder, "--messages", "/dev/stdout"]);
    const stderr = child.stderr.getReader();
    let told = "";
    while (!/^ready$/m.test(told)) {
      const { value, done } = await stderr.read();
      assert(!done, told);
      told += text.decode(value);
    }
    connect(join(folder, "edu.sock")).close();
    child.kill("SIGTERM");
    const [stdout, { code }] = await Promise.all([child.stdout.text(), child.status]);
    await stderr.cancel();
    assertEquals(code, 0);
    assertStringIncludes(told, "-machine q35");
    const lines = stdout.trimEnd().split("\n").map((line) => parseLine(line)!.name);
    assertEquals(lines, ["VERSION", "VERSION"]);
  });
});

Deno.test("deno task serve that is refused leaves the messages of another as they are", async () => {
  await withFolder(async (folder) => {
    const messages = join(folder, "m.log"), fresh = join(folder, "fresh.log");
    const args = ["edu", "--socket-dir", join(folder, "s"), "--messages"];
    await serving([...args, messages], async () => {
      using client = connect(join(folder, "s", "edu.sock"));
      client.call(4, INFO);
      const before = await Deno.readTextFile(messages);
      assertStringIncludes(before, "DEVICE_GET_INFO");
      for (const file of [messages, fresh]) {
        assertEquals((await start([...args, file]).output()).code, 2);
      }
      assertEquals(await Deno.readTextFile(messages), before);
      assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), ["m.log", "s"]);
    });
  });
});

Deno.test("deno task serve --messages refuses a pipe that nobody reads from, at once", async () => {
  await withFolder(async (folder) => {
    const { path, fd } = await pipeIn(folder);
    fs.closeSync(fd);
    const output = await start(["edu", "--socket-dir", join(folder, "s"), "--messages", path])
      .output();
    assertEquals(output.code, 2);
    assertStringIncludes(text.decode(output.stderr), "nobody reads from this pipe");
  });
});

/** One whose stderr is where the shell's commands put it, once it is ready. */
async function startLogging(commands: string, device: string, folder: string) {
  const serve = `${Deno.execPath()} run -A --quiet --no-check harness/cli/serve.ts ${device}`;
  const child = new Deno.Command("bash", {
    args: ["-c", `${commands}; exec ${serve} --socket-dir ${folder}`],
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const stdout = child.stdout.getReader();
  assertMatch(text.decode((await stdout.read()).value), /^ready$/m);
  return { child, stdout };
}

Deno.test("deno task serve serves on when its log cannot be written", async () => {
  await withFolder(async (folder) => {
    const { child, stdout } = await startLogging("exec 2>/dev/full", "edu", folder);
    for (let i = 0; i < 3; i++) {
      using client = connect(join(folder, "edu.sock"));
      assertEquals(client.call(4, INFO).errno, 0);
    }
    child.kill("SIGTERM");
    assertEquals((await child.status).code, 0);
    await stdout.cancel();
  });
});

/** A device each of whose registers has a lot to say in the log. */
const LOUD = `
import { defineDevice } from ${JSON.stringify(import.meta.resolve("../../mod.ts"))};
export const loud = defineDevice({
  type: "loud",
  module: import.meta.url,
  create: () => ({
    type: "loud",
    ident: { vendorId: 0x1234, deviceId: 0x10ad, revisionId: 0, classCode: 0xff0000 },
    bars: [{ index: 0, size: 4096, kind: "mmio32" }],
    attach() {},
    barRead() { throw new Error("loud ".repeat(1000)); },
    barWrite() {},
    reset() {},
    inspect: () => ({}),
  }),
  driver: (target) => target,
});
`;

/** More than a pipe holds, and more than is kept for one. */
function makeLoud(folder: string): void {
  using client = connect(join(folder, "loud.sock"));
  client.call(10, wire.regionWrite(7, 4, new Uint8Array([6, 0])));
  for (let i = 0; i < 400; i++) assertEquals(client.call(9, wire.regionRead(0, 0, 4)).errno, 0);
}

Deno.test("deno task serve serves on while nobody reads its log, and says what is missing there", async () => {
  await withFolder(async (folder) => {
    const device = join(folder, "loud.ts");
    await Deno.writeTextFile(device, LOUD);
    // Its stderr is a pipe that is read from when it ends.
    const { code, stderr } = await serving([device, "--socket-dir", folder], () => {
      makeLoud(folder);
    });
    assertEquals(code, 0);
    assertMatch(stderr, /^loud: A client has connected$/m);
    assertMatch(stderr, /^\d+ lines left out: the reader is too slow$/m);
  });
});

Deno.test("deno task serve ends on SIGTERM with a log that nobody ever reads", async () => {
  await withFolder(async (folder) => {
    const device = join(folder, "loud.ts"), pipe = join(folder, "pipe");
    await Deno.writeTextFile(device, LOUD);
    const { child, stdout } = await startLogging(`mkfifo ${pipe}; exec 2<>${pipe}`, device, folder);
    makeLoud(folder);
    child.kill("SIGTERM");
    assertEquals((await child.status).code, 0);
    await stdout.cancel();
  });
});

Deno.test("deno task serve replaces a socket that nobody listens at, and none that somebody does", async () => {
  await withFolder(async (folder) => {
    await serving(["edu", "--socket-dir", folder], async () => {
      const second = await start(["edu", "--socket-dir", folder]).output();
      assertEquals(second.code, 2);
      assertStringIncludes(text.decode(second.stderr), "EADDRINUSE");
      using client = connect(join(folder, "edu.sock"));
      assertEquals(client.call(4, INFO).errno, 0);
    });
    const killed = new Served(["edu", "--socket-dir", folder]);
    await killed.ready();
    await killed.end("SIGKILL");
    assertEquals([...Deno.readDirSync(folder)].length, 1, "it could not clean up");
    const { code } = await serving(["edu", "--socket-dir", folder], () => {});
    assertEquals([code, [...Deno.readDirSync(folder)]], [0, []]);
  });
});

Deno.test("deno task serve ends at once on a signal while a device's module still loads", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "loops.ts");
    await Deno.writeTextFile(file, 'console.log("loading");\nfor (;;);\n');
    for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 0]] as const) {
      const child = start([file, "--socket-dir", join(folder, "s")]);
      const stdout = child.stdout.getReader();
      assertStringIncludes(text.decode((await stdout.read()).value), "loading");
      child.kill(signal);
      const [status, stderr] = await Promise.all([child.status, child.stderr.text()]);
      await stdout.cancel();
      assertEquals([status.code, stderr], [code, ""]);
    }
  });
});

Deno.test("deno task serve exits with 2 when a device cannot be made, and says where it threw", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "throws.ts");
    await Deno.writeTextFile(
      file,
      'export const one = { type: "one", create() { throw new Error("no room"); } };\n',
    );
    const output = await start([file, "--socket-dir", join(folder, "s")]).output();
    const stderr = text.decode(output.stderr);
    assertEquals([output.code, text.decode(output.stdout)], [2, ""], stderr);
    assertMatch(stderr, /^Cannot make a device of type one: Error: no room\n +at .*throws\.ts/);
  });
});

const REFUSED: readonly [string, readonly string[], RegExp][] = [
  ["no device", ["--socket-dir", "{}"], /missing required argument 'DEVICE'/],
  ["no directory", ["edu"], /--socket-dir <D>/],
  [
    "a device that is not known",
    ["eduu", "--socket-dir", "{}"],
    /did you mean edu\?; there are edu, streamer/,
  ],
  ["a device twice", ["edu", "edu", "--socket-dir", "{}"], /edu is named twice/],
  ["a file that is not there", ["./nothing.ts", "--socket-dir", "{}"], /there is no such file/],
  ["a folder", ["./harness", "--socket-dir", "{}"], /it is no file; name one/],
  ["a file below one", ["./README.md/a.ts", "--socket-dir", "{}"], /Cannot serve .*Not a dir/],
  ["a file that exports no device", ["./mod.ts", "--socket-dir", "{}"], /it exports edu, streamer/],
  ["a file that is no module", ["./README.md", "--socket-dir", "{}"], /Cannot load \.\/README\.md/],
  ["a directory that others may enter", ["edu", "--socket-dir", "/"], /Cannot use \/ for sockets/],
  ["a directory in none", ["edu", "--socket-dir", "{}/a/b"], /Cannot make the directory/],
  [
    "a spin that is none",
    ["edu", "--socket-dir", "{}", "--spin", "fast"],
    /off, auto, or a number/,
  ],
  ["--iommu", ["edu", "--socket-dir", "{}", "--iommu"], /not built yet/],
  ["--net", ["edu", "--socket-dir", "{}", "--net", "hub"], /not built yet/],
  ["a flag that is not known", ["edu", "--socket-dir", "{}", "--fast"], /unknown option '--fast'/],
  [
    "messages to nowhere",
    ["edu", "--socket-dir", "{}", "--messages", "/no/where"],
    /Cannot write --messages/,
  ],
  [
    "a path too long for a socket",
    ["edu", "--socket-dir", "{}/" + "x".repeat(100)],
    /ENAMETOOLONG/,
  ],
];

for (const [name, args, message] of REFUSED) {
  Deno.test(`deno task serve exits with 2 for ${name}, and says what would be right`, async () => {
    await withFolder(async (folder) => {
      const output = await start(args.map((arg) => arg.replace("{}", folder))).output();
      const stderr = text.decode(output.stderr);
      assertMatch(stderr, message);
      assertEquals([output.code, text.decode(output.stdout)], [2, ""], stderr);
    });
  });
}

Deno.test("deno task serve --help names its flags and exit codes", async () => {
  const output = await start(["--help"]).output();
  const help = text.decode(output.stdout);
  assertEquals(output.code, 0);
  for (const word of ["--socket-dir", "--spin", "--messages", "--dashboard", "--iommu", "130"]) {
    assertStringIncludes(help, word);
  }
});
