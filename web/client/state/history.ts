/**
 * Fifteen minutes of samples in typed arrays, in blocks of about a minute: a
 * source that has gone costs nothing once its last block has.
 *
 * What is kept are running totals, not rates. So a chart of any resolution takes
 * two totals and divides, sums stay exact, and the busiest of a thousand sources
 * are found without walking their samples.
 *
 * @module
 */

/** Samples of a block: 64 s at four a second. */
const BLOCK = 256;
/** Blocks kept: 17 min, so that 15 are whole while one fills. */
const BLOCKS = 16;

/** Most samples kept. */
export const HISTORY_SAMPLES: number = BLOCK * BLOCKS;

/** Blocks that are older go even when there is room: with many sources, samples are few and far between. */
const KEEP_MS = 16 * 60_000;

interface Series {
  /** By block number modulo {@linkcode BLOCKS}; each holds all columns, one after another. */
  readonly blocks: (Float64Array | null)[];
  /** Which block each one is. */
  readonly numbers: Int32Array;
}

/** The samples of many sources, each with the same columns, all taken at the same instants. */
export class History {
  readonly #columns: number;
  readonly #times = new Float64Array(HISTORY_SAMPLES);
  readonly #broken = new Uint8Array(HISTORY_SAMPLES);
  readonly #series = new Map<string, Series>();
  #count = 0;
  #first = 0;

  /** `columns` values are kept of each source at each instant. */
  constructor(columns: number) {
    this.#columns = columns;
  }

  /** Samples ever taken; the last one's index is one less. */
  get count(): number {
    return this.#count;
  }

  /** The oldest sample that is still there. */
  get first(): number {
    return this.#first;
  }

  /** The sources that were ever named and still have samples. */
  get sources(): Iterable<string> {
    return this.#series.keys();
  }

