import { scenario } from "../../../harness/scenario.ts";

export default scenario("fails", {
  title: "fails one of its checks and a threshold, and goes on",
  tags: ["bad"],
  modes: ["remap"],
  thresholds: { faults: ["value==1", "value=1"] },
}, async (t) => {
  await t.step("compare", () => t.equal("bytes", new Uint8Array([1, 2]), new Uint8Array([1, 3])));
  t.check("goes on", true);
});
