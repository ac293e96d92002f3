/**
 * What makes a member of a database: a log in which all members join, and a raft snapshot that stands for that
 * log. As `etcdutl snapshot restore` writes them, byte for byte but for the order of members in the v2 store;
 * learners, which it knows not, as a running cluster would have added them.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Disk } from '../../../bytes/disk.ts';
import { openFile, startOf } from '../../../bytes/source.ts';
import { CorruptError } from '../../../errors.ts';
import { CONF_CHANGE_TYPE, confChange, ENTRY_TYPE } from '../../../format/proto/raftpb.ts';
import { encodeMember, type Member } from '../../../format/proto/member-json.ts';
import { formatSnapName, readSnapFile } from '../../../format/snap/file.ts';
import { listSegments, LogReader } from '../../../format/wal/log.ts';
import { formatSegmentName } from '../../../format/wal/name.ts';
import { SegmentWriter } from '../../../format/wal/writer.ts';
import type { Version } from '../../../store/schema/buckets.ts';
import { snapBytes, snapPath, v2StoreBytes, zerosOf } from '../../../store/snap-file.ts';
import { confStateOf, type RestoredCluster } from '../../../store/cluster-plan.ts';
import { RESTORE_TERM } from './edits.ts';

const SNAP_MODE = 0o666;
const SEGMENT_MODE = 0o600;

export interface MemberFiles {
  cluster: RestoredCluster;
  member: Member;
  target: Version;
  /** Where they are built. */
  snapDir: string;
  walDir: string;
}

/** Writes both files durably, and reads them back. */
export function writeMemberFiles(disk: Disk, files: MemberFiles): void {
  writeSnap(disk, files);
  const logSize = writeSegment(disk, files);
  proveLog(files, logSize);
  proveSnap(files);
}

function writeSnap(disk: Disk, { cluster, target, snapDir }: MemberFiles): void {
  const { members } = cluster;
  const place = { term: RESTORE_TERM, index: members.length };
  const data = v2StoreBytes({ members, removedMembers: [] }, target);
  const bytes = snapBytes({ ...place, confState: confStateOf(members), data }, zerosOf(target));
  const fd = disk.create(snapPath(snapDir, place), SNAP_MODE);
  try {
    disk.write(fd, bytes, 0);
    disk.sync(fd);
  } finally {
    disk.close(fd);
  }
}

/** Gives the bytes in use; the rest of the file is a hole. */
function writeSegment(disk: Disk, { cluster, member, target, walDir }: MemberFiles): number {
  const { members } = cluster;
  const zeros = zerosOf(target);
  const path = join(walDir, formatSegmentName({ sequence: 0, index: 0 }));
  const writer = SegmentWriter.create(disk, path, { mode: SEGMENT_MODE, zeros });
  try {
    writer.metadata({ nodeId: member.id, clusterId: cluster.id });
    writer.snapshot({ index: 0, term: 0 });
    for (const [i, joining] of members.entries()) {
      const type = joining.isLearner ? CONF_CHANGE_TYPE.addLearnerNode : CONF_CHANGE_TYPE.addNode;
      const data = confChange.encode({ type, nodeId: joining.id, context: encodeMember(joining) }, { zeros });
      writer.entry({ type: ENTRY_TYPE.confChange, term: RESTORE_TERM, index: i + 1, data });
    }
    const vote = members.find((one) => !one.isLearner)!.id;
    writer.state({ term: RESTORE_TERM, vote, commit: members.length });
    const confState = target === '3.4' ? {} : { confState: confStateOf(members) };
    writer.snapshot({ index: members.length, term: RESTORE_TERM, ...confState });
  } catch (error) {
    writer.abandon();
    throw error;
  }
  const { offset } = writer;
  writer.close();
  return offset;
}

/** Throws unless the log reads back as what a server will look for. */
function proveLog({ cluster, member, walDir }: MemberFiles, sizeBytes: number): void {
  const count = cluster.members.length;
  const segments = listSegments(walDir).segments.map((segment) => ({
    ...segment,
    open: () => startOf(segment.open(), sizeBytes),
  }));
  const reader = new LogReader(segments);
  for (const event of reader.events()) void event;
  const isLogRight =
    reader.metadata?.nodeId === member.id &&
    reader.metadata.clusterId === cluster.id &&
    reader.lastIndex === count &&
    reader.state?.commit === count &&
    reader.validSnapshots().at(-1)?.index === count;
  if (!isLogRight) throw unsound(walDir);
}

/** Throws unless the raft snapshot does. */
function proveSnap({ cluster, snapDir }: MemberFiles): void {
  const count = cluster.members.length;
  const path = join(snapDir, formatSnapName({ term: RESTORE_TERM, index: count }));
  const source = openFile(path);
  try {
    const { metadata } = readSnapFile(source);
    const { voters, learners } = metadata.confState;
    if (metadata.index !== count || voters.length + learners.length !== count) throw unsound(path);
  } finally {
    source.close();
  }
  const expected = ['db', formatSnapName({ term: RESTORE_TERM, index: count })];
  if (readdirSync(snapDir).sort().join() !== expected.sort().join()) throw unsound(snapDir);
}

function unsound(path: string): CorruptError {
  return new CorruptError('log.start', `${path} does not read back as it was written`, {
    where: { file: path },
    hint: 'the disk or the memory of this machine is not sound',
  });
}
