/** The envelope of a `.snap` file (etcd v3.6 server/etcdserver/api/snap/snappb/snap.proto); proto2. */
import { always, bytes, optional, uint32 } from './field.ts';
import { message, type Value } from './message.ts';

/** `crc` is the CRC-32C of `data`, which is a `raftpb.Snapshot`. */
export const envelope = message('snappb.snapshot', {
  crc: always(uint32(1)),
  data: optional(bytes(2)),
});
export type Envelope = Value<typeof envelope>;
