import { scenario } from "../../../harness/scenario.ts";

export default scenario("loops", {
  title: "keeps its thread busy for ever",
  tags: ["bad", "endless"],
  modes: ["remap"],
  timeoutMs: 300,
}, async (t) => {
  t.log("here it goes");
  await t.step("looping", () => {
    for (;;);
  });
});
