/**
 * Seeded damage to databases: each mutation as it is under its trailer, with the trailer re-sealed, and as a raw
 * database. `ETCDKIT_SEED` repeats a run.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { VerifyReport } from '../../src/check/report.ts';
import { verify } from '../../src/check/verify.ts';
import { damage, describeEdit, type Edit, flipBit, randomFor, seedOfRun } from '../support/mutate.ts';
import { scratch } from '../support/scratch.ts';
import { type Base, databaseBases, PAGES_ONLY, sealed } from './bases.ts';
import { editOf, metaEdit } from './edits.ts';
import { Histogram } from './histogram.ts';
import { judge, list, settle } from './judge.ts';
import { type Outcome, probe } from './probe.ts';
import { Watchdog } from './watchdog.ts';

const SEED = seedOfRun();
const HANG_MS = 30_000;
const RSS_MAX_BYTES = 700 << 20;
/** Bases of the size of a fixture's. */
const TRAILER_BASES = 4;
const TRAILER_SIZE = 32;
const META_ROUNDS = 12;
const WAYS = ['as it is', 're-sealed', 'raw'] as const;
type Way = (typeof WAYS)[number];

const bases = databaseBases(SEED);
const histogram = new Histogram();
const watchdog = new Watchdog(HANG_MS);
let mutationCount = 0;

/** The damaged file; undefined where it would be no other: a backup has no bytes behind the high-water mark. */
function bytesOf({ bytes, map }: Base, edit: Edit, way: Way): Uint8Array | undefined {
  if (way === 'raw') return damage(bytes, edit);
  const content = bytes.subarray(0, map.pageLimit * map.pageSize);
  const isOutside = edit.patches.some((patch) => patch.offset + patch.bytes.length > content.length);
  if (isOutside || (edit.size ?? 0) > content.length) return undefined;
  return way === 'as it is' ? damage(sealed(content), edit) : sealed(damage(content, edit));
}

const isDamaged = ({ verdict }: VerifyReport): boolean => verdict === 'DAMAGED' || verdict === 'UNREADABLE';

/**
 * Defrag must not make a sound file of what it was not given. It reads neither the other meta nor the freelist, and
 * copies a bucket's sequence as it is.
 */
function checkDefrag({ map }: Base, { report, isDefragmented }: Outcome): void {
  const unread = ['page 0', 'page 1', `page ${map.freelist}`];
  const damage = report.findings.find(
    ({ layer, severity, where, code, message }) =>
      (layer === 'pages' || layer === 'content') &&
      severity !== 'note' &&
      !unread.includes(where.unit ?? '') &&
      !['bolt.freelist', 'bolt.page.freed', 'bolt.page.unreachable'].includes(code) &&
      !message.includes('has sequence'),
  );
  assert.ok(!damage || !isDefragmented, `defrag succeeded in spite of ${damage?.code}: ${damage?.message}`);
}

