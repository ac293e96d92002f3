/** Keys and values as the `key` bucket holds them (etcd v3.6 api/mvccpb/kv.proto); proto3. */
import { bytes, choice, count, embed, int64 } from './field.ts';
import { message, type Value } from './message.ts';

/**
 * One revision of a key. A tombstone holds only `key`. The empty message is legal: it is what a restore with
 * bumped revisions writes.
 */
export const keyValue = message('mvccpb.KeyValue', {
  key: bytes(1),
  createRevision: count(2),
  modRevision: count(3),
  version: count(4),
  value: bytes(5),
  lease: int64(6),
});
export type KeyValue = Value<typeof keyValue>;

export const EVENT_TYPE = { put: 0, delete: 1 } as const;

export const event = message('mvccpb.Event', {
  type: choice(1, ['PUT', 'DELETE']),
  kv: embed(2, keyValue),
  prevKv: embed(3, keyValue),
});
export type Event = Value<typeof event>;
