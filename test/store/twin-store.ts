/** A store and the plain list that it is held against, changed alike. */
import assert from 'node:assert/strict';
import { Pacer } from '../../src/bytes/pacer.ts';
import { Overlay } from '../../src/store/backend/overlay.ts';
import type { Compaction } from '../../src/store/mvcc/compaction.ts';
import { KeyValues } from '../../src/store/mvcc/key-values.ts';
import { decodeMark } from '../../src/store/mvcc/marks.ts';
import { text } from './database-builder.ts';
import { NaiveStore } from './naive-store.ts';

interface TwinChange {
  key: string;
  isDelete?: boolean;
  value?: string;
  lease?: bigint;
}

export class TwinStore {
  readonly backend = new Overlay({ get: () => undefined, scan: () => [] });
  readonly naive = new NaiveStore();
  keys = new KeyValues(this.backend);

  /** Each is one change of the revision. */
  put(...names: string[]): void {
    this.change(names.map((key) => ({ key })));
  }

  delete(...names: string[]): void {
    this.change(names.map((key) => ({ key, isDelete: true })));
  }

  change(changes: readonly TwinChange[]): void {
    this.naive.change(() => {
      for (const { key, isDelete, value = 'v', lease = 0n } of changes)
        if (isDelete) this.naive.delete(key);
        else this.naive.put(key, value, lease);
    });
    this.keys.change((change) => {
      for (const { key, isDelete, value = 'v', lease = 0n } of changes)
        if (isDelete) change.delete({ key: text(key), end: undefined });
        else change.put(text(key), text(value), lease);
    });
  }

  compact(revision: number): Compaction {
    this.naive.compact(revision);
    return this.keys.compact(revision);
  }

  async reopen(): Promise<void> {
    this.keys = await KeyValues.open(this.backend, new Pacer());
  }

  rows(): Array<[string, string]> {
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
    return [...this.backend.scan('key')].map(({ key, value }) => [hex(key), hex(value)]);
  }

  marks(): [scheduled: number | undefined, finished: number | undefined] {
    const mark = (name: string): number | undefined => {
      const value = this.backend.get('meta', text(name));
      return value && decodeMark(value, name);
    };
    return [mark('scheduledCompactRev'), mark('finishedCompactRev')];
  }

  assertAlike(): void {
    assert.deepEqual(this.rows(), this.naive.rows());
    assert.equal(this.keys.revision, this.naive.revision);
  }
}
