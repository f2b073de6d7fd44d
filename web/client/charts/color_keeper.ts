/**
 * Gives sources their colours, and lets them keep them while they come and go among
 * the busiest.
 * @module
 */

/** Colours by source. */
export class ColorKeeper {
  readonly #colors: number;
  readonly #byName = new Map<string, number>();

  /** There are `colors` of them. */
  constructor(colors: number) {
    this.#colors = colors;
  }

  /** A colour for each of `names`, no two alike while there are enough. In the order of `names`. */
  assign(names: readonly string[]): number[] {
    const taken = new Set<number>();
    const result = names.map((name) => {
      const color = this.#byName.get(name);
      if (color === undefined || taken.has(color)) return -1;
      taken.add(color);
      return color;
    });
    names.forEach((name, i) => {
      if (result[i] !== -1) return;
      let color = 0;
      while (taken.has(color) && color < this.#colors - 1) color++;
      taken.add(color);
      this.#byName.set(name, color);
      result[i] = color;
    });
    return result;
  }
}
