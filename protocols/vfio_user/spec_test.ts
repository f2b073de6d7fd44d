import { assertEquals } from "@std/assert";
import * as extension from "./extension_spec.ts";
import * as spec from "./spec.ts";
import * as vfio from "./vfio_spec.ts";

Deno.test("structures have the sizes of the specification and of linux/vfio.h", () => {
  const sizes: Readonly<Record<string, number>> = {
    VFIO_USER_HEADER: 16,
    VFIO_USER_VERSION_BODY: 4,
    VFIO_USER_DMA_MAP_BODY: 32,
    VFIO_USER_DMA_UNMAP_BODY: 24,
    VFIO_USER_BITMAP: 16,
    VFIO_USER_REGION_ACCESS: 16,
    VFIO_USER_DMA_ACCESS: 16,
    VFIO_USER_WRITE_MULTI_BODY: 8,
    VFIO_USER_WRITE_MULTI_ENTRY: 24,
    VFIO_USER_REGION_IO_FDS: 16,
    VFIO_USER_IO_FD: 40,
    VFIO_USER_IO_FD_SHADOW: 48,
    VFIO_USER_MIG_DATA: 8,
    VFIO_DEVICE_INFO: 16,
    VFIO_REGION_INFO: 32,
    VFIO_INFO_CAP_HEADER: 8,
    VFIO_REGION_SPARSE_MMAP: 8,
    VFIO_REGION_SPARSE_MMAP_AREA: 16,
    VFIO_REGION_CAP_TYPE: 8,
    VFIO_IRQ_INFO: 16,
    VFIO_IRQ_SET: 20,
    VFIO_DEVICE_FEATURE_BODY: 8,
    VFIO_DEVICE_FEATURE_MIGRATION_DATA: 8,
    VFIO_DEVICE_FEATURE_MIG_STATE: 8,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_CONTROL: 16,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_RANGE: 16,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT_DATA: 24,
    IOMMUFD_ALLOC_IOAS: 16,
    IOMMUFD_DESTROY_IOAS: 16,
    IOMMUFD_IOAS_MAP: 48,
    IOMMUFD_IOAS_UNMAP: 32,
    IOMMUFD_IOAS_COPY: 40,
    IOMMUFD_BIND: 16,
    IOMMUFD_ATTACH_PT: 16,
    IOMMUFD_DETACH_PT: 16,
    VFIO_USER_PAGE_REQUEST: 24,
  };
  const found: Record<string, number> = {};
  for (const [name, value] of Object.entries({ ...spec, ...vfio, ...extension })) {
    if (typeof value === "object" && "at" in value && "size" in value) found[name] = value.size;
  }
  assertEquals(found, sizes);
});

Deno.test("the largest fixed part is that of DMA_UNMAP with a bitmap", () => {
  assertEquals(
    spec.VfioUserLimit.FIXED_PART,
    spec.VFIO_USER_HEADER.size + spec.VFIO_USER_DMA_UNMAP_BODY.size + spec.VFIO_USER_BITMAP.size,
  );
});

Deno.test("command numbers are unique and skip 14, which the specification dropped", () => {
  const numbers = Object.values(spec.VfioUserCommand);
  assertEquals(new Set(numbers).size, 17);
  assertEquals(numbers.includes(14 as never), false);
});
