import { scenario } from "../../../harness/scenario.ts";

export default scenario("says-much", {
  title: "says more at once than a report keeps",
  modes: ["remap"],
  vias: ["direct"],
}, async (t) => {
  const much = "much ".repeat(4 * 2 ** 20);
  t.log(much);
  await t.step(much, () => t.check(much, true, much));
  t.check("goes on", true);
});
