/** A store to be watched, over rows in memory, with its whole history kept beside it. */
import { latin1 } from '../../../src/bytes/order.ts';
import type { Backend, Pair, ScanRange } from '../../../src/store/backend/backend.ts';
import { KeyValues } from '../../../src/store/mvcc/key-values.ts';

/** One bucket's rows in order; cheap when they come in order. */
class Rows {
  readonly keys: string[] = [];
  readonly values = new Map<string, Uint8Array>();

  lowerBound(key: string): number {
    let low = 0;
    for (let high = this.keys.length; low < high;) {
      const middle = (low + high) >>> 1;
      if (this.keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export class MemoryBackend implements Backend {
  readonly #buckets = new Map<string, Rows>();
  /** Rows that scans gave. */
  readCount = 0;

  #rows(bucket: string): Rows {
    let rows = this.#buckets.get(bucket);
    if (!rows) this.#buckets.set(bucket, (rows = new Rows()));
    return rows;
  }

  get(bucket: string, key: Uint8Array): Uint8Array | undefined {
    return this.#rows(bucket).values.get(latin1(key));
  }

  put(bucket: string, key: Uint8Array, value: Uint8Array): void {
    const rows = this.#rows(bucket);
    const name = latin1(key);
    if (!rows.values.has(name)) rows.keys.splice(rows.lowerBound(name), 0, name);
    rows.values.set(name, value);
  }

  delete(bucket: string, key: Uint8Array): void {
    const rows = this.#rows(bucket);
    const name = latin1(key);
    if (rows.values.delete(name)) rows.keys.splice(rows.lowerBound(name), 1);
  }

  *scan(bucket: string, { from, to }: ScanRange = {}): Generator<Pair, void> {
    const rows = this.#rows(bucket);
    const end = to === undefined ? rows.keys.length : rows.lowerBound(latin1(to));
    for (let at = from === undefined ? 0 : rows.lowerBound(latin1(from)); at < end; at++) {
      this.readCount++;
      const name = rows.keys[at]!;
      yield { key: Buffer.from(name, 'latin1'), value: rows.values.get(name)! };
    }
  }
}

export interface HistoryEvent {
  revision: number;
  key: string;
  /** Undefined for a deletion. */
  value: string | undefined;
  /** Value before, while it is held. */
  previous: string | undefined;
}

export type Step = { put: string; value: string } | { delete: string };

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** Keys over rows in memory, with their whole history beside them. */
export class WatchedStore extends KeyValues {
  readonly backend: MemoryBackend;
  readonly history: HistoryEvent[] = [];
  readonly #values = new Map<string, string>();

  constructor() {
    const backend = new MemoryBackend();
    super(backend);
    this.backend = backend;
  }

  put(key: string, value = ''): void {
    this.write([{ put: key, value }]);
  }

  delete(key: string): void {
    this.write([{ delete: key }]);
  }

  /** Makes one revision, unless nothing changes. */
  write(steps: readonly Step[]): void {
    const revision = this.revision + 1;
    this.change((change) => {
      for (const step of steps) {
        const key = 'put' in step ? step.put : step.delete;
        const previous = this.#values.get(key);
        if ('put' in step) {
          change.put(bytes(key), Buffer.from(step.value), 0n);
          this.#values.set(key, step.value);
          this.history.push({ revision, key, value: step.value, previous });
        } else if (change.delete({ key: bytes(key), end: undefined }) > 0) {
          this.#values.delete(key);
          this.history.push({ revision, key, value: undefined, previous });
        }
      }
    });
  }
}
