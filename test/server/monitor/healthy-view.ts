/** A server that is well, as metrics and the HTTP endpoints see it; parts of it can be changed while it runs. */
import type { Log } from '../../../src/server/log.ts';
import type { ServerView } from '../../../src/server/monitor/server-view.ts';
import { KeyTally } from '../../../src/store/mvcc/key-values.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export function healthyView(change: Partial<ServerView> = {}): Mutable<ServerView> {
  return {
    memberId: 0x8e9e05c52164694dn,
    serverVersion: '3.6.16',
    clusterVersion: '3.6.0',
    storageVersion: '3.6.0',
    hasLeader: true,
    isLeader: true,
    isLearner: false,
    committedIndex: 12,
    appliedIndex: 11,
    revision: 7,
    compactRevision: 3,
    keyCount: 5,
    tally: new KeyTally(),
    leases: { granted: 0, renewed: 0, revoked: 0, expired: 0 },
    watcherCount: 0,
    slowWatcherCount: 0,
    databaseBytes: 20_480,
    databaseInUseBytes: 16_384,
    quotaBytes: 2 ** 31,
    authRevision: 1,
    alarms: [],
    read: async () => {},
    ...change,
  };
}

/** A log that keeps its lines. */
export function keptLog(): Log & { lines: { level: string; fields: object; message: string }[] } {
  const lines: { level: string; fields: object; message: string }[] = [];
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, fields, message });
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), lines };
}
