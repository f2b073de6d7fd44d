import { scenario } from "../../../harness/scenario.ts";

export default scenario("exits", {
  title: "ends its process as if all were well",
  tags: ["bad"],
  modes: ["remap"],
}, async (t) => {
  await t.step("exiting", () => Deno.exit(0));
});
