// Every operation on the disk fails in turn, once or from there on: what is left must be the old member or the new
// one, `db` must be there all the time, and a second run must bring it to its end.
import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { plainContext } from '../../../src/ops/context.ts';
import { migrate } from '../../../src/ops/upkeep/migrate.ts';
import { parseTarget } from '../../../src/ops/upkeep/migrate-plan.ts';
import { obstaclesTo } from '../../../src/store/upgrade.ts';
import { memberDir } from '../../support/fixtures.ts';
import { type Fault, faultyDisk } from '../../support/faulty-disk.ts';
import { copyMember, editRows } from '../../support/member-copy.ts';
import { databaseOf, hashOf, membersIn, runMigrate } from '../../support/migration.ts';
import { scratch } from '../../support/scratch.ts';

const OPERATIONS_MAX = 200;

interface Case {
  from: '3.5' | '3.6' | '3.7';
  to: string;
  /** Whether the newest .snap stands where the new one will, and is replaced. */
  isRepeated?: boolean;
}

const CASES: Case[] = [
  { from: '3.7', to: '3.5' },
  { from: '3.6', to: '3.5', isRepeated: true },
  { from: '3.5', to: '3.6' },
];

/** Which of the two a server would find; fails when it is neither. */
async function stateOf(dataDir: string, { from, to }: Case): Promise<'old' | 'new'> {
  const { state } = await membersIn(dataDir);
  const isOld = (state.schema.storageVersion ?? '3.5.0') === `${from}.0`;
  assert.deepEqual(
    obstaclesTo(parseTarget(isOld ? from : to), state),
    [],
    isOld ? 'as the old one' : 'as the new one',
  );
  return isOld ? 'old' : 'new';
}

function run(dataDir: string, { to }: Case, fault?: Fault, onCall?: () => void): Promise<unknown> {
  const disk = faultyDisk(fault, { onCall });
  return migrate(
    { dataDir, target: parseTarget(to), timeoutMs: 1000, fixClusterVersion: true },
    plainContext({ disk }),
  );
}

async function startingPoint(folder: string, one: Case): Promise<string> {
  const dataDir = copyMember(folder, memberDir(one.from), 'start');
  if (!one.isRepeated) return dataDir;
  // Down and up again: a .snap and a record stand at the last applied entry, with the lower version.
  await run(dataDir, one);
  await runMigrate(dataDir, one.from);
  await editRows(dataDir, 'cluster', { downgrade: '{"target-version":"3.4.0","enabled":true}' });
  return dataDir;
}

for (const kind of ['fail once', 'fill up', 'go dead'] as const) {
  for (const one of kind === 'fill up' ? CASES.slice(0, 1) : CASES) {
    test(`${one.from} to ${one.to}${one.isRepeated ? ' again' : ''}: the disk may ${kind} at any operation`, async (t) => {
      const folder = scratch(t);
      const start = await startingPoint(folder, one);
      const hash = await hashOf(start);
      const ends = { old: 0, new: 0 };
      let count = 0;
      for (let at = 1, isThrough = false; !isThrough; at++) {
        assert.ok(at < OPERATIONS_MAX);
        const dataDir = join(folder, 'data');
        cpSync(start, dataDir, { recursive: true });
        let calls = 0;
        const look = (): void => {
          calls++;
          assert.ok(existsSync(databaseOf(dataDir)), `db is absent before operation ${calls}`);
        };
        const failed = await run(dataDir, one, { kind, at }, look).then(
          () => false,
          () => true,
        );
        isThrough = calls < at;
        const state = await stateOf(dataDir, one);
        ends[state]++;
        assert.ok(state === 'new' || failed, `operation ${at}: nothing was done, and nothing said`);
        assert.equal(await hashOf(dataDir), hash);
        if (kind === 'fail once' && failed) assertClean(dataDir, one);
        await run(dataDir, one);
        assert.equal(await stateOf(dataDir, one), 'new');
        assertClean(dataDir, one);
        rmSync(dataDir, { recursive: true });
        count = at;
      }
      t.diagnostic(`${count - 1} operations: ${ends.old} times the old state, ${ends.new} times the new one`);
      assert.ok(ends.new > 0 && (kind !== 'go dead' || ends.old > 0));
    });
  }
}

/** Nothing of ours lies about. */
function assertClean(dataDir: string, { from }: Case): void {
  const names = ['snap', 'wal'].flatMap((name) => readdirSync(join(dataDir, 'member', name)));
  assert.deepEqual(
    names.filter((name) => name.includes('etcdkit')),
    [],
    from,
  );
}
