import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";

Deno.test("VfioUserServer without a descriptor for a client waits between its tries, says so once, and goes on", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const output = await new Deno.Command("/bin/sh", {
      args: [
        "-c",
        'ulimit -n 128; exec "$0" run -A --quiet --no-check "$1" "$2"',
        Deno.execPath(),
        import.meta.resolve("./_test_out_of_files.ts"),
        join(directory, "edu.sock"),
      ],
    }).output();
    assertEquals(output.code, 0, new TextDecoder().decode(output.stderr));
    const { refused, waitedMs, said } = JSON.parse(new TextDecoder().decode(output.stdout));
    assertEquals(refused, ["Cannot accept a client: EMFILE; tried again every 100 ms"]);
    // Of six turns every second one only waits.
    assert(waitedMs >= 200, `${waitedMs} ms`);
    assertEquals(said, [
      "Cannot accept a client",
      "A client has connected",
      "The client is gone",
      "Cannot accept a client",
      "A client has connected",
    ]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
