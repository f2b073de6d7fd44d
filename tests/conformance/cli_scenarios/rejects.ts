import { scenario } from "../../../harness/scenario.ts";

export default scenario("rejects", {
  title: "leaves a rejection that nobody handles",
  tags: ["bad"],
  modes: ["remap"],
}, (t) => {
  t.check("looks fine", true);
  void Promise.reject(new Error("nobody looks"));
  return Promise.resolve();
});
