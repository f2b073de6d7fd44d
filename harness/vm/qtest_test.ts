import { assertEquals, assertRejects } from "@std/assert";
import { SILENT } from "./fetch/listener.ts";
import { Qtest } from "./qtest.ts";

/** With this as the system's QEMU, and a place for temporary folders whose name is `length` characters long. */
async function withSystemQemu(
  script: string,
  length: number,
  body: (temporary: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const temporary = `${folder}/${"t".repeat(length)}`;
  const before = ["PATH", "TMPDIR"].map((name) => [name, Deno.env.get(name)] as const);
  try {
    await Deno.mkdir(temporary);
    const known = "--version) echo 'QEMU emulator version 11.1.0';;\n" +
      "'-device vfio-user-pci,help') echo 'vfio-user-pci options:';;\n";
    await Deno.writeTextFile(
      `${folder}/qemu-system-x86_64`,
      `#!/bin/sh\ncase "$*" in\n${known}*) ${script};;\nesac\n`,
      { mode: 0o755 },
    );
    Deno.env.set("PATH", `${folder}:${Deno.env.get("PATH")}`);
    Deno.env.set("TMPDIR", temporary);
    await body(temporary);
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
    await Deno.remove(folder, { recursive: true });
  }
}

const start = () => Qtest.start([], { network: "never", listener: SILENT });
const left = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name);

Deno.test("Qtest.start() leaves no folder when its socket cannot be made", () =>
  // Longer than a socket's path may be (unix(7)).
  withSystemQemu("exit 9", 120, async (temporary) => {
    await assertRejects(start, Error, "path");
    assertEquals(left(temporary), []);
  }));

Deno.test("Qtest.start() says what QEMU said when that ends, and leaves no folder", () =>
  withSystemQemu("echo 'no such device' >&2; exit 1", 3, async (temporary) => {
    await assertRejects(start, Error, "Cannot start QEMU for qtest: no such device");
    assertEquals(left(temporary), []);
  }));
