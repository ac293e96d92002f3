/**
 * Seeded damage to data directories: the last segment of the log, the raft snapshots, and the database beside them.
 * `ETCDKIT_SEED` repeats a run.
 */
import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { VerifyReport } from '../../src/check/report.ts';
import { verify } from '../../src/check/verify.ts';
import {
  changedOffsets,
  cut,
  damage,
  describeEdit,
  type Edit,
  flipBit,
  type Random,
  randomFor,
  seedOfRun,
  swapUnits,
  zeroUnit,
} from '../support/mutate.ts';
import { scratch } from '../support/scratch.ts';
import { mapDatabase } from './database-map.ts';
import { type DirectoryBase, directoryBases, type SegmentFile } from './directories.ts';
import { aimedEdit } from './edits.ts';
import { Histogram } from './histogram.ts';
import { type Column, judge, list, settle } from './judge.ts';
import { type LogKind, logRegionAt } from './log-map.ts';
import { aimedLogEdit } from './log-edits.ts';
import { probe } from './probe.ts';
import { Watchdog } from './watchdog.ts';

const SEED = seedOfRun();
const ROUNDS = 90;
const HANG_MS = 30_000;
const SECTOR_SIZE = 512;

const histogram = new Histogram();
const watchdog = new Watchdog(HANG_MS);
let mutationCount = 0;

/** Runs with a damaged file in place of the sound one, whose first bytes are `original`. */
async function withDamage<T>(
  path: string,
  original: Uint8Array,
  edit: Edit,
  run: () => Promise<T>,
): Promise<T> {
  const { size } = statSync(path);
  const fd = openSync(path, 'r+');
  try {
    for (const { offset, bytes } of edit.patches) writeSync(fd, bytes, 0, bytes.length, offset);
    if (edit.size !== undefined) ftruncateSync(fd, edit.size);
    return await run();
  } finally {
    writeSync(fd, original, 0, original.length, 0);
    ftruncateSync(fd, size);
    closeSync(fd);
  }
}

/** A third of the log's bytes are what no checksum covers, so half of the edits are aimed. */
function logEdit(random: Random, { used, log }: SegmentFile): Edit {
  const within = { start: 0, end: log.end };
  const dice = random.below(100);
  if (dice < 20) return flipBit(random, used, within);
  if (dice < 25 && log.end < used.length) return flipBit(random, used, { start: log.end, end: used.length });
  if (dice < 40) return cut(random, { start: 0, end: used.length });
  if (dice < 50) return zeroUnit(random, log.end, SECTOR_SIZE);
  if (dice < 55) return swapUnits(random, used.subarray(0, log.end), SECTOR_SIZE);
  return aimedLogEdit(random, used, log);
}

const OWED: readonly LogKind[] = ['frame word', 'head', 'data'];

/** Whether the damaged segment is the sound one up to the end of some record, and nothing but zeros after it. */
function endsEarlier({ log, used, isLast }: SegmentFile, edit: Edit): boolean {
  if (!isLast) return false;
  const bytes = damage(used, edit);
  const first = Math.min(edit.size ?? used.length, ...changedOffsets(used, edit));
  const end = log.frames.findLast((at) => at <= first) ?? 0;
  return bytes.subarray(Math.min(end, bytes.length)).every((byte) => byte === 0);
}

const SAME_CHECKSUM = 'above the 32 bits of a checksum';
const CRC_AT = 3;
const CRC_LAST_BYTE = CRC_AT + 4;

/**
 * A checksum takes five bytes, the last one with three bits to spare. Every reader drops them, etcd's too, so the
 * record reads as the very one that was written.
 */
function readsTheSame({ log, used }: SegmentFile, { patches }: Edit): boolean {
  return changedOffsets(used, { what: '', patches }).every((offset) => {
    const region = logRegionAt(log, offset);
    const isLast =
      region.kind === 'head' && offset === region.start + CRC_LAST_BYTE && used[offset - 1]! >= 0x80;
    return isLast && (damage(used, { what: '', patches })[offset]! & 0x8f) === used[offset];
  });
}

/**
 * A damaged record is reported where it begins, or at the one after it, where the chain breaks; a torn tail, whatever
 * it costs, as torn. What contradicts other records or files, because one was taken for another, is found elsewhere.
 */
