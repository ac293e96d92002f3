/** An applier over an empty state, which takes requests as entries of a log. */
import assert from 'node:assert/strict';
import type { Input } from '../../../src/format/proto/field.ts';
import { keyValue } from '../../../src/format/proto/mvccpb.ts';
import { ENTRY_TYPE } from '../../../src/format/proto/raftpb.ts';
import { type InternalRaftRequest, internalRaftRequest } from '../../../src/format/proto/rpcpb.ts';
import { Applier, type ApplierOptions, type Outcome } from '../../../src/store/apply/applier.ts';
import { Overlay } from '../../../src/store/backend/overlay.ts';
import { KeyValues } from '../../../src/store/mvcc/key-values.ts';
import { RecordView } from '../../../src/store/mvcc/record.ts';
import { text } from '../database-builder.ts';

export type Request = Input<InternalRaftRequest>;

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

export class StateMachine {
  readonly backend = new Overlay({ get: () => undefined, scan: () => [] });
  readonly applier: Applier;
  #index = 0;

  constructor(options: Partial<ApplierOptions> = {}) {
    this.applier = new Applier(this.backend, new KeyValues(this.backend), { hasTerm: true, ...options });
  }

  entry(data: Uint8Array, type: number = ENTRY_TYPE.normal): string | undefined {
    const { rejection, compaction } = this.applier.apply({ index: ++this.#index, term: 3, type, data });
    compaction?.finish();
    return rejection?.message;
  }

  /** What became of a request that is at hand, as in a live server. */
  request(request: Request): Outcome {
    const data = internalRaftRequest.encode(request);
    return this.applier.apply({ index: ++this.#index, term: 3, type: ENTRY_TYPE.normal, data });
  }

  /** Why it was rejected. */
  ask(request: Request): string | undefined {
    return this.entry(internalRaftRequest.encode(request));
  }

  accept(...requests: Request[]): void {
    for (const request of requests) assert.equal(this.ask(request), undefined);
  }

  /** Records as `2.0 a=1`, tombstones as `2.0 a†`. */
  records(): string[] {
    const view = new RecordView();
    return [...this.backend.scan('key')].map(({ key, value }) => {
      view.decodeRevision(key, 0, key.length);
      const pair = keyValue.decode(value);
      return `${view.main}.${view.sub} ${textOf(pair.key)}${key.length === 18 ? '†' : `=${textOf(pair.value)}`}`;
    });
  }

  keys(): string[] {
    return [...this.backend.scan('key')].map(({ value }) => textOf(keyValue.decode(value).key));
  }

  rows(bucket: string): Array<[string, string]> {
    return [...this.backend.scan(bucket)].map(({ key, value }) => [textOf(key), textOf(value)]);
  }

  row(bucket: string, key: string): string | undefined {
    const value = this.backend.get(bucket, text(key));
    return value && textOf(value);
  }
}

export const put = (key: string, value = 'v', lease = 0n): Request => ({
  put: { key: text(key), value: text(value), lease },
});
export const remove = (key: string, end = ''): Request => ({
  deleteRange: { key: text(key), rangeEnd: text(end) },
});
export const grant = (id: bigint, ttl = 60n): Request => ({ leaseGrant: { id, ttl } });
