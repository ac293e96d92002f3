/**
 * Rows that were put or deleted and stand in memory over others. Rows that come in ascending order, as revisions do,
 * are kept in order at no cost; others are sorted when order is asked for.
 */
import { ascending, latin1 } from '../../bytes/order.ts';
import type { Edits } from '../rewrite.ts';
import type { Pair, ScanRange } from './backend.ts';

/** By key in `latin1`; undefined stands for a row that is gone. */
export type Rows = Map<string, Uint8Array | undefined>;

class BucketChanges {
  readonly rows: Rows = new Map();
  /** The rows' keys. */
  readonly #names: string[] = [];
  #isSorted = true;

  set(name: string, value: Uint8Array | undefined): void {
    const { rows } = this;
    const count = rows.size;
    rows.set(name, value);
    if (rows.size === count) return;
    const last = this.#names.at(-1);
    if (last !== undefined && name < last) this.#isSorted = false;
    this.#names.push(name);
  }

  /** In order; not to be changed, and valid until a row is added. */
  names(): readonly string[] {
    if (!this.#isSorted) this.#names.sort(ascending);
    this.#isSorted = true;
    return this.#names;
  }

  namesIn({ from, to }: ScanRange): readonly string[] {
    const names = this.names();
    const start = from ? lowerBound(names, latin1(from)) : 0;
    const end = to ? lowerBound(names, latin1(to)) : names.length;
    return start < end ? names.slice(start, end) : [];
  }
}

export class Changes {
  readonly #buckets = new Map<string, BucketChanges>();
  #count = 0;

  /** Rows that were changed. */
  get count(): number {
    return this.#count;
  }

  /** Sets a row, or with undefined removes it. */
  set(bucket: string, name: string, value: Uint8Array | undefined): void {
    let changes = this.#buckets.get(bucket);
    if (!changes) this.#buckets.set(bucket, (changes = new BucketChanges()));
    const { size } = changes.rows;
    changes.set(name, value);
    this.#count += changes.rows.size - size;
  }

  /** Changed rows of a bucket; undefined when there are none. */
  rowsOf(bucket: string): Rows | undefined {
    return this.#buckets.get(bucket)?.rows;
  }

  /** Changed rows of each bucket that has some, in order. */
  *all(): Generator<[bucket: string, rows: Rows, names: readonly string[]]> {
    for (const [bucket, changes] of this.#buckets) yield [bucket, changes.rows, changes.names()];
  }

  /** For the one pipeline. */
  edits(): Edits {
    return new Map([...this.#buckets].map(([bucket, { rows }]) => [bucket, { rows }]));
  }

  /** The rows of `base`, which are those of `range` in a bucket, with the changes. */
  over(base: Iterable<Pair>, bucket: string, range: ScanRange): Iterable<Pair> {
    const changes = this.#buckets.get(bucket);
    const names = changes?.namesIn(range) ?? [];
    return names.length === 0 ? base : merged(base, names, changes!.rows);
  }
}

function* merged(base: Iterable<Pair>, names: readonly string[], rows: Rows): Generator<Pair> {
  let next = 0;
  for (const pair of base) {
    const name = latin1(pair.key);
    for (; next < names.length && names[next]! < name; next++) yield* changed(names[next]!, rows);
    if (names[next] === name) yield* changed(names[next++]!, rows);
    else yield pair;
  }
  for (; next < names.length; next++) yield* changed(names[next]!, rows);
}

function* changed(name: string, rows: Rows): Generator<Pair> {
  const value = rows.get(name);
  if (value !== undefined) yield { key: Buffer.from(name, 'latin1'), value };
}

function lowerBound(names: readonly string[], name: string): number {
  let low = 0;
  for (let high = names.length; low < high;) {
    const middle = (low + high) >>> 1;
    if (names[middle]! < name) low = middle + 1;
    else high = middle;
  }
  return low;
}
