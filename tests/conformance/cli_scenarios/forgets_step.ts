import { scenario } from "../../../harness/scenario.ts";

export default scenario("forgets-step", {
  title: "returns while steps go on that would fail later",
  tags: ["bad"],
  modes: ["remap"],
}, (t) => {
  void t.step("outer", () =>
    t.step("inner", async () => {
      await new Promise((resolve) => setTimeout(resolve, 60_000));
      t.check("too late", false);
    }));
  return Promise.resolve();
});
