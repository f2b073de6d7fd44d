import { scenario } from "../../../harness/scenario.ts";

export default scenario("lingers", {
  title: "leaves timers behind that would throw in the midst of another run",
  tags: ["good"],
  modes: ["remap"],
}, (t) => {
  const fail = () => {
    throw new Error("long after the end");
  };
  setTimeout(fail, 20);
  setInterval(fail, 20);
  t.check("ends", true);
  return Promise.resolve();
});
