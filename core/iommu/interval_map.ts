/**
 * The truth about a set of mappings: disjoint byte ranges in ascending order,
 * each with a target and flags. A B+tree whose nodes are stretches of typed
 * arrays, so that an entry costs some 25 bytes and no object, whatever its size.
 * @module
 */

/** Entries of a leaf; children of an inner node. */
const FAN = 32;
/** A leaf or node with fewer is merged with a neighbour, when both together stay below {@linkcode MERGED}. */
const SPARSE = FAN / 4;
const MERGED = FAN - SPARSE;
/** Levels of inner nodes. With at least two children each, 2^40 leaves. */
const MAX_HEIGHT = 40;

/** Where an entry stands, from `find()` and its like; -1 for none. Any insertion or removal ends its validity. */
export type Slot = number;

/** Disjoint ranges [start, last], ends inclusive, with a target address and 8 flag bits. */
export class IntervalMap {
  #size = 0;

  // Leaves: entry `i` of leaf `n` is at index n * FAN + i, and that index is its slot.
  #starts = new Float64Array(FAN);
  #lasts = new Float64Array(FAN);
  #targets = new Float64Array(FAN);
  #flags = new Uint8Array(FAN);
  #leafCount = new Uint8Array(1);
  #leafNext = new Int32Array(1).fill(-1);
  #leafPrevious = new Int32Array(1).fill(-1);
  #leaves = 1;
  /** Head of the list of leaves to reuse, linked by {@linkcode #leafNext}. */
  #freeLeaf = -1;
  #firstLeaf = 0;

  // Inner nodes: `keys[i]` is a lower bound of all starts below child `i`, and
  // above all starts below child `i - 1`. `keys[0]` is never looked at.
  #keys = new Float64Array(0);
  #children = new Int32Array(0);
  #nodeCount = new Uint8Array(0);
  #nodes = 0;
  #freeNode = -1;

  #root = 0;
  /** Inner levels above the leaves. */
  #height = 0;

  /**
   * What #find() and #floor() look for. Handed over in a typed array, since V8
   * allocates for a number of 2^31 or more that crosses a call it has not inlined;
   * what stores it here is small enough to be inlined always.
   */
  readonly #sought = new Float64Array(1);

  // The way of the last #descend(): node and child position of each level, from the root.
  readonly #pathNode = new Int32Array(MAX_HEIGHT);
  readonly #pathChild = new Int32Array(MAX_HEIGHT);

  /** Number of ranges. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of memory held, for the figures a mapping costs. */
  get byteLength(): number {
    return this.#starts.byteLength + this.#lasts.byteLength + this.#targets.byteLength +
      this.#flags.byteLength + this.#leafCount.byteLength + this.#leafNext.byteLength +
      this.#leafPrevious.byteLength + this.#keys.byteLength + this.#children.byteLength +
      this.#nodeCount.byteLength;
  }

  /** First address of the range. */
  startOf(slot: Slot): number {
    return this.#starts[slot]!;
  }

  /** Last address of the range. */
  lastOf(slot: Slot): number {
    return this.#lasts[slot]!;
  }

  /** Target of the range's first address. */
  targetOf(slot: Slot): number {
    return this.#targets[slot]!;
  }

  /** Flags of the range, 8 bits. */
  flagsOf(slot: Slot): number {
    return this.#flags[slot]!;
  }

  /** The range that holds `address`, or -1. */
  find(address: number): Slot {
    this.#sought[0] = address;
    return this.#find();
  }

  /** The range with the greatest start that is at most `address`, or -1. */
  floor(address: number): Slot {
    this.#sought[0] = address;
    return this.#floor();
  }

