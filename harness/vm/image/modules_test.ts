import { assertEquals, assertThrows } from "@std/assert";
import { ModuleIndex } from "./modules.ts";

const index = new ModuleIndex(
  `kernel/vfio/vfio-pci.ko.xz: kernel/vfio/vfio-pci-core.ko.xz kernel/virt/irqbypass.ko.xz kernel/vfio/vfio.ko.xz
kernel/vfio/vfio-pci-core.ko.xz: kernel/vfio/vfio.ko.xz kernel/virt/irqbypass.ko.xz
kernel/vfio/vfio.ko.xz:
kernel/virt/irqbypass.ko.xz:
kernel/net/virtio_net.ko:
`,
  "kernel/drivers/virtio/virtio_pci.ko\n",
);

Deno.test("ModuleIndex.resolve() puts each module after all it needs, once", () => {
  const order = index.resolve(["vfio-pci", "vfio"]);
  assertEquals(order.map((path) => path.split("/").at(-1)), [
    "vfio.ko.xz",
    "irqbypass.ko.xz",
    "vfio-pci-core.ko.xz",
    "vfio-pci.ko.xz",
  ]);
});

Deno.test("ModuleIndex.resolve() takes - and _ for one, and any compression", () => {
  assertEquals(index.resolve(["virtio-net"]), ["kernel/net/virtio_net.ko"]);
  assertEquals(index.resolve(["vfio_pci"]).length, 4);
});

Deno.test("ModuleIndex.resolve() needs no file for what is built in", () => {
  assertEquals(index.resolve(["virtio-pci"]), []);
});

Deno.test("ModuleIndex.resolve() names a module that is nowhere", () => {
  assertThrows(() => index.resolve(["nvme"]), Error, "nvme");
});

Deno.test("ModuleIndex.resolve() ends on a circle of needs", () => {
  const circle = new ModuleIndex("a.ko: b.ko\nb.ko: a.ko\n", "");
  assertEquals(circle.resolve(["a"]), ["b.ko", "a.ko"]);
});
