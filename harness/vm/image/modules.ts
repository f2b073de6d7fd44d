/**
 * Which kernel modules to load, and in which order (modules.dep(5)).
 * @module
 */

/** Modules by name with what each needs, from the text of `modules.dep`. */
export class ModuleIndex {
  /** Path below the modules' folder, by name. */
  readonly #paths = new Map<string, string>();
  readonly #needs = new Map<string, readonly string[]>();
  readonly #builtin = new Set<string>();

  constructor(modulesDep: string, modulesBuiltin: string) {
    for (const line of modulesDep.split("\n")) {
      const colon = line.indexOf(":");
      if (colon < 0) continue;
      const path = line.slice(0, colon);
      this.#paths.set(moduleName(path), path);
      this.#needs.set(path, line.slice(colon + 1).split(/\s+/).filter((word) => word !== ""));
    }
    for (const line of modulesBuiltin.split("\n")) {
      if (line !== "") this.#builtin.add(moduleName(line));
    }
  }

  /**
   * Paths of the modules called for and all they need, each after what it needs.
   * What is built into the kernel needs no file.
   * @throws {Error} naming the module that this kernel does not have
   */
  resolve(names: readonly string[]): string[] {
    const order: string[] = [];
    const seen = new Set<string>();
    const visit = (path: string): void => {
      if (seen.has(path)) return;
      seen.add(path);
      for (const need of this.#needs.get(path) ?? []) visit(need);
      order.push(path);
    };
    for (const name of names) {
      const path = this.#paths.get(moduleName(name));
      if (path !== undefined) visit(path);
      else if (!this.#builtin.has(moduleName(name))) {
        throw new Error(`Cannot find the kernel module ${name}: this kernel has none of that name`);
      }
    }
    return order;
  }
}

/** `kernel/drivers/vfio/pci/vfio-pci.ko.xz` is `vfio_pci`: the kernel takes `-` and `_` for one. */
function moduleName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1).replace(/\.ko(?:\.\w+)?$/, "").replaceAll("-", "_");
}
