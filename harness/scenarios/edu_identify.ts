/**
 * Who edu says it is, and whether it lives: the first things a driver looks at.
 * @module
 */

import { hex } from "../../core/address.ts";
import { edu, EDU_IDENTIFICATION } from "../../devices/edu/mod.ts";
import * as pci from "../../devices/pci/spec.ts";
import { scenario, VIAS } from "../scenario.ts";
import { noFaults } from "./_faults.ts";

export default scenario("edu-identify", {
  title:
    "edu has its PCI identity and a BAR of 1 MiB, says version 1.0, and inverts what it is given",
  tags: ["edu", "pci"],
  vias: VIAS,
}, async (t) => {
  const { target, driver } = await t.plug(edu, {});

  await t.step("identity", async () => {
    t.equal("vendor", hex(await target.configRead(pci.PCI_VENDOR_ID, 2)), "0x1234");
    t.equal("device", hex(await target.configRead(pci.PCI_DEVICE_ID, 2)), "0x11e8");
    t.equal("revision", hex(await target.configRead(pci.PCI_REVISION_ID, 1)), "0x10");
    t.equal("class", hex(await target.configRead(pci.PCI_CLASS_DEVICE, 2)), "0xff");
    t.equal("programming interface", await target.configRead(pci.PCI_CLASS_PROG, 1), 0);
    t.equal("interrupt pin INTA", await target.configRead(pci.PCI_INTERRUPT_PIN, 1), 1);
  });

  await t.step("the one MSI vector is found through the capability list", async () => {
    const status = await target.configRead(pci.PCI_STATUS, 2);
    t.check("there is a list", (status & pci.PCI_STATUS_CAP_LIST) !== 0);
    const first = await target.configRead(pci.PCI_CAPABILITY_LIST, 1);
    t.equal("its only entry is MSI", await target.configRead(first, 1), pci.PCI_CAP_ID_MSI);
    t.equal("and the last", await target.configRead(first + pci.PCI_CAP_LIST_NEXT, 1), 0);
    t.equal(
      "64-bit address, no masking, one vector, off",
      hex(await target.configRead(first + pci.PCI_MSI_FLAGS, 2)),
      hex(pci.PCI_MSI_FLAGS_64BIT),
    );
  });

  await t.step("BAR0 is sized by writing ones", async () => {
    const command = await target.configRead(pci.PCI_COMMAND, 2);
    const address = await target.configRead(pci.PCI_BASE_ADDRESS_0, 4);
    await target.configWrite(pci.PCI_COMMAND, 2, command & ~pci.PCI_COMMAND_MEMORY);
    t.equal("does not answer with decoding off", await driver.identification(), 0xffff_ffff);
    await target.configWrite(pci.PCI_BASE_ADDRESS_0, 4, 0xffff_ffff);
    const mask = await target.configRead(pci.PCI_BASE_ADDRESS_0, 4);
    t.equal("1 MiB of 32-bit memory, not prefetchable", hex(mask), "0xfff00000");
    await target.configWrite(pci.PCI_BASE_ADDRESS_0, 4, address);
    await target.configWrite(pci.PCI_COMMAND, 2, command);
    t.equal("address is back", await target.configRead(pci.PCI_BASE_ADDRESS_0, 4), address);
    for (let bar = 1; bar < pci.PCI_STD_NUM_BARS; bar++) {
      const offset = pci.PCI_BASE_ADDRESS_0 + 4 * bar;
      await target.configWrite(offset, 4, 0xffff_ffff);
      t.equal(`BAR${bar} is not there`, await target.configRead(offset, 4), 0);
    }
  });

  await t.step("liveness", async () => {
    t.equal("identification", hex(await driver.identification()), hex(EDU_IDENTIFICATION));
    t.equal("inverse of all zeros", await driver.liveness(0), 0xffff_ffff);
    t.equal("inverse of all ones", await driver.liveness(0xffff_ffff), 0);
    for (let i = 0; i < 16; i++) {
      const value = t.random(2 ** 32);
      t.equal(`inverse of random value ${i}`, await driver.liveness(value), ~value >>> 0);
    }
  });
  await noFaults(t);
});
