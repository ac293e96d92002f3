/**
 * One backend over another that is only read: rows of the upper one count first. In it each value has a mark before it,
 * which says whether the row is there or was deleted.
 */
import { compareBytes } from '../../bytes/order.ts';
import type { Backend, BackendView, Pair, ScanRange } from './backend.ts';

const IS_THERE = 1;
const WAS_DELETED = 0;

export class Layers implements Backend {
  readonly #base: BackendView;
  readonly #upper: Backend;

  constructor(base: BackendView, upper: Backend) {
    this.#base = base;
    this.#upper = upper;
  }

  get(bucket: string, key: Uint8Array): Uint8Array | undefined {
    const marked = this.#upper.get(bucket, key);
    if (marked === undefined) return this.#base.get(bucket, key);
    return contentOf(marked);
  }

  put(bucket: string, key: Uint8Array, value: Uint8Array): void {
    const marked = new Uint8Array(value.length + 1);
    marked[0] = IS_THERE;
    marked.set(value, 1);
    this.#upper.put(bucket, key, marked);
  }

  delete(bucket: string, key: Uint8Array): void {
    this.#upper.put(bucket, key, Uint8Array.of(WAS_DELETED));
  }

  *scan(bucket: string, range: ScanRange = {}): Generator<Pair, void> {
    const changed = this.#upper.scan(bucket, range)[Symbol.iterator]();
    let next = changed.next();
    for (const pair of this.#base.scan(bucket, range)) {
      let order = 1;
      while (!next.done && (order = compareBytes(next.value.key, pair.key)) < 0) {
        yield* shown(next.value);
        next = changed.next();
      }
      if (next.done || order > 0) {
        yield pair;
        continue;
      }
      yield* shown(next.value);
      next = changed.next();
    }
    for (; !next.done; next = changed.next()) yield* shown(next.value);
  }
}

function contentOf(marked: Uint8Array): Uint8Array | undefined {
  return marked[0] === IS_THERE ? marked.subarray(1) : undefined;
}

function* shown({ key, value }: Pair): Generator<Pair, void> {
  const content = contentOf(value);
  if (content) yield { key, value: content };
}
