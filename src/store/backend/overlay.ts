/**
 * Changes in memory over a backend that is only read: what a log adds to a database, without touching it. Memory grows
 * with what is changed.
 */
import { ascending, latin1 } from '../../bytes/order.ts';
import type { BucketEdit, Edits } from '../rewrite.ts';
import type { Backend, BackendView, Pair, ScanRange } from './backend.ts';

type Rows = Map<string, Uint8Array | undefined>;

export class Overlay implements Backend {
  readonly #base: BackendView;
  /** By bucket; undefined stands for a row that is gone. */
  readonly #rows = new Map<string, Rows>();
  /** Names of a bucket's rows in order, once they were needed and until one is added. */
  readonly #sorted = new Map<string, string[]>();

  constructor(base: BackendView) {
    this.#base = base;
  }

  get(bucket: string, key: Uint8Array): Uint8Array | undefined {
    const rows = this.#rows.get(bucket);
    const name = latin1(key);
    return rows?.has(name) ? rows.get(name) : this.#base.get(bucket, key);
  }

  put(bucket: string, key: Uint8Array, value: Uint8Array): void {
    this.#set(bucket, latin1(key), value);
  }

  delete(bucket: string, key: Uint8Array): void {
    this.#set(bucket, latin1(key), undefined);
  }

  #set(bucket: string, name: string, value: Uint8Array | undefined): void {
    let rows = this.#rows.get(bucket);
    if (!rows) this.#rows.set(bucket, (rows = new Map()));
    if (!rows.has(name)) this.#sorted.delete(bucket);
    rows.set(name, value);
  }

  /** What the changes come to, for the one pipeline. */
  edits(): Edits {
    return new Map([...this.#rows].map(([bucket, rows]): [string, BucketEdit] => [bucket, { rows }]));
  }

  *scan(bucket: string, range: ScanRange = {}): Generator<Pair, void> {
    const names = this.#namesIn(bucket, range);
    const rows = this.#rows.get(bucket);
    let next = 0;
    for (const pair of this.#base.scan(bucket, range)) {
      const name = latin1(pair.key);
      for (; next < names.length && names[next]! < name; next++) yield* changed(names[next]!, rows!);
      if (names[next] === name) yield* changed(names[next++]!, rows!);
      else yield pair;
    }
    for (; next < names.length; next++) yield* changed(names[next]!, rows!);
  }

  /** Changed rows of the range, in order. */
  #namesIn(bucket: string, { from, to }: ScanRange): string[] {
    let names = this.#sorted.get(bucket);
    if (!names) {
      names = [...(this.#rows.get(bucket)?.keys() ?? [])].sort(ascending);
      this.#sorted.set(bucket, names);
    }
    const [low, high] = [from && latin1(from), to && latin1(to)];
    return names.filter((name) => (low === undefined || name >= low) && (high === undefined || name < high));
  }
}

function* changed(name: string, rows: Rows): Generator<Pair, void> {
  const value = rows.get(name);
  if (value !== undefined) yield { key: Buffer.from(name, 'latin1'), value };
}
