import { scenario } from "../../../harness/scenario.ts";

export default scenario("passes", {
  title: "passes, and draws numbers",
  tags: ["good", "quick"],
  modes: ["identity", "remap"],
}, async (t) => {
  t.log(`drew ${t.random(2 ** 32)}`);
  await t.step("outer", async () => {
    await t.step("inner", () => t.check("is so", true));
  });
});
