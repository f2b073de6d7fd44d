import { edu } from "../../../devices/edu/mod.ts";
import { scenario } from "../../../harness/scenario.ts";
import { serverPids } from "./_server.ts";

export default scenario("kills-server", {
  title: "kills the process its device lives in",
  vias: ["vfio-user"],
  modes: ["remap"],
}, async (t) => {
  const device = await t.plug(edu, {});
  await t.step("murder", async () => {
    for (const pid of serverPids()) Deno.kill(pid, "SIGKILL");
    await t.clock.advance(1);
    await device.driver.identification();
  });
});
