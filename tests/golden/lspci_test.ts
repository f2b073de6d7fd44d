/**
 * `lspci` as an outside judge of our configuration space: it reads the dump, prints what we expect,
 * and complains about nothing. Its words change between versions, so the whole text is compared with
 * that of Debian 12's version alone, and with others the list of what was found. `UPDATE_GOLDEN=1`
 * writes the expected text anew; read the difference.
 */

import { assert, assertEquals } from "@std/assert";
import {
  advancedFeaturesCapability,
  atsCapability,
  errorReportingCapability,
  expressCapability,
  pasidCapability,
  powerManagementCapability,
  priCapability,
  serialNumberCapability,
  vendorCapability,
  vendorExtendedCapability,
} from "../../devices/pci/capabilities.ts";
import { PciBus } from "../../devices/pci/bus.ts";
import * as spec from "../../devices/pci/spec.ts";
import { dumpBus, lspciDump } from "../../harness/export/lspci.ts";
import { host } from "../../devices/pci/_test_fakes.ts";

const PACKAGE = "pciutils";
const GOLDEN_VERSION = "lspci version 3.9.0";

/** lspci looks for names in a database; `-n` leaves that out, so its version does not matter. */
async function lspci(dump: string): Promise<{ text: string; complaints: string }> {
  const file = await Deno.makeTempFile({ suffix: ".lspci" });
  try {
    await Deno.writeTextFile(file, dump);
    const { stdout, stderr } = await new Deno.Command("lspci", {
      args: ["-vvv", "-n", "-F", file],
      env: { LC_ALL: "C" },
    }).output();
    const decoder = new TextDecoder();
    // With -v lspci also looks for the host's kernel modules. A host without any, as in a container,
    // is no fault of the dump.
    const complaints = decoder.decode(stderr)
      .replace(/^lspci: Unable to load libkmod resources.*\n/m, "");
    // Version 3.9.0 lists the upper half of a 64-bit BAR as a region of its own; others do not.
    const text = decoder.decode(stdout).replace(
      /^\tRegion [35]: Memory at <unassigned> .*\n/gm,
      "",
    );
    return { text, complaints };
  } finally {
    await Deno.remove(file);
  }
}

/** As `lspci --version` says; null when there is none. */
async function installedVersion(): Promise<string | null> {
  try {
    const { stdout } = await new Deno.Command("lspci", { args: ["--version"] }).output();
    return new TextDecoder().decode(stdout).trim();
  } catch {
    return null;
  }
}

/** The functions and capabilities that a text tells of, without what it says about them. */
function outline(text: string): string[] {
  return text.match(/^(\S{7}|\tCapabilities: \[[^\]]+\]|\tRegion \d: \S+ \S+ \S+)/gm) ?? [];
}

/** A machine with a function of each make, set up as a driver would. */
function machine(): PciBus {
  const bus = new PciBus();
  const edu = bus.plug(
    host({
      ident: { vendorId: 0x1234, deviceId: 0x11e8, revisionId: 0x10, classCode: 0x00ff00 },
      bars: [{ index: 0, size: 0x10_0000, kind: "mmio32" }],
      interrupts: { pin: 1, msi: { vectors: 1 } },
    }).fn,
  );
  const express = bus.plug(
    host({
      bars: [
        { index: 0, size: 0x1000, kind: "mmio32" },
        { index: 1, size: 0x20, kind: "io" },
        { index: 2, size: 0x4000, kind: "mmio64", prefetchable: true },
        { index: 4, size: 2 ** 33, kind: "mmio64" },
      ],
      interrupts: {
        pin: 1,
        msi: { vectors: 8, perVectorMasking: true },
        msix: { vectors: 9, bar: 0, tableOffset: 0x800, pendingOffset: 0xf00 },
      },
      capabilities: [
        powerManagementCapability({ d1: true }),
        expressCapability({ endToEndPrefixes: 1 }),
        vendorCapability(Uint8Array.of(1, 2, 3, 4, 5)),
      ],
      extendedCapabilities: [
        errorReportingCapability(),
        serialNumberCapability(0x0123_4567_89ab_cdefn),
        pasidCapability({ execute: true }),
        atsCapability(),
        priCapability({ capacity: 128, allocation: 64 }),
        vendorExtendedCapability({ vsecId: 0x42, revision: 1, body: new Uint8Array(8) }),
      ],
    }).fn,
  );
  const integrated = bus.plug(
    host({ capabilities: [expressCapability({ type: "integrated" })] }).fn,
    express + 1,
  );
  const conventional = bus.plug(
    host({
      bars: [{ index: 0, size: 0x100, kind: "io" }],
      interrupts: { pin: 4, msi: { vectors: 2, address64: false } },
      capabilities: [
        powerManagementCapability({ d2: true, noSoftReset: true }),
        advancedFeaturesCapability(),
      ],
    }).fn,
  );
  bus.assignBars();
  for (const endpoint of [edu, express, integrated, conventional]) {
    bus.configWrite(endpoint, spec.PCI_COMMAND, 2, 0x0007);
    const line = bus.interruptLine(endpoint);
    if (line !== null) bus.configWrite(endpoint, spec.PCI_INTERRUPT_LINE, 1, 10 + line);
  }
  bus.configWrite(edu, 0x42, 2, 1);
  bus.configWrite(edu, 0x44, 4, 0xfee0_1000);
  bus.configWrite(edu, 0x4c, 2, 0x4021);
  bus.configWrite(express, 0x5a, 2, 0x8000);
  bus.configWrite(express, 0x13e, 2, 0x0003);
  bus.configWrite(express, 0x146, 2, 0x8000);
  bus.configWrite(express, 0x14c, 2, 0x0001);
  return bus;
}

const version = await installedVersion();
// A machine of ours has it, so that its absence there is a failure and no excuse.
const ignore = version === null && Deno.env.get("CI") !== "true";
if (ignore) {
  Deno.stderr.writeSync(
    new TextEncoder().encode(
      `\nSKIPPED: lspci is not installed, so nothing judges our configuration space. ` +
        `Mend it with: apt-get install -y ${PACKAGE}\n\n`,
    ),
  );
}

Deno.test({
  name: "lspciDump() gives lspci -F a dump that it reads as expected, without a warning",
  ignore,
  async fn() {
    assert(version !== null, `lspci is missing: apt-get install -y ${PACKAGE}`);
    const golden = new URL("lspci.txt", import.meta.url);
    const { text, complaints } = await lspci(lspciDump(dumpBus(machine())));
    assertEquals(complaints, "");
    if (Deno.env.get("UPDATE_GOLDEN") === "1") await Deno.writeTextFile(golden, text);
    const expected = await Deno.readTextFile(golden);
    assertEquals(outline(text), outline(expected));
    if (version === GOLDEN_VERSION) assertEquals(text, expected);
  },
});