  /**
   * Begins a sample at `timeMs`, which must not go back. `after` says whether
   * something is missing between it and the one before: nothing is drawn across it.
   */
  begin(timeMs: number, after: "sample" | "gap"): void {
    const at = this.#count++ % HISTORY_SAMPLES;
    this.#times[at] = timeMs;
    this.#broken[at] = after === "gap" ? 1 : 0;
    if (this.#count % BLOCK === 1) this.#forget(timeMs);
  }

  /** Stores one value of the sample that was begun last. */
  set(source: string, column: number, value: number): void {
    this.#store(source, column, this.#count - 1, value);
  }

  /** Stores one value of the sample before, for a source that turns out to have been at it then. */
  setBefore(source: string, column: number, value: number): void {
    if (this.#count - 2 >= this.#first) this.#store(source, column, this.#count - 2, value);
  }

  #store(source: string, column: number, sample: number, value: number): void {
    let series = this.#series.get(source);
    if (series === undefined) {
      series = {
        blocks: new Array<Float64Array | null>(BLOCKS).fill(null),
        numbers: new Int32Array(BLOCKS).fill(-1),
      };
      this.#series.set(source, series);
    }
    const number = Math.floor(sample / BLOCK);
    const slot = number % BLOCKS;
    let block = series.blocks[slot] ?? null;
    if (block === null || series.numbers[slot] !== number) {
      block ??= new Float64Array(BLOCK * this.#columns);
      block.fill(NaN);
      series.blocks[slot] = block;
      series.numbers[slot] = number;
    }
    block[column * BLOCK + sample % BLOCK] = value;
  }

  /** A stored value; NaN when there is none, or no longer. */
  value(source: string, column: number, sample: number): number {
    const series = this.#series.get(source);
    if (series === undefined || sample < 0) return NaN;
    const number = Math.floor(sample / BLOCK);
    const slot = number % BLOCKS;
    if (series.numbers[slot] !== number) return NaN;
    return series.blocks[slot]?.[column * BLOCK + sample % BLOCK] ?? NaN;
  }

  /** When a sample was taken. */
  timeMs(sample: number): number {
    return this.#times[sample % HISTORY_SAMPLES]!;
  }

  /** Whether something is missing before a sample. */
  isBroken(sample: number): boolean {
    return this.#broken[sample % HISTORY_SAMPLES] === 1;
  }

  /** The last sample at or before `timeMs`; -1 when all that are left are later. */
  sampleAt(timeMs: number): number {
    let low = this.first;
    let high = this.#count - 1;
    let found = -1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (this.timeMs(middle) <= timeMs) {
        found = middle;
        low = middle + 1;
      } else {
        high = middle - 1;
      }
    }
    return found;
  }

  /** Drops everything. */
  clear(): void {
    this.#series.clear();
    this.#count = 0;
    this.#first = 0;
  }

  #forget(nowMs: number): void {
    this.#first = Math.max(this.#first, this.#count - 1 - HISTORY_SAMPLES + BLOCK);
    while (
      this.#first + 2 * BLOCK < this.#count &&
      this.timeMs(this.#first + BLOCK) < nowMs - KEEP_MS
    ) this.#first += BLOCK;
    const oldest = Math.floor(this.#first / BLOCK);
    for (const [source, { blocks, numbers }] of this.#series) {
      let left = false;
      for (let slot = 0; slot < BLOCKS; slot++) {
        if (numbers[slot]! >= oldest) left = true;
        else blocks[slot] = null;
      }
      if (!left) this.#series.delete(source);
    }
  }
}

/** Columns that a chart draws: equal stretches of time, and where their ends lie among the samples. */
export class Grid {
  /** The middle of each stretch, in seconds from 1970: what uPlot wants. */
  readonly seconds: Float64Array;
  /** Length of a stretch. */
  readonly stepMs: number;
  readonly fromMs: number;
  readonly #history: History;
  /** The sample at or before each edge, and how far the edge is on the way to the next. */
  readonly #at: Int32Array;
  readonly #fraction: Float64Array;
  readonly #broken: Uint8Array;

  /** At most about `columns` stretches from `fromMs` to `toMs`, at multiples of their length. */
  constructor(history: History, fromMs: number, toMs: number, columns = 240) {
    this.#history = history;
    this.stepMs = Math.max(250, Math.ceil((toMs - fromMs) / columns / 250) * 250);
    this.fromMs = Math.floor(fromMs / this.stepMs) * this.stepMs;
    const count = Math.max(0, Math.floor((toMs - this.fromMs) / this.stepMs));
    this.seconds = new Float64Array(count);
    this.#at = new Int32Array(count + 1);
    this.#fraction = new Float64Array(count + 1);
    this.#broken = new Uint8Array(count);
    let sample = history.sampleAt(this.fromMs);
    for (let edge = 0; edge <= count; edge++) {
      const time = this.fromMs + edge * this.stepMs;
      const before = sample;
      if (sample < 0 && history.count > 0 && history.timeMs(history.first) <= time) {
        sample = history.first;
      }
      while (sample >= 0 && sample + 1 < history.count && history.timeMs(sample + 1) <= time) {
        sample++;
      }
      this.#at[edge] = sample;
      if (sample >= 0 && sample + 1 < history.count) {
        const start = history.timeMs(sample);
        const length = history.timeMs(sample + 1) - start;
        this.#fraction[edge] = length > 0 ? (time - start) / length : 0;
      }
      if (edge === 0) continue;
      this.seconds[edge - 1] = (time - this.stepMs / 2) / 1000;
      // An edge between two samples leans on the later one too.
      const last = this.#fraction[edge]! > 0 ? sample + 1 : sample;
      const isPast = sample + 1 >= history.count && sample >= 0 && time > history.timeMs(sample);
      let broken = before < 0 || sample < 0 || isPast;
      for (let i = before + 1; i <= last && !broken; i++) broken = history.isBroken(i);
      this.#broken[edge - 1] = broken ? 1 : 0;
    }
  }

  /** Stretches. */
  get length(): number {
    return this.seconds.length;
  }

  /** How much the total in `column` grew in each stretch; null where that is not known. */
  growth(source: string, column: number): (number | null)[] {
    const result = new Array<number | null>(this.length);
    let before = this.#edge(source, column, 0);
    for (let i = 0; i < this.length; i++) {
      const after = this.#edge(source, column, i + 1);
      const grown = after - before;
      // A total that fell was started afresh.
      result[i] = this.#broken[i] === 1 || !(grown >= 0) ? null : grown;
      before = after;
    }
    return result;
  }

  /** {@linkcode growth} a second. */
  rate(source: string, column: number): (number | null)[] {
    const perSecond = 1000 / this.stepMs;
    return this.growth(source, column).map((grown) => grown === null ? null : grown * perSecond);
  }

  /** The last value of `column` that was sampled in each stretch, or holds through it; null where none does. */
  gauge(source: string, column: number): (number | null)[] {
    const result = new Array<number | null>(this.length).fill(null);
    for (let i = 0; i < this.length; i++) {
      const first = this.#at[i]!;
      const last = this.#at[i + 1]!;
      // Between two samples that are further apart than a stretch is long, the former holds.
      const end = first === last && this.#broken[i] === 0 ? first - 1 : first;
      for (let sample = last; sample > end; sample--) {
        const value = this.#history.value(source, column, sample);
        if (Number.isNaN(value)) continue;
        result[i] = value;
        break;
      }
    }
    return result;
  }

  #edge(source: string, column: number, edge: number): number {
    const sample = this.#at[edge]!;
    const value = this.#history.value(source, column, sample);
    const fraction = this.#fraction[edge]!;
    if (fraction === 0) return value;
    const next = this.#history.value(source, column, sample + 1);
    return value + (next - value) * fraction;
  }
}

/**
 * The `count` sources whose total in `column` grew most between two instants, the
 * greatest first, and all the others.
 */
export function busiest(
  history: History,
  sources: Iterable<string>,
  column: number,
  fromMs: number,
  toMs: number,
  count: number,
): { top: string[]; others: string[] } {
  const last = history.sampleAt(toMs);
  const from = Math.max(history.first, history.sampleAt(fromMs));
  const growth: { source: string; grown: number }[] = [];
  for (const source of sources) {
    const end = history.value(source, column, last);
    const start = history.value(source, column, from);
    const grown = end - (Number.isNaN(start) ? 0 : start);
    growth.push({ source, grown: Number.isNaN(grown) ? -1 : grown });
  }
  growth.sort((a, b) => b.grown - a.grown || (a.source < b.source ? -1 : 1));
  const sorted = growth.map(({ source }) => source);
  // One more than fits is shown itself: 'others' would be as long as its name.
  const shown = sorted.length === count + 1 ? count + 1 : count;
  return { top: sorted.slice(0, shown), others: sorted.slice(shown) };
}
