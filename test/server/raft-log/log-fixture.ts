/** Logs made in a scratch directory, and what is read back of them. */
import { join } from 'node:path';
import { mkdirSync } from 'node:fs';
import { type Disk, realDisk } from '../../../src/bytes/disk.ts';
import type { HardState } from '../../../src/format/proto/raftpb.ts';
import type { EntryInput } from '../../../src/format/wal/frames.ts';
import { listSegments, LogReader } from '../../../src/format/wal/log.ts';
import { RaftLog, type RaftLogOptions } from '../../../src/server/raft-log/raft-log.ts';

export const OWNER = { nodeId: 0xe000_0000_0000_0001n, clusterId: 0xc1n };

interface Made {
  log: RaftLog;
  walDir: string;
  snapDir: string;
}

export function createLog(root: string, over: Partial<RaftLogOptions> = {}): Made {
  const [walDir, snapDir] = [join(root, 'wal'), join(root, 'snap')];
  mkdirSync(snapDir, { recursive: true });
  const options = { disk: realDisk(), walDir, snapDir, version: '3.6' as const, ...over };
  return { log: RaftLog.create({ ...options, metadata: OWNER }), walDir, snapDir };
}

/** Opens what {@link createLog} made, as a server does whose log ends regularly. */
export function openLog(root: string, over: Partial<RaftLogOptions> = {}): RaftLog {
  const walDir = join(root, 'wal');
  const { end, state, lastIndex = 0 } = readLog(walDir);
  const { sequence } = listSegments(walDir).segments.at(-1)!;
  const tail = { metadata: OWNER, state, lastIndex, path: end.file, offset: end.offset, crc: end.crc };
  return RaftLog.open({
    disk: realDisk(),
    walDir,
    snapDir: join(root, 'snap'),
    version: '3.6',
    ...over,
    tail: { ...tail, sequence },
  });
}

interface ReadLog {
  entries: Array<{ term: number; index: number; data: string }>;
  state: HardState | undefined;
  snapshots: number[];
  lastIndex: number | undefined;
  end: NonNullable<LogReader['end']>;
}

/** What a strict reader finds: entries in force, the last state. */
export function readLog(walDir: string): ReadLog {
  const reader = new LogReader(listSegments(walDir).segments);
  let entries: ReadLog['entries'] = [];
  for (const event of reader.events()) {
    if (event.kind === 'truncate') entries = entries.filter(({ index }) => index < event.index);
    else if (event.kind === 'entry') {
      const { term, index, data } = event;
      entries.push({ term, index, data: Buffer.from(data).toString('latin1') });
    }
  }
  const { state, lastIndex, end } = reader;
  return {
    entries,
    state,
    lastIndex,
    end: end!,
    snapshots: reader.snapshots.map(({ snapshot }) => snapshot.index),
  };
}

export function put(index: number, text = `entry ${index}`): EntryInput {
  return { type: 0, term: 2, index, data: Buffer.from(text) };
}

export function stateAt(commit: number): HardState {
  return { term: 2, vote: OWNER.nodeId, commit };
}

/** Appends `count` entries one by one, each with its state. */
export async function fill(log: RaftLog, count: number, bytes = 100): Promise<void> {
  for (let i = 0; i < count; i++) {
    const index = log.lastIndex + 1;
    log.append([put(index, `${index}`.padEnd(bytes, '.'))], stateAt(index));
    if (i % 7 === 0) await log.sync();
  }
  await log.sync();
}

/** A disk whose next write or data sync fails when told to. */
export function failingDisk(): {
  disk: Disk;
  failNext: (what: 'write' | 'truncate' | 'data sync', error: Error) => void;
} {
  const real = realDisk();
  const failures = new Map<string, Error>();
  const due = (what: string): Error | undefined => {
    const error = failures.get(what);
    failures.delete(what);
    return error;
  };
  const disk: Disk = {
    ...real,
    write(fd, bytes, position) {
      const error = due('write');
      if (!error) return real.write(fd, bytes, position);
      real.write(fd, bytes.subarray(0, bytes.length >> 1), position);
      throw error;
    },
    truncate(fd, sizeBytes) {
      const error = due('truncate');
      if (error) throw error;
      real.truncate(fd, sizeBytes);
    },
    async startDataSync(fd) {
      await real.startDataSync(fd);
      const error = due('data sync');
      if (error) throw error;
    },
  };
  return { disk, failNext: (what, error) => void failures.set(what, error) };
}
