/**
 * `check v2store`: whether a stopped member still holds data of the v2 API, which etcd 3.6 refuses to start with.
 * Looks into the .snap file that 3.5 starts from, and into the log behind it; changes nothing.
 */
import { join } from 'node:path';
import { Pacer } from '../../bytes/pacer.ts';
import { ToolError } from '../../errors.ts';
import { MEMBER_DIRECTORY, SNAP_DIRECTORY, WAL_DIRECTORY } from '../../format/datadir.ts';
import { parseSnapName } from '../../format/snap/file.ts';
import { chooseSegments } from '../../format/wal/name.ts';
import { listSegments } from '../../format/wal/log.ts';
import type { Snap } from '../../store/upgrade.ts';
import type { Context } from '../context.ts';
import { listSnapDir, type MemberLog, readSegments, readSnaps } from './migrate-member.ts';

export interface V2StoreOptions {
  dataDir: string;
  /** Where `--wal-dir` put the log. */
  walDir?: string | undefined;
}

export interface V2StoreReport {
  /** Name of the .snap file that was looked into, when there is one. */
  snap: string | undefined;
  /** Paths of data in it; at most a few. */
  storePaths: string[];
  /** How many requests in the log 3.6 would not read. */
  requestCount: number;
  /** The first of them. */
  firstRequest: string | undefined;
}

/** Throws when log or .snap cannot be read; what is found in them is in the report. */
export async function checkV2Store(options: V2StoreOptions, context: Context): Promise<V2StoreReport> {
  const memberDir = join(options.dataDir, MEMBER_DIRECTORY);
  const walDir = options.walDir ?? join(memberDir, WAL_DIRECTORY);
  const pacer = new Pacer({ signal: context.signal, progress: context.progress?.('reading the log') });
  const { segments } = listSegments(walDir);
  if (segments.length === 0) {
    throw new ToolError('wal.sequence', `there are no segments in ${walDir}`, {
      where: { file: walDir },
      hint: 'give --wal-dir if the log is elsewhere',
    });
  }
  const log = await readSegments(segments, undefined, pacer);
  const snap = newestSnap(join(memberDir, SNAP_DIRECTORY), log, context);
  if (snap && !snap.store) {
    throw new ToolError(
      'snap.malformed',
      `failed to recover v2store from snapshot: ${snap.name} does not decode`,
    );
  }
  // Without a snapshot everything that is left of the log counts.
  if (snap) chooseSegments(segments, snap.index, walDir);
  const requests = log.cluster.customIndexes.filter((index) => index > (snap?.index ?? 0));
  return {
    snap: snap?.name,
    storePaths: snap?.store?.customPaths ?? [],
    requestCount: requests.length,
    firstRequest: requests.length > 0 ? log.cluster.firstCustom : undefined,
  };
}

/** The one a server would start from: the newest that a committed record in the log names. */
function newestSnap(snapDir: string, { records, state }: MemberLog, { log }: Context): Snap | undefined {
  const isRecorded = (name: string): boolean => {
    const snap = parseSnapName(name);
    return records.some(
      ({ index, term }) => index === snap?.index && term === snap.term && index <= state.commit,
    );
  };
  for (const name of listSnapDir(snapDir).filter(isRecorded)) {
    const [snap] = readSnaps([join(snapDir, name)], log);
    if (snap) return snap;
  }
  return undefined;
}
