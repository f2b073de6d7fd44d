import { scenario } from "../../../harness/scenario.ts";

export default scenario("lasts", {
  title: "takes a while",
  tags: ["good"],
  modes: ["remap"],
}, async (t) => {
  await new Promise((resolve) => setTimeout(resolve, 60));
  t.check("ends", true);
});
