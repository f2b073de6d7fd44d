import { scenario } from "../../../harness/scenario.ts";

export default scenario("hides", {
  title: "throws what cannot be looked at",
  tags: ["bad"],
  modes: ["remap"],
}, () => {
  const { proxy, revoke } = Proxy.revocable(new Error("gone"), {});
  revoke();
  throw proxy;
});
