/** A disk that falls ill and gets well again, by what an operation is and which file it is about. */
import type { Disk } from '../../src/bytes/disk.ts';
import { type DiskCall, failureOf, watchedDisk } from './faulty-disk.ts';

export interface Illness {
  code: 'ENOSPC' | 'EIO';
  strikes(call: DiskCall): boolean;
}

export interface AilingDisk {
  disk: Disk;
  illness: Illness | undefined;
  /** Operations that failed. */
  failed: number;
}

export function ailingDisk(): AilingDisk {
  const ailing: AilingDisk = { disk: undefined as unknown as Disk, illness: undefined, failed: 0 };
  ailing.disk = watchedDisk(
    (call, run) => {
      const { illness } = ailing;
      if (!illness?.strikes(call)) return run();
      ailing.failed++;
      throw failureOf(call, illness.code);
    },
    { isOrdered: false },
  );
  return ailing;
}

const isLog = ({ path }: DiskCall): boolean => path.endsWith('.wal') || path.endsWith('.tmp');
const isDatabase = ({ path }: DiskCall): boolean => path.endsWith('/db');
const METAS_SIZE = 2 * 4096;
/** What overwrites a meta of a database lies where there was one already. */
const takesRoom = (call: DiskCall): boolean =>
  ['write', 'create', 'makeDirectory', 'link'].includes(call.operation) &&
  !(isDatabase(call) && call.position! < METAS_SIZE);

/** What the tests are about. */
export const ILLNESSES = {
  'a full disk under the log': { code: 'ENOSPC', strikes: (call) => isLog(call) && takesRoom(call) },
  'a full disk under the database': {
    code: 'ENOSPC',
    strikes: (call) => isDatabase(call) && takesRoom(call),
  },
  'a full disk under both': { code: 'ENOSPC', strikes: takesRoom },
  'a log that cannot be synced': {
    code: 'EIO',
    strikes: (call) => isLog(call) && call.operation === 'sync',
  },
  'a database that cannot be synced': {
    code: 'EIO',
    strikes: (call) => isDatabase(call) && call.operation === 'sync',
  },
  'a log that cannot be written': {
    code: 'EIO',
    strikes: (call) => isLog(call) && ['write', 'truncate'].includes(call.operation),
  },
  'a database that cannot be written': {
    code: 'EIO',
    strikes: (call) => isDatabase(call) && ['write', 'truncate'].includes(call.operation),
  },
} as const satisfies Record<string, Illness>;
