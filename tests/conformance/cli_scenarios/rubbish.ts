import { scenario } from "../../../harness/scenario.ts";

export default scenario("rubbish", {
  title: "writes to stdout, past the console",
  tags: ["bad"],
  modes: ["remap"],
}, async () => {
  await Deno.stdout.write(new TextEncoder().encode('{"kind":"event"}\nrubbish without an end'));
});
