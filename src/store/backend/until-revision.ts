/** A state as it was at an older revision: the records behind it are hidden. Everything that has no history is as it is. */
import { compareBytes } from '../../bytes/order.ts';
import { encodeRevision } from '../mvcc/record.ts';
import type { BackendView, Pair, ScanRange } from './backend.ts';

const RECORDS = 'key';

export class UntilRevision implements BackendView {
  readonly #base: BackendView;
  /** The first record key that is hidden. */
  readonly #end: Uint8Array;

  constructor(base: BackendView, revision: number) {
    this.#base = base;
    this.#end = encodeRevision(revision + 1, 0);
  }

  get(bucket: string, key: Uint8Array): Uint8Array | undefined {
    if (bucket === RECORDS && compareBytes(key, this.#end) >= 0) return undefined;
    return this.#base.get(bucket, key);
  }

  scan(bucket: string, { from, to }: ScanRange = {}): Iterable<Pair> {
    if (bucket !== RECORDS) return this.#base.scan(bucket, { from, to });
    const isBeyond = to === undefined || compareBytes(to, this.#end) > 0;
    return this.#base.scan(bucket, { from, to: isBeyond ? this.#end : to });
  }
}