function settleLog(base: SegmentFile, edit: Edit, report: VerifyReport): [Column, string] {
  const changed = edit.size === undefined ? changedOffsets(base.used, edit) : [edit.size];
  const regions = changed.map((offset) => logRegionAt(base.log, Math.min(offset, base.used.length - 1)));
  const kinds = new Set(regions.map(({ kind }) => kind));
  const label =
    edit.size !== undefined ? 'log: cut' : kinds.size === 1 ? `log: ${[...kinds][0]}` : `log: ${edit.what}`;
  const findings = report.findings.filter(({ layer }) => layer === 'log');
  // The base may have a torn tail of its own, which begins where its log ends.
  const isTornHere = (offset = 0): boolean => offset < base.log.end;
  const damage = findings.filter(
    ({ severity, code, where }) => severity !== 'note' || (code === 'wal.torn' && isTornHere(where.offset)),
  );
  if (damage.length > 0) {
    const places = new Set(
      regions.flatMap(({ frame }) => [base.log.frames[frame], base.log.frames[frame + 1]]),
    );
    const isHere = damage.some(({ where }) => where.file === base.path && places.has(where.offset));
    return ['found', isHere ? label : `${label}, elsewhere`];
  }
  if (edit.size === undefined && readsTheSame(base, edit)) return ['excused', `${label}: ${SAME_CHECKSUM}`];
  if (endsEarlier(base, edit)) return ['excused', `${label}: ends with an earlier record`];
  const isOwed =
    edit.size !== undefined ? edit.size < base.log.end : [...kinds].some((kind) => OWED.includes(kind));
  assert.ok(!isOwed, `${label}: not found (${report.verdict}: ${list(findings)})`);
  return ['passed', label];
}

function settleSnap(path: string, report: VerifyReport): [Column, string] {
  const finding = report.findings.find(({ where }) => where.file === path);
  assert.ok(finding, `raft snapshot: not found (${report.verdict})`);
  return ['found', 'raft snapshot'];
}

function snapEdit(random: Random, bytes: Uint8Array): Edit {
  const whole = { start: 0, end: bytes.length };
  const dice = random.below(10);
  if (dice < 2) return cut(random, whole);
  if (dice < 4) return zeroUnit(random, bytes.length, SECTOR_SIZE);
  return flipBit(random, bytes, dice < 7 ? { start: 0, end: 16 } : whole);
}

interface Attempt {
  file: string;
  original: Uint8Array;
  edit: Edit;
  settle(report: VerifyReport): [Column, string];
}

function attemptOf(random: Random, base: DirectoryBase): Attempt {
  const dice = random.below(10);
  if (dice < 6 || (dice < 8 && base.snaps.length === 0)) {
    const segment = random.pick(base.segments);
    const edit = logEdit(random, segment);
    return {
      file: segment.path,
      original: segment.used,
      edit,
      settle: (report) => settleLog(segment, edit, report),
    };
  }
  if (dice < 8) {
    const file = random.pick(base.snaps);
    const original = readFileSync(file);
    return { file, original, edit: snapEdit(random, original), settle: (report) => settleSnap(file, report) };
  }
  const original = Uint8Array.from(readFileSync(base.database));
  const map = mapDatabase(original);
  const edit = aimedEdit(random, { bytes: original, map });
  const settleDatabase = (report: VerifyReport): [Column, string] => {
    const [column, row] = settle(
      { bytes: original, map },
      edit,
      judge(map, original, damage(original, edit), edit),
      report,
    );
    return [column, `database: ${row}`];
  };
  return { file: base.database, original, edit, settle: settleDatabase };
}

const stampsOf = (base: DirectoryBase): string =>
  base.files.map((file) => statSync(file, { bigint: true }).mtimeNs).join();

async function tryAttempt(
  base: DirectoryBase,
  { file, original, edit, settle }: Attempt,
  name: string,
): Promise<void> {
  await withDamage(file, original, edit, async () => {
    const before = stampsOf(base);
    const { report } = await probe(base.path, undefined, { watchdog, name, output: join(base.path, 'out') });
    assert.equal(stampsOf(base), before, 'a file of the directory was written to');
    const [column, row] = settle(report);
    histogram.add(row, column);
  });
}

describe('seeded damage to data directories', () => {
  const directory = scratch({ after });
  const bases = directoryBases(directory);
  after(() => watchdog.stop());
  process.stdout.write(`ETCDKIT_SEED=${SEED}\n`);

  for (const [index, base] of bases.entries()) {
    test(`${base.name}: ${ROUNDS} mutations`, async () => {
      const healthy = await verify(base.path);
      assert.equal(healthy.damageCount, 0, `the base is not sound: ${list(healthy.findings)}`);
      const failures: string[] = [];
      for (let i = 0; i < ROUNDS && failures.length < 5; i++) {
        const attempt = attemptOf(randomFor(SEED, 1000 + index, i), base);
        if (attempt.edit.size === undefined && changedOffsets(attempt.original, attempt.edit).length === 0)
          continue;
        mutationCount++;
        const name = `ETCDKIT_SEED=${SEED} ${base.name} #${i} ${attempt.file.slice(base.path.length)} ${describeEdit(attempt.edit)}`;
        try {
          await tryAttempt(base, attempt, name);
        } catch (error) {
          failures.push(`${name}\n    ${error instanceof Error ? error.message : String(error)}`);
        }
      }
      assert.deepEqual(failures, []);
    });
  }

  test('the counts are these', () => {
    process.stdout.write(`${mutationCount} mutations of directories:\n${histogram.lines().join('\n')}\n`);
  });
});
