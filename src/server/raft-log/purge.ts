/**
 * Which raft snapshots and segments may go: the oldest beyond the numbers to keep, and of segments only those in which
 * nothing lies that the last snapshot does not stand for. etcd v3.6 client/pkg/fileutil/purge.go, server/storage/wal.
 */
import { join } from 'node:path';
import type { Disk } from '../../bytes/disk.ts';
import { listNames } from '../../bytes/directory.ts';
import { ToolError } from '../../errors.ts';
import { parseSnapName } from '../../format/snap/file.ts';
import { parseSegmentName } from '../../format/wal/name.ts';
import type { Log } from '../log.ts';

interface PurgeJob {
  disk: Disk;
  walDir: string;
  snapDir: string;
  log?: Log | undefined;
  /** 0 keeps all. */
  snapshotsMax: number;
  walsMax: number;
  /** Index of the last snapshot that is saved; 0 for none. */
  released: number;
}

/** Names of what was removed. */
export interface Purged {
  snapshots: string[];
  segments: string[];
}

const RECEIVED = /^([0-9a-f]{16})\.snap\.db$/;

/** A file that cannot be removed is told and left. */
export function purgeLog({ disk, walDir, snapDir, log, ...limits }: PurgeJob): Purged {
  const remove = (directory: string, names: readonly string[]): string[] => {
    const removed: string[] = [];
    for (const name of names) {
      const path = join(directory, name);
      try {
        disk.remove(path);
      } catch (error) {
        if (!(error instanceof ToolError)) throw error;
        log?.warn({ path, error: error.message }, 'failed to purge file');
        // What is left of a log has no gaps.
        break;
      }
      log?.info({ path }, 'purged');
      removed.push(name);
    }
    return removed;
  };
  return {
    snapshots: remove(snapDir, oldSnapshots(listNames(snapDir), limits)),
    segments: remove(walDir, oldSegments(listNames(walDir), limits)),
  };
}

/** Of names in snap/, those that no server will ask for. */
export function oldSnapshots(
  names: readonly string[],
  { snapshotsMax, released }: { snapshotsMax: number; released: number },
): string[] {
  const received = names.filter((name) => {
    const index = RECEIVED.exec(name)?.[1];
    return index !== undefined && Number.parseInt(index, 16) < released;
  });
  if (snapshotsMax === 0) return received;
  const snapshots = names.filter((name) => parseSnapName(name)).sort();
  return [...snapshots.slice(0, Math.max(0, snapshots.length - snapshotsMax)), ...received];
}

/** Of names in wal/, oldest first. The segment in which the snapshot lies is kept, and all behind it. */
export function oldSegments(
  names: readonly string[],
  { walsMax, released }: { walsMax: number; released: number },
): string[] {
  if (walsMax === 0) return [];
  const segments = names.filter((name) => parseSegmentName(name)).sort();
  const needed = segments.findLastIndex((name) => parseSegmentName(name)!.index <= released);
  return segments.slice(0, Math.max(0, Math.min(needed, segments.length - walsMax)));
}
