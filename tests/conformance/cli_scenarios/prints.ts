import { scenario } from "../../../harness/scenario.ts";

export default scenario("prints", {
  title: "prints through the console, which is fine",
  tags: ["good"],
  modes: ["remap"],
}, (t) => {
  // deno-lint-ignore no-console -- this is what it is here for
  console.log("printed", { by: t.mode });
  t.check("prints", true);
  return Promise.resolve();
});
