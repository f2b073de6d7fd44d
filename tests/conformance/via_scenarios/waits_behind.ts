import { PAGE_SIZE } from "../../../core/address.ts";
import { streamer } from "../../../devices/streamer/mod.ts";
import { scenario } from "../../../harness/scenario.ts";

export default scenario("waits-behind", {
  title: "reads a register of a device whose unmap waits for DMA in flight",
  vias: ["vfio-user"],
  modes: ["remap"],
}, async (t) => {
  const device = await t.plug(streamer, {});
  await device.driver.setOnRevoke("finish");
  const source = await t.dmaBuffer(device, PAGE_SIZE);
  const destination = await t.dmaBuffer(device, PAGE_SIZE);
  const [from, to] = [source.iova, destination.iova];
  await device.driver.start({ source: from, destination: to, length: PAGE_SIZE });
  const unmapped = source.unmap();
  const pinned = (await device.target.inspect()).pinned;
  t.check("a look at the model does not wait", pinned !== null);
  await t.clock.advance(1);
  for (
    const [name, access] of Object.entries({
      register: () => device.driver.running(),
      config: () => device.target.configRead(0, 4),
      map: () => t.dmaBuffer(device, PAGE_SIZE),
    })
  ) {
    let message = "none";
    try {
      await access();
    } catch (error) {
      message = String(error);
    }
    t.check(name, message.includes("waits for its DMA in flight"), message);
  }
  await t.clock.advance(1000);
  await unmapped;
  t.check("it has ended", !await device.driver.running());
});