async function tryEdit(
  base: Base,
  edit: Edit,
  paths: { input: string; output: string },
  name: string,
): Promise<void> {
  const judgement = judge(
    base.map,
    base.bytes,
    damage(base.bytes, { ...edit, size: base.bytes.length }),
    edit,
  );
  for (const way of WAYS) {
    const bytes = bytesOf(base, edit, way);
    if (!bytes) continue;
    writeFileSync(paths.input, bytes);
    const outcome = await probe(paths.input, bytes, {
      watchdog,
      name: `${name} ${way}`,
      output: paths.output,
      ...(base.isPlain ? { layers: PAGES_ONLY } : {}),
    }).catch((error: unknown) => {
      throw new Error(`${way}: ${error instanceof Error ? error.stack : String(error)}`, { cause: error });
    });
    try {
      if (way === 'as it is') {
        // Cut exactly where the trailer began, a backup is a whole database without one.
        const isBareDatabase = edit.size === base.map.pageLimit * base.map.pageSize;
        assert.ok(isDamaged(outcome.report) || isBareDatabase, `${outcome.report.verdict} under a trailer`);
      } else {
        const [column, row] = settle(base, edit, judgement, outcome.report);
        histogram.add(row, column);
      }
      checkDefrag(base, outcome);
    } catch (error) {
      throw new Error(`${way}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
}

describe('seeded damage to databases', () => {
  const directory = scratch({ after });
  process.stdout.write(`ETCDKIT_SEED=${SEED}\n`);
  after(() => watchdog.stop());

  for (const [index, base] of bases.entries()) {
    test(`${base.name}: ${base.rounds} mutations, three ways`, async () => {
      const paths = { input: join(directory, `${index}.db`), output: join(directory, `${index}.out`) };
      writeFileSync(paths.input, base.bytes);
      const healthy = await verify(paths.input, base.isPlain ? { layers: PAGES_ONLY } : {});
      assert.equal(healthy.damageCount, 0, `the base is not sound: ${list(healthy.findings)}`);

      const failures: string[] = [];
      for (let i = 0; i < base.rounds && failures.length < 5; i++) {
        const edit = editOf(randomFor(SEED, index, i), base);
        mutationCount++;
        const name = `ETCDKIT_SEED=${SEED} ${base.name} #${i} ${describeEdit(edit)}`;
        try {
          await tryEdit(base, edit, paths, name);
        } catch (error) {
          failures.push(`${name}\n    ${error instanceof Error ? error.message : String(error)}`);
        }
      }
      assert.deepEqual(failures, []);
    });
  }

  test('the trailer itself, bit by bit and cut by cut', async () => {
    const paths = { input: join(directory, 'trailer.db'), output: join(directory, 'trailer.out') };
    for (const [index, base] of bases.slice(0, TRAILER_BASES).entries()) {
      const whole = sealed(base.bytes);
      for (let i = 0; i < 2 * TRAILER_SIZE; i++) {
        const random = randomFor(SEED, 100, index, i);
        const run = { start: base.bytes.length, end: whole.length };
        const edit =
          i < TRAILER_SIZE
            ? flipBit(random, whole, run)
            : { what: 'cut', patches: [], size: run.start + i - TRAILER_SIZE };
        mutationCount++;
        const bytes = damage(whole, edit);
        writeFileSync(paths.input, bytes);
        const { report } = await probe(paths.input, bytes, {
          watchdog,
          name: `trailer of ${base.name}`,
          output: paths.output,
        });
        const isBareDatabase = edit.size === base.bytes.length;
        assert.equal(
          isDamaged(report),
          !isBareDatabase,
          `${base.name} ${describeEdit(edit)}: ${report.verdict}`,
        );
      }
    }
  });

  test('metas with a right checksum: whatever they say is believed or refused', async () => {
    const paths = { input: join(directory, 'meta.db'), output: join(directory, 'meta.out') };
    for (const [index, base] of bases.entries()) {
      for (let i = 0; i < META_ROUNDS; i++) {
        const edit = metaEdit(randomFor(SEED, 200, index, i), base);
        mutationCount++;
        const bytes = damage(base.bytes, edit);
        writeFileSync(paths.input, bytes);
        const layers = base.isPlain ? { layers: PAGES_ONLY } : {};
        const name = `ETCDKIT_SEED=${SEED} ${base.name} ${describeEdit(edit)}`;
        const { report } = await probe(paths.input, bytes, {
          watchdog,
          name,
          output: paths.output,
          ...layers,
        }).catch((error: unknown) => {
          throw new Error(`${name}: ${String(error)}`, { cause: error });
        });
        histogram.add(edit.what, isDamaged(report) ? 'found' : 'passed');
      }
    }
  });

  test('memory stays bounded, and the counts are these', () => {
    const { maxRSS } = process.resourceUsage();
    process.stdout.write(
      `${mutationCount} mutations, three ways each; re-sealed and raw:\n${histogram.lines().join('\n')}\n`,
    );
    process.stdout.write(`peak memory ${(maxRSS / 1024).toFixed(0)} MB\n`);
    assert.ok(maxRSS * 1024 < RSS_MAX_BYTES);
  });
});
