/**
 * The v2 request (etcd v3.6 api/etcdserverpb/etcdserver.proto); proto2. 3.4 and 3.5 write member attributes
 * and the cluster version as bare ones into the log.
 */
import { always, bool, int64, optional, text, uint64 } from './field.ts';
import { message, type Value } from './message.ts';

/** `method` is `PUT`, `path` `/0/members/<id>/attributes` or `/0/version`, `val` JSON or a version. */
export const v2Request = message('etcdserverpb.Request', {
  id: always(uint64(1)),
  method: always(text(2)),
  path: always(text(3)),
  val: always(text(4)),
  dir: always(bool(5)),
  prevValue: always(text(6)),
  prevIndex: always(uint64(7)),
  prevExist: optional(bool(8)),
  expiration: always(int64(9)),
  wait: always(bool(10)),
  since: always(uint64(11)),
  recursive: always(bool(12)),
  sorted: always(bool(13)),
  quorum: always(bool(14)),
  time: always(int64(15)),
  stream: always(bool(16)),
  refresh: optional(bool(17)),
});
export type V2Request = Value<typeof v2Request>;
