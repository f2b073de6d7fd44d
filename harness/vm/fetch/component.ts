/**
 * What is fetched as one: QEMU, the guest's kernel with its user space, a compiler.
 * @module
 */

import type { Apt, AptPackage } from "./apt.ts";

/** The suites that all components come from. */
export const SUITES: readonly string[] = ["trixie", "trixie-backports"];

/** One component. */
export interface Component {
  /** Its key in the lock file, and the start of its folder's name. */
  readonly name: "qemu" | "guest" | "compiler";
  /** For people. */
  readonly title: string;
  /** The newest packages there are, for a lock, and when those of the lock are gone. */
  resolve(apt: Apt): Promise<AptPackage[]>;
}

/** QEMU and every library it needs: it runs beside the host's own. */
export const QEMU: Component = {
  name: "qemu",
  title: "QEMU",
  // QEMU has the client of vfio-user since 10.1; trixie itself carries an older one.
  resolve: (apt) => apt.closure(["qemu-system-x86"], "trixie-backports"),
};

/** A Linux made for virtual machines, with its modules, and a static busybox. */
export const GUEST: Component = {
  name: "guest",
  title: "a Linux kernel and busybox",
  async resolve(apt) {
    const kernel = await apt.firstDependency("linux-image-cloud-amd64");
    return [await apt.newest("busybox-static"), await apt.newest(kernel)];
  },
};

/** A C compiler without its driver, for machines that have none: it makes the guest's own programs. */
export const COMPILER: Component = {
  name: "compiler",
  title: "a C compiler",
  resolve: (apt) =>
    apt.closure(
      [
        "cpp-14-x86-64-linux-gnu",
        "binutils-x86-64-linux-gnu",
        "libgcc-14-dev",
        "libc6-dev",
      ],
      "trixie",
    ),
};
