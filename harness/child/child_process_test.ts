import { assertEquals } from "@std/assert";
import { denoArguments } from "./deno_process.ts";

const MODULE = import.meta.resolve("./child_process.ts");

Deno.test("ChildProcess leaves what its listener throws to whoever catches the uncaught", async () => {
  const code = `
    import { ChildProcess } from "${MODULE}";
    globalThis.addEventListener("unhandledrejection", (event) => {
      event.preventDefault();
      console.log(event.reason.message);
      Deno.exit(3);
    });
    const child = new ChildProcess();
    child.listener = {
      message({ kind }) {
        throw new Error("no use for " + kind);
      },
      text() {},
      stderrMark() {},
      garbled() {},
      exited() {},
    };
    setTimeout(() => Deno.exit(0), 10_000);`;
  const url = `data:application/javascript,${encodeURIComponent(code)}`;
  const { code: exit, stdout } = await new Deno.Command(Deno.execPath(), {
    args: denoArguments(url),
  }).output();
  assertEquals(new TextDecoder().decode(stdout), "no use for ready\n");
  assertEquals(exit, 3);
});
