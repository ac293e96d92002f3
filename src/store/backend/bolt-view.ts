/** A bbolt file as a backend that nobody writes to. Every page is checked when it is read. */
import { compareBytes } from '../../bytes/order.ts';
import type { Source } from '../../bytes/source.ts';
import { BoltFile } from '../../format/bolt/file.ts';
import type { BackendView, Pair, ScanRange } from './backend.ts';

export class BoltView implements BackendView {
  readonly #bolt: BoltFile;

  /** Throws when it is no bbolt file. Does not own `source`; damage is thrown when it is met. */
  constructor(source: Source) {
    this.#bolt = new BoltFile(source, { isReread: true });
  }

  get(label: string, key: Uint8Array): Uint8Array | undefined {
    const bucket = this.#bolt.bucket(label);
    const leaf = bucket && this.#bolt.leaves(bucket, { from: key }).next();
    if (!leaf) return undefined;
    for (let low = 0, high = leaf.count - 1; low <= high;) {
      const middle = (low + high) >>> 1;
      const order = compareBytes(leaf.key(middle), key);
      if (order === 0) return leaf.value(middle).slice();
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }

  *scan(label: string, { from, to }: ScanRange = {}): Generator<Pair, void> {
    const bucket = this.#bolt.bucket(label);
    if (!bucket) return;
    const leaves = this.#bolt.leaves(bucket, { from });
    for (let next = leaves.next(); next; next = leaves.next()) {
      // The page's memory is used again by whatever is read while a row is looked at.
      const leaf = next.detach();
      for (let i = 0; i < leaf.count; i++) {
        const key = leaf.key(i);
        if (from && compareBytes(key, from) < 0) continue;
        if (to && compareBytes(key, to) >= 0) return;
        yield { key, value: leaf.value(i) };
      }
    }
  }
}
