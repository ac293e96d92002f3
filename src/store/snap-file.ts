/** Writing raft snapshots: whose bytes, by the version that is to read them. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Disk } from '../bytes/disk.ts';
import { StagedFile } from '../bytes/replace.ts';
import type { Zeros } from '../format/proto/field.ts';
import type { ConfState } from '../format/proto/raftpb.ts';
import { encodeSnapFile, formatSnapName } from '../format/snap/file.ts';
import { encodeV2Store, type V2Store } from '../format/snap/v2store.ts';
import { compareVersions, type Version } from './schema/buckets.ts';

const SNAP_MODE = 0o644;

/** Whether a version writes zeros that proto2 may leave out. */
export function zerosOf(version: Version): Zeros {
  return compareVersions(version, '3.7') < 0 ? 'write' : 'omit';
}

/** The v2 store as a version writes it. */
export function v2StoreBytes(store: V2Store, version: Version): Uint8Array {
  return encodeV2Store(store, { style: compareVersions(version, '3.6') < 0 ? 'live' : 'rebuilt' });
}

export interface RaftSnapshot {
  term: number;
  index: number;
  confState: Partial<Pick<ConfState, 'voters' | 'learners' | 'autoLeave'>>;
  /** The v2 store. */
  data: Uint8Array;
}

/** Where a snapshot's file is, in `snapDir`. */
export function snapPath(snapDir: string, place: { term: number; index: number }): string {
  return join(snapDir, formatSnapName(place));
}

/** The bytes of a `.snap` file. */
export function snapBytes({ term, index, confState, data }: RaftSnapshot, zeros: Zeros): Uint8Array {
  return encodeSnapFile({ data, metadata: { confState, index, term } }, { zeros });
}

/**
 * Writes a snapshot's file durably while the loop runs; until it is whole it has no name that a server reads. One of the
 * same place is replaced.
 */
export async function saveSnapFile(
  disk: Disk,
  path: string,
  { snapshot, zeros }: { snapshot: RaftSnapshot; zeros: Zeros },
): Promise<void> {
  // A server removes what begins with `tmp` when it starts.
  const temporary = join(dirname(path), `tmp-${snapshot.index}`);
  if (existsSync(temporary)) disk.remove(temporary);
  const staged = new StagedFile(disk, path, { mode: SNAP_MODE, temporary });
  try {
    staged.write(snapBytes(snapshot, zeros), 0);
    await disk.startSync(staged.fd);
    staged.commit();
  } finally {
    staged.discard();
  }
}
