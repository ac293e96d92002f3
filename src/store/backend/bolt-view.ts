/** A bbolt file as a backend that nobody writes to. Every page is checked when it is read. */
import type { Source } from '../../bytes/source.ts';
import { BoltFile } from '../../format/bolt/file.ts';
import { TreeReader } from '../../format/bolt/tree-reader.ts';
import type { BackendView, Pair, ScanRange } from './backend.ts';

const RECORDS = 'key';

export class BoltView implements BackendView {
  readonly #bolt: BoltFile;
  readonly #reader: TreeReader;

  /**
   * Throws when it is no bbolt file. Does not own `source`; damage is thrown when it is met. Keeps up to `cacheBytes`
   * of pages in memory.
   */
  constructor(source: Source, options: { cacheBytes?: number } = {}) {
    this.#bolt = new BoltFile(source, { isReread: true });
    this.#reader = new TreeReader(this.#bolt.pages, this.#bolt.checker, options.cacheBytes);
  }

  get(label: string, key: Uint8Array): Uint8Array | undefined {
    const bucket = this.#bolt.bucket(label);
    return bucket && this.#reader.get(bucket, key);
  }

  *scan(label: string, { from, to }: ScanRange = {}): Generator<Pair, void> {
    const bucket = this.#bolt.bucket(label);
    if (!bucket) return;
    // Of records there are many, and whoever reads them takes what it keeps.
    yield* label === RECORDS
      ? this.#reader.passingRows(bucket, from, to)
      : this.#reader.rows(bucket, from, to);
  }
}
