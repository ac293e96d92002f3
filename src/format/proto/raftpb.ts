/**
 * raft's messages (raft v3.6 raftpb/raft.proto): what log entries, raft snapshots and membership changes are
 * made of. proto2: 3.4–3.6 write zeros, 3.7 only what was set.
 */
import { always, bytes, choice, bool, count, embed, optional, repeated, uint64 } from './field.ts';
import { message, type Value } from './message.ts';

export const ENTRY_TYPE = { normal: 0, confChange: 1, confChangeV2: 2 } as const;

/** One log entry. `data` of a normal entry is a request (`request.ts`), absent in a leader's first. */
export const entry = message('raftpb.Entry', {
  type: always(choice(1)),
  term: always(count(2)),
  index: always(count(3)),
  data: optional(bytes(4)),
});
export type Entry = Value<typeof entry>;

/** What a member must not forget: its term, its vote in it (a member id), and how far the log is committed. */
export const hardState = message('raftpb.HardState', {
  term: always(count(1)),
  vote: always(uint64(2)),
  commit: always(count(3)),
});
export type HardState = Value<typeof hardState>;

export const confState = message('raftpb.ConfState', {
  voters: repeated(uint64(1)),
  learners: repeated(uint64(2)),
  votersOutgoing: repeated(uint64(3)),
  learnersNext: repeated(uint64(4)),
  autoLeave: always(bool(5)),
});
export type ConfState = Value<typeof confState>;

export const snapshotMetadata = message('raftpb.SnapshotMetadata', {
  confState: always(embed(1, confState)),
  index: always(count(2)),
  term: always(count(3)),
});
export type SnapshotMetadata = Value<typeof snapshotMetadata>;

/** The payload of a `.snap` file; `data` is the v2 store as JSON. */
export const snapshot = message('raftpb.Snapshot', {
  data: optional(bytes(1)),
  metadata: always(embed(2, snapshotMetadata)),
});
export type Snapshot = Value<typeof snapshot>;

export const CONF_CHANGE_TYPE = { addNode: 0, removeNode: 1, updateNode: 2, addLearnerNode: 3 } as const;

/** A membership change; `context` is JSON (`member-json.ts`), absent in a removal. */
export const confChange = message('raftpb.ConfChange', {
  id: always(uint64(1)),
  type: always(choice(2)),
  nodeId: always(uint64(3)),
  context: optional(bytes(4)),
});
export type ConfChange = Value<typeof confChange>;

export const confChangeSingle = message('raftpb.ConfChangeSingle', {
  type: always(choice(1)),
  nodeId: always(uint64(2)),
});

/** etcd never writes one; its server panics when it meets one. */
export const confChangeV2 = message('raftpb.ConfChangeV2', {
  transition: always(choice(1)),
  changes: repeated(embed(2, confChangeSingle)),
  context: optional(bytes(3)),
});
export type ConfChangeV2 = Value<typeof confChangeV2>;