  #find(): Slot {
    const slot = this.#floor();
    return slot >= 0 && this.#sought[0]! <= this.#lasts[slot]! ? slot : -1;
  }

  #floor(): Slot {
    const address = this.#sought[0]!;
    let node = this.#root;
    const keys = this.#keys;
    const children = this.#children;
    for (let level = this.#height; level > 0; level--) {
      const base = node * FAN;
      let low = 0;
      let high = this.#nodeCount[node]! - 1;
      while (low < high) {
        const middle = (low + high + 1) >>> 1;
        if (keys[base + middle]! <= address) low = middle;
        else high = middle - 1;
      }
      node = children[base + low]!;
    }
    const base = node * FAN;
    const starts = this.#starts;
    let low = -1;
    let high = this.#leafCount[node]! - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[base + middle]! <= address) low = middle;
      else high = middle - 1;
    }
    if (low >= 0) return base + low;
    // Below this leaf's first entry: the one before, in the leaf before.
    return this.#lastSlot(this.#leafPrevious[node]!);
  }

  /** The first range that ends at or after `address`, or -1. */
  from(address: number): Slot {
    const slot = this.floor(address);
    if (slot < 0) return this.first();
    return this.#lasts[slot]! >= address ? slot : this.next(slot);
  }

  /** The first range, or -1. */
  first(): Slot {
    return this.#size === 0 ? -1 : this.#firstLeaf * FAN;
  }

  /** The range after `slot`, or -1. */
  next(slot: Slot): Slot {
    const leaf = (slot / FAN) | 0;
    if (slot + 1 < leaf * FAN + this.#leafCount[leaf]!) return slot + 1;
    return this.#firstSlot(this.#leafNext[leaf]!);
  }

  /** The range before `slot`, or -1. */
  previous(slot: Slot): Slot {
    const leaf = (slot / FAN) | 0;
    if (slot > leaf * FAN) return slot - 1;
    return this.#lastSlot(this.#leafPrevious[leaf]!);
  }

  /** Whether any range meets [start, last]. */
  overlaps(start: number, last: number): boolean {
    const slot = this.floor(last);
    return slot >= 0 && this.#lasts[slot]! >= start;
  }

  /** Adds [start, last], which must be free. @returns false, and nothing has changed, when it meets another range */
  insert(start: number, last: number, target: number, flags: number): boolean {
    let leaf = this.#descend(start);
    let count = this.#leafCount[leaf]!;
    let at = this.#upperBound(leaf, start);
    // Only the two neighbours can be met: ranges are disjoint and in order.
    const before = at > 0 ? leaf * FAN + at - 1 : this.#lastSlot(this.#leafPrevious[leaf]!);
    if (before >= 0 && this.#lasts[before]! >= start) return false;
    const after = at < count ? leaf * FAN + at : this.#firstSlot(this.#leafNext[leaf]!);
    if (after >= 0 && this.#starts[after]! <= last) return false;
    if (count === FAN) {
      const right = this.#splitLeaf(leaf, at);
      const kept = this.#leafCount[leaf]!;
      if (at > kept || (at === kept && kept === FAN)) {
        at -= kept;
        leaf = right;
      }
      count = this.#leafCount[leaf]!;
    }
    const base = leaf * FAN;
    for (let i = base + count; i > base + at; i--) this.#move(i - 1, i);
    this.#starts[base + at] = start;
    this.#lasts[base + at] = last;
    this.#targets[base + at] = target;
    this.#flags[base + at] = flags;
    this.#leafCount[leaf] = count + 1;
    this.#size++;
    return true;
  }

  /** Removes the range that starts at `start`. @returns its last address, or -1 when there was none */
  remove(start: number): number {
    const leaf = this.#descend(start);
    const base = leaf * FAN;
    const at = this.#upperBound(leaf, start) - 1;
    if (at < 0 || this.#starts[base + at] !== start) return -1;
    const last = this.#lasts[base + at]!;
    const count = this.#leafCount[leaf]! - 1;
    for (let i = base + at; i < base + count; i++) this.#move(i + 1, i);
    this.#leafCount[leaf] = count;
    this.#size--;
    if (count < SPARSE && this.#height > 0) this.#shrinkLeaf(leaf);
    return last;
  }

  /** Removes every range, and gives the memory back. */
  clear(): void {
    this.#size = 0;
    this.#starts = new Float64Array(FAN);
    this.#lasts = new Float64Array(FAN);
    this.#targets = new Float64Array(FAN);
    this.#flags = new Uint8Array(FAN);
    this.#leafCount = new Uint8Array(1);
    this.#leafNext = new Int32Array(1).fill(-1);
    this.#leafPrevious = new Int32Array(1).fill(-1);
    this.#leaves = 1;
    this.#freeLeaf = -1;
    this.#firstLeaf = 0;
    this.#keys = new Float64Array(0);
    this.#children = new Int32Array(0);
    this.#nodeCount = new Uint8Array(0);
    this.#nodes = 0;
    this.#freeNode = -1;
    this.#root = 0;
    this.#height = 0;
  }

  /** Leaf where a range starting at `address` belongs; notes the way. */
  #descend(address: number): number {
    let node = this.#root;
    for (let level = 0; level < this.#height; level++) {
      const base = node * FAN;
      let low = 0;
      let high = this.#nodeCount[node]! - 1;
      while (low < high) {
        const middle = (low + high + 1) >>> 1;
        if (this.#keys[base + middle]! <= address) low = middle;
        else high = middle - 1;
      }
      this.#pathNode[level] = node;
      this.#pathChild[level] = low;
      node = this.#children[base + low]!;
    }
    return node;
  }

  /** Number of the leaf's entries that start at or before `address`. */
  #upperBound(leaf: number, address: number): number {
    const base = leaf * FAN;
    let low = 0;
    let high = this.#leafCount[leaf]!;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#starts[base + middle]! <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** First slot of a leaf, -1 for no leaf. */
  #firstSlot(leaf: number): Slot {
    return leaf < 0 ? -1 : leaf * FAN;
  }

  /** Last slot of a leaf, -1 for no leaf. */
  #lastSlot(leaf: number): Slot {
    return leaf < 0 ? -1 : leaf * FAN + this.#leafCount[leaf]! - 1;
  }

  #move(from: number, to: number): void {
    this.#starts[to] = this.#starts[from]!;
    this.#lasts[to] = this.#lasts[from]!;
    this.#targets[to] = this.#targets[from]!;
    this.#flags[to] = this.#flags[from]!;
  }

  /**
   * Makes room in a full leaf for an entry at position `at`, and returns the new
   * right half. An append at the very end keeps the left full: tables are mostly
   * filled in ascending order.
   */
  #splitLeaf(leaf: number, at: number): number {
    const right = this.#takeLeaf();
    const appends = at === FAN && this.#leafNext[leaf] === -1;
    const kept = appends ? FAN : FAN / 2;
    for (let i = kept; i < FAN; i++) this.#move(leaf * FAN + i, right * FAN + i - kept);
    this.#leafCount[leaf] = kept;
    this.#leafCount[right] = FAN - kept;
    const after = this.#leafNext[leaf]!;
    this.#leafNext[leaf] = right;
    this.#leafPrevious[right] = leaf;
    this.#leafNext[right] = after;
    if (after >= 0) this.#leafPrevious[after] = right;
    // The separator: above all that stays left, at or below all that is or comes right.
    const separator = appends ? this.#lasts[leaf * FAN + FAN - 1]! + 1 : this.#starts[right * FAN]!;
    this.#addChild(this.#height - 1, separator, right);
    return right;
  }

  /** Adds `child` right of the way's child at `level`; -1 is above the root. */
  #addChild(level: number, key: number, child: number): void {
    if (level < 0) {
      const root = this.#takeNode();
      this.#children[root * FAN] = this.#root;
      this.#children[root * FAN + 1] = child;
      this.#keys[root * FAN + 1] = key;
      this.#nodeCount[root] = 2;
      this.#root = root;
      this.#height++;
      return;
    }
    let node = this.#pathNode[level]!;
    let at = this.#pathChild[level]! + 1;
    if (this.#nodeCount[node] === FAN) {
      const right = this.#takeNode();
      const kept = at === FAN ? FAN - 1 : FAN / 2;
      for (let i = kept; i < FAN; i++) {
        this.#keys[right * FAN + i - kept] = this.#keys[node * FAN + i]!;
        this.#children[right * FAN + i - kept] = this.#children[node * FAN + i]!;
      }
      this.#nodeCount[node] = kept;
      this.#nodeCount[right] = FAN - kept;
      this.#addChild(level - 1, this.#keys[right * FAN]!, right);
      if (at > kept) {
        at -= kept;
        node = right;
      }
    }
    const base = node * FAN;
    const count = this.#nodeCount[node]!;
    for (let i = base + count; i > base + at; i--) {
      this.#keys[i] = this.#keys[i - 1]!;
      this.#children[i] = this.#children[i - 1]!;
    }
    this.#keys[base + at] = key;
    this.#children[base + at] = child;
    this.#nodeCount[node] = count + 1;
  }

  /** Merges a sparse leaf with a neighbour below the same parent, or drops it when empty. */
  #shrinkLeaf(leaf: number): void {
    const level = this.#height - 1;
    const parent = this.#pathNode[level]!;
    const at = this.#pathChild[level]!;
    const count = this.#leafCount[leaf]!;
    if (count === 0 && this.#nodeCount[parent]! === 1) {
      this.#unlinkLeaf(leaf);
      this.#removeChild(level, at);
      return;
    }
    const leftAt = at > 0 ? at - 1 : at;
    if (leftAt + 1 >= this.#nodeCount[parent]!) return;
    const left = this.#children[parent * FAN + leftAt]!;
    const right = this.#children[parent * FAN + leftAt + 1]!;
    const leftCount = this.#leafCount[left]!;
    const rightCount = this.#leafCount[right]!;
    if (leftCount + rightCount > MERGED && count > 0) return;
    if (leftCount + rightCount > FAN) return;
    for (let i = 0; i < rightCount; i++) this.#move(right * FAN + i, left * FAN + leftCount + i);
    this.#leafCount[left] = leftCount + rightCount;
    this.#unlinkLeaf(right);
    this.#removeChild(level, leftAt + 1);
  }

  #unlinkLeaf(leaf: number): void {
    const before = this.#leafPrevious[leaf]!;
    const after = this.#leafNext[leaf]!;
    if (before >= 0) this.#leafNext[before] = after;
    else this.#firstLeaf = after;
    if (after >= 0) this.#leafPrevious[after] = before;
    this.#leafCount[leaf] = 0;
    this.#leafNext[leaf] = this.#freeLeaf;
    this.#freeLeaf = leaf;
  }

  /** Takes child `at` out of the way's node at `level`; nodes that become sparse merge, the root sinks. */
  #removeChild(level: number, at: number): void {
    const node = this.#pathNode[level]!;
    const base = node * FAN;
    const count = this.#nodeCount[node]! - 1;
    for (let i = base + at; i < base + count; i++) {
      this.#keys[i] = this.#keys[i + 1]!;
      this.#children[i] = this.#children[i + 1]!;
    }
    this.#nodeCount[node] = count;
    if (level === 0) {
      if (count === 1) {
        this.#root = this.#children[base]!;
        this.#height--;
        this.#freeNodeAt(node);
        this.#sinkRoot();
      } else if (count === 0) {
        // The last leaf went: start over with an empty one.
        this.clear();
      }
      return;
    }
    if (count >= SPARSE) return;
    const parent = this.#pathNode[level - 1]!;
    const parentAt = this.#pathChild[level - 1]!;
    if (count === 0) {
      this.#freeNodeAt(node);
      this.#removeChild(level - 1, parentAt);
      return;
    }
    const leftAt = parentAt > 0 ? parentAt - 1 : parentAt;
    if (leftAt + 1 >= this.#nodeCount[parent]!) return;
    const left = this.#children[parent * FAN + leftAt]!;
    const right = this.#children[parent * FAN + leftAt + 1]!;
    const leftCount = this.#nodeCount[left]!;
    const rightCount = this.#nodeCount[right]!;
    if (leftCount + rightCount > MERGED) return;
    for (let i = 0; i < rightCount; i++) {
      this.#children[left * FAN + leftCount + i] = this.#children[right * FAN + i]!;
      this.#keys[left * FAN + leftCount + i] = i === 0
        ? this.#keys[parent * FAN + leftAt + 1]!
        : this.#keys[right * FAN + i]!;
    }
    this.#nodeCount[left] = leftCount + rightCount;
    this.#freeNodeAt(right);
    this.#removeChild(level - 1, leftAt + 1);
  }

  /** A root with one child is no level at all. */
  #sinkRoot(): void {
    while (this.#height > 0 && this.#nodeCount[this.#root] === 1) {
      const node = this.#root;
      this.#root = this.#children[node * FAN]!;
      this.#height--;
      this.#freeNodeAt(node);
    }
  }

  #takeLeaf(): number {
    if (this.#freeLeaf >= 0) {
      const leaf = this.#freeLeaf;
      this.#freeLeaf = this.#leafNext[leaf]!;
      return leaf;
    }
    if (this.#leaves === this.#leafCount.length) {
      const capacity = grown(this.#leaves);
      this.#starts = widen(this.#starts, new Float64Array(capacity * FAN));
      this.#lasts = widen(this.#lasts, new Float64Array(capacity * FAN));
      this.#targets = widen(this.#targets, new Float64Array(capacity * FAN));
      this.#flags = widen(this.#flags, new Uint8Array(capacity * FAN));
      this.#leafCount = widen(this.#leafCount, new Uint8Array(capacity));
      this.#leafNext = widen(this.#leafNext, new Int32Array(capacity));
      this.#leafPrevious = widen(this.#leafPrevious, new Int32Array(capacity));
    }
    return this.#leaves++;
  }

  #takeNode(): number {
    if (this.#freeNode >= 0) {
      const node = this.#freeNode;
      this.#freeNode = this.#children[node * FAN]!;
      return node;
    }
    if (this.#nodes === this.#nodeCount.length) {
      const capacity = grown(this.#nodes);
      this.#keys = widen(this.#keys, new Float64Array(capacity * FAN));
      this.#children = widen(this.#children, new Int32Array(capacity * FAN));
      this.#nodeCount = widen(this.#nodeCount, new Uint8Array(capacity));
    }
    return this.#nodes++;
  }

  #freeNodeAt(node: number): void {
    this.#children[node * FAN] = this.#freeNode;
    this.#nodeCount[node] = 0;
    this.#freeNode = node;
  }
}

/** A quarter more: the room that stands empty is part of what a mapping costs. */
function grown(count: number): number {
  return Math.max(4, count + (count >>> 2) + 1);
}

function widen<A extends Float64Array | Int32Array | Uint8Array>(from: A, into: A): A {
  into.set(from);
  return into;
}
