import { scenario } from "../../../harness/scenario.ts";

export default scenario("throws", {
  title: "throws in a step",
  tags: ["bad"],
  modes: ["remap"],
}, async (t) => {
  t.log("about to throw");
  await t.step("throwing", () => {
    throw new Error("boom <&> \u0001");
  });
});
