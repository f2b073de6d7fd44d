import { scenario } from "../../../harness/scenario.ts";

export default scenario("kills", {
  title: "kills its own process",
  tags: ["bad"],
  modes: ["remap"],
}, () => {
  Deno.kill(Deno.pid, "SIGKILL");
  return new Promise<void>(() => {});
});
