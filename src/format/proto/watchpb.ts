/** The Watch service (etcd v3.6 api/etcdserverpb/rpc.proto); proto3. Keys and values as in `kvpb.ts`. */
import { bool, bytes, choice, count, embed, encoded, int64, oneOf, packed, repeated, text } from './field.ts';
import { responseHeader } from './kvpb.ts';
import { message, type Value } from './message.ts';
import { event } from './mvccpb.ts';

export const WATCH_FILTER = { noPut: 0, noDelete: 1 } as const;

export const watchCreateRequest = message('etcdserverpb.WatchCreateRequest', {
  key: bytes(1),
  rangeEnd: bytes(2),
  startRevision: int64(3),
  progressNotify: bool(4),
  filters: packed(choice(5, ['NOPUT', 'NODELETE'])),
  prevKv: bool(6),
  watchId: int64(7),
  fragment: bool(8),
});
export type WatchCreateRequest = Value<typeof watchCreateRequest>;

export const watchCancelRequest = message('etcdserverpb.WatchCancelRequest', { watchId: int64(1) });
export const watchProgressRequest = message('etcdserverpb.WatchProgressRequest', {});

const request = 'request_union';
export const watchRequest = message('etcdserverpb.WatchRequest', {
  createRequest: oneOf(request, embed(1, watchCreateRequest)),
  cancelRequest: oneOf(request, embed(2, watchCancelRequest)),
  progressRequest: oneOf(request, embed(3, watchProgressRequest)),
});
export type WatchRequest = Value<typeof watchRequest>;

/** `events`: encoded mvccpb.Event each. */
export const watchResponse = message('etcdserverpb.WatchResponse', {
  header: embed(1, responseHeader),
  watchId: int64(2),
  created: bool(3),
  canceled: bool(4),
  compactRevision: count(5),
  cancelReason: text(6),
  fragment: bool(7),
  events: repeated(encoded(11, event)),
});
export type WatchResponse = Value<typeof watchResponse>;
