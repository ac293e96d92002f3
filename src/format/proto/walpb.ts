/** The log's own messages (etcd v3.6 server/storage/wal/walpb/record.proto); proto2. */
import { always, bytes, choice, count, embed, optional, uint32 } from './field.ts';
import { message, type Value } from './message.ts';
import { confState } from './raftpb.ts';

/** One record of a segment. `crc` covers `data` of this and all records before it. */
export const record = message('walpb.Record', {
  type: always(choice(1)),
  crc: always(uint32(2)),
  data: optional(bytes(3)),
});
export type Record = Value<typeof record>;

/** Says that a snapshot was taken; `confState` since 3.5, and not for index 0. */
export const snapshot = message('walpb.Snapshot', {
  index: always(count(1)),
  term: always(count(2)),
  confState: optional(embed(3, confState)),
});
export type Snapshot = Value<typeof snapshot>;
