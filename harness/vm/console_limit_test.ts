import { assert, assertEquals, assertMatch } from "@std/assert";
import { ConsoleLimit } from "./console_limit.ts";
import { consoleTail } from "./console_log.ts";

Deno.test("ConsoleLimit.look() keeps the beginning and the end of what a guest prints without end, and says what it leaves out", async () => {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  try {
    const path = `${folder}/console.log`;
    const limit = new ConsoleLimit(path);
    limit.look();
    // As QEMU has it: open all the time, with an offset of its own.
    using qemu = await Deno.open(path, { write: true, create: true, truncate: true });
    const print = (text: string): void => {
      const bytes = new TextEncoder().encode(text);
      assertEquals(qemu.writeSync(bytes), bytes.length);
    };
    print("the first line\n");
    let printed = "the first line\n".length;
    for (let mib = 0; mib < 40; mib++) {
      for (let line = 0; line < 4; line++) {
        const text = `${"x".repeat(0x3_fff0)}\nline ${mib}.${line}\n`;
        print(text);
        printed += text.length;
        limit.look();
        assertEquals(consoleTail(path, 1), `line ${mib}.${line}`);
      }
    }
    const { size, blocks } = await Deno.stat(path);
    assertEquals(size, printed, "the hole counts");
    assert(blocks! * 512 < 0x14_0000, `it takes ${blocks! * 512} bytes`);
    const bytes = await Deno.readFile(path);
    const beginning = new TextDecoder().decode(bytes.subarray(0, 0x1_0100));
    assertMatch(beginning, /^the first line\nx+/);
    const left = Number(/\n\((\d+) bytes left out\)\n/.exec(beginning)![1]);
    const end = bytes.length - bytes.findLastIndex((byte) => byte === 0) - 1;
    assert(left > 38 * 0x10_0000 && left < printed);
    // What was printed since it was cut is there as well.
    assertEquals(0x1_0000 + left + end, printed);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("ConsoleLimit.look() leaves a file alone that is no longer than a boot makes it", async () => {
  const path = await Deno.makeTempFile();
  const text = "a line of the console\n".repeat(40_000);
  await Deno.writeTextFile(path, text);
  new ConsoleLimit(path).look();
  assertEquals(await Deno.readTextFile(path), text);
  await Deno.remove(path);
});
