import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { plainContext } from '../../../../src/ops/context.ts';
import { type Bump, BUMP_MARGIN, planBump } from '../../../../src/ops/snapshot/restore/bump.ts';
import { hashKV } from '../../../../src/ops/inspect/hashkv.ts';
import { restoreSnapshot } from '../../../../src/ops/snapshot/restore.ts';
import { readDatabaseRows } from '../../../support/database-rows.ts';
import { fixture, unpacked } from '../../../support/fixtures.ts';
import { scratch } from '../../../support/scratch.ts';

/** A data directory whose database is some 15 revisions behind its log, which leads to 25. */
function oldDataDir(): string {
  const folder = unpacked('tail/tail-before-3.6.tar.gz');
  return join(folder, readdirSync(folder)[0]!);
}

function auto(revision: number, dir = oldDataDir()): Promise<Bump | undefined> {
  return planBump('auto', { revision, oldDataDir: dir }, plainContext());
}

describe('a bump by number', () => {
  test('adds to the revision of the snapshot', async () => {
    const options = { revision: 19, oldDataDir: undefined };
    assert.equal(await planBump(0, options, plainContext()), undefined);
    assert.deepEqual(await planBump(1000, options, plainContext()), {
      amount: 1000,
      revision: 19,
      newRevision: 1019,
    });
    await assert.rejects(planBump(Number.MAX_SAFE_INTEGER, options, plainContext()), { code: 'usage' });
  });

  test('is one empty record and a compaction to it', async (t) => {
    const dataDir = join(scratch(t), 'data');
    const report = await restoreSnapshot(
      fixture('snap/snap-3.6.db'),
      { target: { dataDir }, bump: 1000 },
      plainContext(),
    );
    assert.equal(report.bump?.newRevision, 1019);
    const rows = readDatabaseRows(join(dataDir, 'member/snap/db'));
    assert.equal(rows.get('key/00000000000003fb5f0000000000000000'), '');
    assert.equal(rows.get('meta/scheduledCompactRev')!.slice(0, 8), '\0\0\0\0\0\0\x03\xfb');
    const { hash, compactRevision } = await hashKV(dataDir, { revision: 0 }, plainContext());
    assert.deepEqual({ hash, compactRevision }, { hash: 1416159962, compactRevision: 1019 });
  });
});

describe('a bump from an old data directory', () => {
  test('goes beyond all that its log may have led to', async () => {
    const bump = (await auto(3))!;
    const { revision, lastIndex, consistentIndex } = bump.old!;
    assert.deepEqual([lastIndex, consistentIndex], [61, 18]);
    assert.ok(revision < 25);
    assert.equal(bump.amount, revision + 61 - 18 + BUMP_MARGIN - 3);
    assert.ok(bump.newRevision > 25);
  });

  test('is at least the margin', async () => {
    const bump = (await auto(5000))!;
    assert.equal(bump.amount, BUMP_MARGIN);
    assert.equal(bump.newRevision, 5000 + BUMP_MARGIN);
  });

  test('is said aloud', async (t) => {
    const dataDir = join(scratch(t), 'data');
    const options = { target: { dataDir }, bump: 'auto', oldDataDir: oldDataDir() } as const;
    const report = await restoreSnapshot(fixture('snap/snap-3.6.db'), options, plainContext());
    assert.match(
      report.notes.join(),
      /raised by 10\d\d, from 19 to 10\d\d: .* its log goes 43 entries further \(18 to 61\)/,
    );
  });

  const spoil = (t: TestContext, change: (dir: string) => void): string => {
    const dir = join(scratch(t), 'old');
    cpSync(oldDataDir(), dir, { recursive: true });
    change(dir);
    return dir;
  };

  test('is refused when the directory cannot tell', async (t) => {
    const cases: [change: (dir: string) => void, code: RegExp][] = [
      [(dir) => rmSync(join(dir, 'member/snap/db')), /^io\.not-found$/],
      [(dir) => rmSync(join(dir, 'member/wal'), { recursive: true }), /^io\.not-found$/],
      [(dir) => rmSync(join(dir, 'member'), { recursive: true }), /^kind\.unknown$/],
      [(dir) => writeFileSync(join(dir, 'member/snap/db'), Buffer.alloc(8192)), /^bolt\.meta\.none$/],
      [
        (dir) => {
          const [name] = readdirSync(join(dir, 'member/wal')).filter((one) => one.endsWith('.wal'));
          const path = join(dir, 'member/wal', name!);
          const bytes = readFileSync(path);
          bytes[500]! ^= 1;
          writeFileSync(path, bytes);
        },
        /^wal\./,
      ],
    ];
    for (const [change, code] of cases) {
      await assert.rejects(auto(19, spoil(t, change)), {
        code,
        message: /^--bump-revision auto cannot tell from /,
      });
    }
    await assert.rejects(auto(19, fixture('snap/snap-3.6.db')), { code: 'kind.unknown' });
  });
});
