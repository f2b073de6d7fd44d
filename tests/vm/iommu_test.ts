import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { EDU, EDU_DEVICE, start, vmTest } from "./_machine.ts";

for (const iommu of ["intel", "virtio"] as const) {
  vmTest(
    `Vm with iommu: ${iommu} puts devices into groups of their own, and VFIO takes one`,
    async () => {
      await using vm = await start({
        devices: EDU_DEVICE,
        iommu,
        image: { modules: ["vfio_iommu_type1", "vfio-pci ids=1234:11e8"] },
      });
      const { stdout } = await vm.guest.run(
        `cd /sys/bus/pci/devices/${EDU}
       basename $(readlink driver)
       ls iommu_group/devices
       ls /dev/vfio`,
      );
      const [driver, member, ...nodes] = stdout.trim().split("\n");
      assertEquals([driver, member], ["vfio-pci", EDU]);
      // The group's own node beside `vfio`: there is an IOMMU behind it.
      assert(nodes.includes("vfio") && nodes.some((node) => /^\d+$/.test(node)), stdout);
    },
  );
}

vmTest(
  "Vm without an IOMMU has no groups, and loads modules in the order of their needs",
  async () => {
    await using vm = await start({ devices: EDU_DEVICE, image: { modules: ["vfio-pci"] } });
    const { stdout } = await vm.guest.run("ls /sys/kernel/iommu_groups | wc -l; lsmod");
    assertEquals(stdout.split("\n")[0], "0");
    for (const name of ["vfio_pci ", "vfio_pci_core ", "vfio ", "irqbypass "]) {
      assertStringIncludes(stdout, name);
    }
    assertEquals(vm.consoleTail(), "");
  },
);
