/** Rows of the `lease` bucket (etcd v3.6 server/lease/leasepb/lease.proto); proto3. */
import { count, int64 } from './field.ts';
import { message, type Value } from './message.ts';

/** `ttl` and `remainingTtl` in seconds; `remainingTtl` is 0 unless a checkpoint was stored. */
export const lease = message('leasepb.Lease', {
  id: int64(1),
  ttl: count(2),
  remainingTtl: count(3),
});
export type Lease = Value<typeof lease>;
