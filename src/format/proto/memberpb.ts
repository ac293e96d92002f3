/** The log's metadata record (etcd v3.6 api/etcdserverpb/etcdserver.proto); proto2. */
import { always, uint64 } from './field.ts';
import { message, type Value } from './message.ts';

/** Whose log it is. */
export const metadata = message('etcdserverpb.Metadata', {
  nodeId: always(uint64(1)),
  clusterId: always(uint64(2)),
});
export type Metadata = Value<typeof metadata>;
