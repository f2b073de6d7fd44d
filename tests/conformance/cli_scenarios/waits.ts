import { scenario } from "../../../harness/scenario.ts";

export default scenario("waits", {
  title: "waits for what never comes",
  tags: ["bad", "endless"],
  modes: ["remap"],
  timeoutMs: 300,
}, (t) => t.step("waiting", () => new Promise<void>(() => {})));
