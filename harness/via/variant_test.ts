import { assert, assertEquals } from "@std/assert";
import { differsIn, usualVariantOf, VARIANTS, variantsOf, viaLabel } from "./variant.ts";

Deno.test("usualVariantOf() gives a third of all names to each variant of vfio-user, and a third to none", () => {
  const counts = new Map<string, number>();
  const names = 3000;
  for (let at = 0; at < names; at++) {
    const variant = usualVariantOf("vfio-user", `scenario-${at}`) ?? "none";
    counts.set(variant, (counts.get(variant) ?? 0) + 1);
  }
  assertEquals([...counts.keys()].sort(), ["messages", "none", "twin-socket"]);
  for (const [variant, count] of counts) {
    assert(count > names * 0.3 && count < names * 0.37, `${variant}: ${count}`);
  }
});

Deno.test("usualVariantOf() depends on nothing but the name", () => {
  // Changed on purpose only: reports and reruns rest on it.
  assertEquals(
    ["many-mappings", "edu-dma-soak", "edu-identify"].map((name) =>
      usualVariantOf("vfio-user", name)
    ),
    ["messages", "twin-socket", null],
  );
});

Deno.test("usualVariantOf() gives half of all names to the one variant of qemu, and none to direct's none", () => {
  const names = Array.from({ length: 3000 }, (_, at) => `scenario-${at}`);
  const count = names.filter((name) => usualVariantOf("qemu", name) === "virtio-iommu").length;
  assert(count > names.length * 0.45 && count < names.length * 0.55, `${count}`);
  assert(names.every((name) => usualVariantOf("direct", name) === null));
});

Deno.test("variantsOf() knows the variants of each via, which VARIANTS has all", () => {
  assertEquals(variantsOf("direct"), []);
  assertEquals(variantsOf("vfio-user"), ["messages", "twin-socket"]);
  assertEquals(variantsOf("qemu"), ["virtio-iommu"]);
  assertEquals(VARIANTS, ["messages", "twin-socket", "virtio-iommu"]);
});

Deno.test("differsIn() has no IOMMU of another kind where there is none", () => {
  assertEquals(differsIn("identity", "virtio-iommu"), false);
  assertEquals(differsIn("remap", "virtio-iommu"), true);
  assertEquals(differsIn("identity", "messages"), true);
});

Deno.test("viaLabel() names the variant where there is one", () => {
  assertEquals(viaLabel("vfio-user", undefined), "vfio-user");
  assertEquals(viaLabel("vfio-user", "messages"), "vfio-user (messages)");
});
