/**
 * Changes in memory over a backend that is only read: what a log adds to a database, without touching it. Memory grows
 * with what is changed.
 */
import { latin1 } from '../../bytes/order.ts';
import type { Edits } from '../rewrite.ts';
import type { Backend, BackendView, Pair, ScanRange } from './backend.ts';
import { Changes } from './changes.ts';

export class Overlay implements Backend {
  readonly #base: BackendView;
  readonly #changes = new Changes();

  constructor(base: BackendView) {
    this.#base = base;
  }

  get(bucket: string, key: Uint8Array): Uint8Array | undefined {
    const rows = this.#changes.rowsOf(bucket);
    const name = rows && latin1(key);
    return name !== undefined && rows!.has(name) ? rows!.get(name) : this.#base.get(bucket, key);
  }

  put(bucket: string, key: Uint8Array, value: Uint8Array): void {
    this.#changes.set(bucket, latin1(key), value);
  }

  delete(bucket: string, key: Uint8Array): void {
    this.#changes.set(bucket, latin1(key), undefined);
  }

  /** What the changes come to, for the one pipeline. */
  edits(): Edits {
    return this.#changes.edits();
  }

  *scan(bucket: string, range: ScanRange = {}): Generator<Pair, void> {
    yield* this.#changes.over(this.#base.scan(bucket, range), bucket, range);
  }
}
