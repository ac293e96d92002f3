/**
 * A directory that a member begins: what etcd writes in its first seconds, from the log's first segment to the storage
 * version. etcd v3.6 server/etcdserver/bootstrap.go (bootstrapNewClusterNoWAL), version/monitor.go; tried with real
 * servers of 3.5 to 3.7.
 */
import type { Member } from '../../format/proto/member-json.ts';
import { Applier } from '../../store/apply/applier.ts';
import type { DurableBackend } from '../../store/backend/backend.ts';
import { KeyValues } from '../../store/mvcc/key-values.ts';
import { compareVersions, type Version } from '../../store/schema/buckets.ts';
import { encodeIndex } from '../../store/schema/rows.ts';
import type { MemberPaths, OpenMemberOptions, StartedMember } from './member-options.ts';
import { confStateOf } from './membership.ts';
import { applyOwn, batchOf, NO_OP, type OwnBatch, OwnEntries } from './own-entries.ts';
import { RaftLog } from '../raft-log/raft-log.ts';
import { RequestIds } from './request-ids.ts';

const DEFAULT_VERSION: Version = '3.6';
/** The term in which members join that a cluster begins with, and that of the first leader. */
const JOIN_TERM = 1;
const FIRST_TERM = 2;
/** Where etcd's authentication starts to count. */
const FIRST_AUTH_REVISION = 1;
const AUTH_REVISION = Buffer.from('authRevision');
const STORAGE_VERSION = Buffer.from('storageVersion');

/** Fills an empty backend and makes the log. Both are durable when it returns. */
export async function startNewMember(
  backend: DurableBackend,
  paths: MemberPaths,
  options: OpenMemberOptions,
): Promise<StartedMember> {
  const { name, pacer, disk, nowMs = Date.now, segmentBytes, snapshotsMax, walsMax, stats } = options;
  const { clusterId, member } = await options.firstMember();
  const version = options.emulate ?? DEFAULT_VERSION;
  backend.put('auth', AUTH_REVISION, encodeIndex(FIRST_AUTH_REVISION));
  if (compareVersions(version, '3.6') >= 0) backend.put('meta', STORAGE_VERSION, Buffer.from(`${version}.0`));
  await backend.commit();

  const requestIds = new RequestIds(member.id, nowMs());
  const batches = firstBatches(member, new OwnEntries(version, requestIds), { version, ...options });
  const metadata = { nodeId: member.id, clusterId };
  const log = RaftLog.create({
    disk,
    ...paths,
    version,
    metadata,
    batches,
    log: options.log,
    segmentBytes,
    snapshotsMax,
    walsMax,
    stats,
  });
  try {
    const applier = new Applier(backend, await KeyValues.open(backend, pacer), {
      ...options.applying?.(backend),
      hasTerm: true,
    });
    applyOwn(applier, batches);
    await backend.commit();
    return {
      backend,
      applier,
      log,
      identity: { memberId: member.id, clusterId, name },
      term: FIRST_TERM,
      lastIndex: log.lastIndex,
      snapshotIndex: 0,
      confState: confStateOf(applier),
      version,
      clusterVersion: applier.cluster.version,
      isNew: true,
      isRepaired: false,
      requestIds,
    };
  } catch (error) {
    await log.close().catch(() => {});
    throw error;
  }
}

/** The member joins, wins the first election, publishes itself, and says the cluster's version. */
function firstBatches(
  member: Member,
  entries: OwnEntries,
  {
    version,
    name,
    advertiseClientUrls,
  }: Pick<OpenMemberOptions, 'name' | 'advertiseClientUrls'> & { version: Version },
): OwnBatch[] {
  const [vote, term] = [member.id, FIRST_TERM];
  const attributes = entries.attributes({ id: member.id, name, clientUrls: [...advertiseClientUrls] });
  return [
    batchOf([entries.joining({ ...member, clientUrls: [] })], { term: JOIN_TERM, after: 0, vote: 0n }),
    { entries: [], state: { term, vote, commit: 1 } },
    batchOf([NO_OP, attributes], { term, after: 1, vote }),
    batchOf([entries.clusterVersion(`${version}.0`)], { term, after: 3, vote }),
  ];
}
