import process from "node:process";
import { scenario } from "../../../harness/scenario.ts";

export default scenario("node-exits", {
  title: "ends its process the way of Node",
  tags: ["bad"],
  modes: ["remap"],
}, () => {
  process.exit(7);
});
