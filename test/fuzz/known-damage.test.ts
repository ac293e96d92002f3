/**
 * Damage that once passed, or was told badly: each line is a mutation that the seeded suites came upon. A new one is
 * one more line.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { verify } from '../../src/check/verify.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { damage } from '../support/mutate.ts';
import { scratch } from '../support/scratch.ts';
import { databaseBases, sealed } from './bases.ts';
import { directoryBases } from './directories.ts';

interface KnownDamage {
  base: string;
  what: string;
  at: number;
  /** Hexadecimal. */
  bytes: string;
  code: ErrorCode;
  page: number;
}

/** Of raw databases. */
const DATABASES: readonly KnownDamage[] = [
  {
    base: 'snap-3.4',
    what: 'the root counts no elements',
    at: 8202,
    bytes: '0000',
    code: 'bolt.page.element',
    page: 2,
  },
  {
    base: 'bumped',
    what: 'the last record of a page loses its value, and looks like a bump',
    at: 16620,
    bytes: '00000000',
    code: 'bolt.page.element',
    page: 4,
  },
  {
    base: 'snap-3.5',
    what: 'a role name takes in the options behind it',
    at: 37372,
    bytes: '06',
    code: 'schema.auth',
    page: 9,
  },
  {
    base: 'datadir-3.6',
    what: 'a password becomes a role',
    at: 37385,
    bytes: '1a',
    code: 'schema.auth',
    page: 9,
  },
  {
    base: 'snap-3.6',
    what: 'a permission becomes an unknown field',
    at: 33118,
    bytes: '28',
    code: 'schema.auth',
    page: 8,
  },
  {
    base: 'snap-3.5',
    what: 'a bucket has another name',
    at: 37457,
    bytes: '54',
    code: 'schema.bucket',
    page: 9,
  },
  {
    base: 'snap-3.4',
    what: 'a field of meta has another name',
    at: 9305,
    bytes: '34',
    code: 'schema.meta',
    page: 2,
  },
];

interface KnownLogDamage {
  base: string;
  what: string;
  file: 'segment' | 'last segment' | 'snap';
  at: number;
  bytes: string;
  code: ErrorCode;
}

/** Record types are what no checksum covers: offsets are those of the type, or of the checksum's last byte. */
const DIRECTORIES: readonly KnownLogDamage[] = [
  {
    base: '3.6',
    what: 'the first CRC record becomes a snapshot',
    file: 'segment',
    at: 9,
    bytes: '05',
    code: 'wal.record.type',
  },
  {
    base: '3.6',
    what: 'the CRC field of the first record becomes another',
    file: 'segment',
    at: 10,
    bytes: '30',
    code: 'wal.record.type',
  },
  {
    base: 'many segments',
    what: 'the CRC record of a later segment becomes a snapshot',
    file: 'last segment',
    at: 9,
    bytes: '05',
    code: 'wal.record.type',
  },
  {
    base: '3.7, preallocated',
    what: 'the snapshot at 0 becomes a state',
    file: 'segment',
    at: 65,
    bytes: '03',
    code: 'wal.snapshot.missing',
  },
  {
    base: '3.5',
    what: 'the snapshot at 0 becomes an entry',
    file: 'segment',
    at: 65,
    bytes: '02',
    code: 'wal.record.malformed',
  },
  {
    base: '3.5',
    what: 'the first entry becomes a state',
    file: 'segment',
    at: 89,
    bytes: '03',
    code: 'wal.entry.gap',
  },
  {
    base: 'restored',
    what: 'the last entry becomes a state',
    file: 'segment',
    at: 329,
    bytes: '03',
    code: 'wal.record.malformed',
  },
  {
    base: '3.5',
    what: 'a checksum of more than 32 bits',
    file: 'snap',
    at: 5,
    bytes: '2f',
    code: 'snap.malformed',
  },
];

describe('damage that once passed', () => {
  const directory = scratch({ after });
  const bases = databaseBases(1);

  for (const { base, what, at, bytes, code, page } of DATABASES) {
    test(`${base}: ${what}`, async () => {
      const { bytes: sound } = bases.find(({ name }) => name === base)!;
      const path = join(directory, 'known.db');
      writeFileSync(
        path,
        damage(sound, { what, patches: [{ offset: at, bytes: Buffer.from(bytes, 'hex') }] }),
      );
      const { verdict, findings } = await verify(path);
      assert.equal(verdict, 'DAMAGED');
      const units = findings
        .filter((finding) => finding.code === code && finding.severity !== 'note')
        .map(({ where }) => where.unit);
      assert.ok(units.includes(`page ${page}`), JSON.stringify(findings));
    });
  }

  test('a trailer that is cut short', async () => {
    const { bytes } = bases.find(({ name }) => name === 'snap-3.6')!;
    const path = join(directory, 'cut.db');
    for (let kept = 1; kept < 32; kept++) {
      writeFileSync(path, sealed(bytes).subarray(0, bytes.length + kept));
      const { verdict, findings } = await verify(path);
      assert.equal(verdict, 'DAMAGED', `with ${kept} bytes of it`);
      assert.deepEqual(
        findings.map(({ code }) => code),
        ['backup.size'],
      );
    }
  });

  test('directories', async (t) => {
    const all = directoryBases(directory);
    for (const { base, what, file, at, bytes, code } of DIRECTORIES) {
      await t.test(`${base}: ${what}`, async () => {
        const { path, segments, snaps } = all.find(({ name }) => name === base)!;
        const target = {
          segment: segments[0],
          'last segment': segments.at(-1),
          snap: { path: snaps.at(-1)! },
        }[file]!.path;
        const sound = Uint8Array.from(readFileSync(target));
        writeFileSync(
          target,
          damage(sound, { what, patches: [{ offset: at, bytes: Buffer.from(bytes, 'hex') }] }),
        );
        try {
          const { verdict, findings } = await verify(path);
          assert.equal(verdict, 'DAMAGED');
          const found = findings.filter((finding) => finding.code === code && finding.where.file === target);
          assert.ok(found.length > 0, JSON.stringify(findings));
        } finally {
          writeFileSync(target, sound);
        }
      });
    }
  });
});
