/**
 * The iommufd commands and page requests that the specification does not hold (`extension_spec.ts`).
 * Each is one structure, the same both ways; without the negotiated capability the server answers
 * EINVAL before it looks at the body.
 * @module
 */

import type { Layout } from "../../../core/layout.ts";
import {
  IOMMUFD_ALLOC_IOAS,
  IOMMUFD_ATTACH_PT,
  IOMMUFD_BIND,
  IOMMUFD_DESTROY_IOAS,
  IOMMUFD_DETACH_PT,
  IOMMUFD_IOAS_COPY,
  IOMMUFD_IOAS_MAP,
  IOMMUFD_IOAS_UNMAP,
  VFIO_USER_PAGE_REQUEST,
  VfioUserExtensionCommand,
} from "../extension_spec.ts";
import type { Fields } from "../structure.ts";
import { type MessageCodec, structureBody } from "./codec.ts";

/** A command whose request and reply are one structure. */
export type StructureMessage<Field extends string> = MessageCodec<Fields<Field>, Fields<Field>>;

function message<Field extends string>(
  name: keyof typeof VfioUserExtensionCommand,
  layout: Layout<Field>,
): StructureMessage<Field> {
  const body = structureBody(layout, "argsz" in layout.at ? layout.size : null);
  return { command: VfioUserExtensionCommand[name], name, request: body, reply: body };
}

/** Makes an IOAS. */
export const ALLOC_IOAS: StructureMessage<keyof typeof IOMMUFD_ALLOC_IOAS.at> = message(
  "VFIO_USER_IOMMUFD_ALLOC_IOAS",
  IOMMUFD_ALLOC_IOAS,
);
/** Ends an IOAS. */
export const DESTROY_IOAS: StructureMessage<keyof typeof IOMMUFD_DESTROY_IOAS.at> = message(
  "VFIO_USER_IOMMUFD_DESTROY_IOAS",
  IOMMUFD_DESTROY_IOAS,
);
/** Maps a file; comes with one descriptor. */
export const IOAS_MAP: StructureMessage<keyof typeof IOMMUFD_IOAS_MAP.at> = message(
  "VFIO_USER_IOMMUFD_IOAS_MAP",
  IOMMUFD_IOAS_MAP,
);
/** Unmaps. */
export const IOAS_UNMAP: StructureMessage<keyof typeof IOMMUFD_IOAS_UNMAP.at> = message(
  "VFIO_USER_IOMMUFD_IOAS_UNMAP",
  IOMMUFD_IOAS_UNMAP,
);
/** Maps in one IOAS what another has mapped. */
export const IOAS_COPY: StructureMessage<keyof typeof IOMMUFD_IOAS_COPY.at> = message(
  "VFIO_USER_IOMMUFD_IOAS_COPY",
  IOMMUFD_IOAS_COPY,
);
/** Binds the device to an iommufd. */
export const BIND: StructureMessage<keyof typeof IOMMUFD_BIND.at> = message(
  "VFIO_USER_IOMMUFD_BIND",
  IOMMUFD_BIND,
);
/** Attaches the device, or one PASID of it, to an IOAS. */
export const ATTACH_PT: StructureMessage<keyof typeof IOMMUFD_ATTACH_PT.at> = message(
  "VFIO_USER_IOMMUFD_ATTACH_PT",
  IOMMUFD_ATTACH_PT,
);
/** Undoes {@linkcode ATTACH_PT}. */
export const DETACH_PT: StructureMessage<keyof typeof IOMMUFD_DETACH_PT.at> = message(
  "VFIO_USER_IOMMUFD_DETACH_PT",
  IOMMUFD_DETACH_PT,
);
/** Asks for pages, or says which were granted. */
export const DMA_PAGE_REQUEST: StructureMessage<keyof typeof VFIO_USER_PAGE_REQUEST.at> = message(
  "VFIO_USER_DMA_PAGE_REQUEST",
  VFIO_USER_PAGE_REQUEST,
);
