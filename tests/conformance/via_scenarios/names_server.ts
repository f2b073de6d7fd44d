import { edu, EDU_IDENTIFICATION } from "../../../devices/edu/mod.ts";
import { scenario } from "../../../harness/scenario.ts";
import { serverPids } from "./_server.ts";

export default scenario("names-server", {
  title: "tells which process its device lives in",
  vias: ["vfio-user"],
}, async (t) => {
  const device = await t.plug(edu, {});
  t.equal("it is there", await device.driver.identification(), EDU_IDENTIFICATION);
  t.log(`pid ${serverPids().join(" ")}`);
});
