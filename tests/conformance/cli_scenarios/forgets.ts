import { scenario } from "../../../harness/scenario.ts";

export default scenario("forgets", {
  title: "does not wait for a step",
  tags: ["bad"],
  modes: ["remap"],
}, (t) => {
  void Promise.resolve().then(() => new Promise((resolve) => setTimeout(resolve, 0)))
    .then(() => t.check("too late", true));
  return Promise.resolve();
});
