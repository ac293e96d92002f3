/** The Maintenance service (etcd v3.6 api/etcdserverpb/rpc.proto); proto3. Its alarm request is in `rpcpb.ts`. */
import { bool, bytes, choice, count, embed, int64, named, repeated, text, uint32, uint64 } from './field.ts';
import { responseHeader } from './kvpb.ts';
import { message } from './message.ts';
import { alarmMember } from './rpcpb.ts';

const header = embed(1, responseHeader);

export const alarmResponse = message('etcdserverpb.AlarmResponse', {
  header,
  alarms: repeated(embed(2, alarmMember)),
});

export const statusRequest = message('etcdserverpb.StatusRequest', {});
export const downgradeInfo = message('etcdserverpb.DowngradeInfo', {
  enabled: bool(1),
  targetVersion: named('targetVersion', text(2)),
});
/** Sizes in bytes; a negative quota is none. `storageVersion`, `dbSizeQuota` and `downgradeInfo` since 3.6. */
export const statusResponse = message('etcdserverpb.StatusResponse', {
  header,
  version: text(2),
  dbSize: named('dbSize', count(3)),
  leader: uint64(4),
  raftIndex: named('raftIndex', count(5)),
  raftTerm: named('raftTerm', count(6)),
  raftAppliedIndex: named('raftAppliedIndex', count(7)),
  errors: repeated(text(8)),
  dbSizeInUse: named('dbSizeInUse', count(9)),
  isLearner: named('isLearner', bool(10)),
  storageVersion: named('storageVersion', text(11)),
  dbSizeQuota: named('dbSizeQuota', int64(12)),
  downgradeInfo: named('downgradeInfo', embed(13, downgradeInfo)),
});

export const defragmentRequest = message('etcdserverpb.DefragmentRequest', {});
export const defragmentResponse = message('etcdserverpb.DefragmentResponse', { header });

export const hashRequest = message('etcdserverpb.HashRequest', {});
export const hashResponse = message('etcdserverpb.HashResponse', { header, hash: uint32(2) });
/** `compactRevision` is −1 when never compacted; `hashRevision` since 3.6. */
export const hashKvResponse = message('etcdserverpb.HashKVResponse', {
  header,
  hash: uint32(2),
  compactRevision: int64(3),
  hashRevision: count(4),
});

export const snapshotRequest = message('etcdserverpb.SnapshotRequest', {});
/** A piece of a backup; the last one holds its SHA-256. `version` is the storage version, since 3.6. */
export const snapshotResponse = message('etcdserverpb.SnapshotResponse', {
  header,
  remainingBytes: count(2),
  blob: bytes(3),
  version: text(4),
});

export const moveLeaderRequest = message('etcdserverpb.MoveLeaderRequest', {
  targetId: named('targetID', uint64(1)),
});
export const moveLeaderResponse = message('etcdserverpb.MoveLeaderResponse', { header });

export const DOWNGRADE_ACTION = { validate: 0, enable: 1, cancel: 2 } as const;
export const downgradeRequest = message('etcdserverpb.DowngradeRequest', {
  action: choice(1, ['VALIDATE', 'ENABLE', 'CANCEL']),
  version: text(2),
});
export const downgradeResponse = message('etcdserverpb.DowngradeResponse', { header, version: text(2) });
