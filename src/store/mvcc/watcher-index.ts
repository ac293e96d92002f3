/**
 * Whom a change of a key concerns: watchers in groups of the same key or range, found by a look-up for keys and in a
 * tree for ranges. A thousand watchers of one range are found as one. The tree is only made anew after many ranges
 * have come or gone: new ones are looked through one by one until then, and empty ones stay. Keys are `latin1`.
 */
import { ascending } from '../../bytes/order.ts';

/** No `end` is one key, an empty one all keys from `key` on. */
export interface WatchRange {
  readonly key: string;
  readonly end: string | undefined;
}

export interface WatcherGroup<W> extends WatchRange {
  readonly members: Set<W>;
}

/** Ranges that come or go before the tree is made anew. */
const CHANGES_MAX = 64;

export class WatcherIndex<W extends { readonly range: WatchRange }> {
  /** Number of watchers. */
  size = 0;
  readonly #keys = new Map<string, WatcherGroup<W>>();
  /** Groups by end, by key. */
  readonly #ranges = new Map<string, Map<string, WatcherGroup<W>>>();
  /** Groups of ranges by key: read as a tree in which the middle of a run is the parent of both halves. */
  #tree: Array<WatcherGroup<W>> = [];
  /** The highest end within the run whose middle an element of the tree is; empty is above all. */
  #highestEnds: string[] = [];
  /** Ranges that are not in the tree. */
  readonly #recent = new Set<WatcherGroup<W>>();
  /** Groups of the tree that have no members any more. */
  #emptyCount = 0;

  add(watcher: W): void {
    const { key, end } = watcher.range;
    let groups = this.#keys;
    if (end !== undefined) {
      groups = this.#ranges.get(key) ?? new Map();
      this.#ranges.set(key, groups);
    }
    let group = groups.get(end ?? key);
    if (!group) {
      group = { key, end, members: new Set() };
      groups.set(end ?? key, group);
      if (end !== undefined) this.#recent.add(group);
    }
    group.members.add(watcher);
    this.size++;
  }

  /** It must be there. */
  delete(watcher: W): void {
    const { key, end } = watcher.range;
    const groups = end === undefined ? this.#keys : this.#ranges.get(key)!;
    const group = groups.get(end ?? key)!;
    group.members.delete(watcher);
    this.size--;
    if (group.members.size > 0) return;
    groups.delete(end ?? key);
    if (end === undefined) return;
    if (groups.size === 0) this.#ranges.delete(key);
    if (!this.#recent.delete(group)) this.#emptyCount++;
  }

  *groups(): Generator<WatcherGroup<W>, void> {
    yield* this.#keys.values();
    for (const groups of this.#ranges.values()) yield* groups.values();
  }

  /** Calls `found` with each group whose range holds `key`. */
  find(key: string, found: (group: WatcherGroup<W>) => void): void {
    const exact = this.#keys.get(key);
    if (exact) found(exact);
    if (this.#ranges.size === 0) return;
    if (this.#recent.size > CHANGES_MAX || this.#emptyCount > CHANGES_MAX) this.#plant();
    for (const group of this.#recent) if (group.key <= key && !isAtOrAbove(key, group.end!)) found(group);
    this.#findIn(key, 0, this.#tree.length, found);
  }

  has(key: string): boolean {
    let isFound = false;
    this.find(key, () => (isFound = true));
    return isFound;
  }

  #findIn(key: string, low: number, high: number, found: (group: WatcherGroup<W>) => void): void {
    if (low >= high) return;
    const middle = (low + high) >>> 1;
    if (isAtOrAbove(key, this.#highestEnds[middle]!)) return;
    this.#findIn(key, low, middle, found);
    const group = this.#tree[middle]!;
    if (group.key > key) return;
    if (group.members.size > 0 && !isAtOrAbove(key, group.end!)) found(group);
    this.#findIn(key, middle + 1, high, found);
  }

  #plant(): void {
    const tree: Array<WatcherGroup<W>> = [];
    for (const key of [...this.#ranges.keys()].sort(ascending))
      for (const group of this.#ranges.get(key)!.values()) tree.push(group);
    this.#highestEnds = Array.from({ length: tree.length });
    this.#highestEnd(tree, 0, tree.length);
    this.#tree = tree;
    this.#recent.clear();
    this.#emptyCount = 0;
  }

  #highestEnd(tree: ReadonlyArray<WatcherGroup<W>>, low: number, high: number): string | undefined {
    if (low >= high) return undefined;
    const middle = (low + high) >>> 1;
    let highest = tree[middle]!.end!;
    for (const end of [this.#highestEnd(tree, low, middle), this.#highestEnd(tree, middle + 1, high)])
      if (end !== undefined && highest !== '' && (end === '' || end > highest)) highest = end;
    this.#highestEnds[middle] = highest;
    return highest;
  }
}

/** Whether `key` lies at or above `end`, where an empty one is above all. */
function isAtOrAbove(key: string, end: string): boolean {
  return end !== '' && key >= end;
}
