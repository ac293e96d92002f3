/** Runs `migrate` on a data directory, and says what is in one afterwards. */
import { join } from 'node:path';
import { Pacer } from '../../src/bytes/pacer.ts';
import { type Log, plainContext } from '../../src/ops/context.ts';
import { hashKV } from '../../src/ops/inspect/hashkv.ts';
import { migrate, type MigrateOptions, type MigrateReport } from '../../src/ops/upkeep/migrate.ts';
import { type MemberLog, type MemberPaths, readMember } from '../../src/ops/upkeep/migrate-member.ts';
import { parseTarget } from '../../src/ops/upkeep/migrate-plan.ts';
import { type MemberState, obstaclesTo } from '../../src/store/upgrade.ts';

export const databaseOf = (dataDir: string): string => join(dataDir, 'member', 'snap', 'db');

export const pathsOf = (dataDir: string): MemberPaths => ({
  database: databaseOf(dataDir),
  snapDir: join(dataDir, 'member', 'snap'),
  walDir: join(dataDir, 'member', 'wal'),
});

export function runMigrate(
  dataDir: string,
  to: string,
  over: Partial<MigrateOptions> = {},
  log?: Log,
): Promise<MigrateReport> {
  const options = { dataDir, target: parseTarget(to), timeoutMs: 50, ...over };
  return migrate(options, plainContext(log ? { log } : {}));
}

export function membersIn(dataDir: string): Promise<{ state: MemberState; log: MemberLog }> {
  return readMember(pathsOf(dataDir), plainContext().log, new Pacer());
}

/** Kinds of what keeps a server from starting. */
export async function obstaclesIn(dataDir: string, to: string): Promise<string[]> {
  const { state } = await membersIn(dataDir);
  return obstaclesTo(parseTarget(to), state).map(({ kind }) => kind);
}

export async function hashOf(dataDir: string): Promise<number> {
  return (await hashKV(databaseOf(dataDir), { revision: 0 }, plainContext())).hash;
}

/** A log that keeps what it was told. */
export function recorder(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const add = (fields: object, message: string): void =>
    void lines.push(`${message} ${JSON.stringify(fields)}`);
  return { log: { debug: add, info: add, warn: add }, lines };
}
