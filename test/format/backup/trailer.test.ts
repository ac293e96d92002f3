import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource } from '../../../src/bytes/source.ts';
import { ToolError } from '../../../src/errors.ts';
import {
  checkDigest,
  Digester,
  digestOf,
  hasTrailer,
  readBackup,
} from '../../../src/format/backup/trailer.ts';
import { readFixture, VERSIONS } from '../../support/fixtures.ts';

test('the size tells whether there is a digest', () => {
  assert.deepEqual([0, 31, 32, 512, 544, 4096, 4128, 36896].map(hasTrailer), [
    false,
    false,
    true,
    false,
    true,
    false,
    true,
    true,
  ]);
});

for (const version of VERSIONS) {
  test(`the backup of ${version} vouches for itself, and not for a changed byte`, () => {
    const bytes = readFixture(`snap/snap-${version}.db`);
    const source = new MemorySource(bytes, 'snap.db');
    const backup = readBackup(source);
    assert.equal(backup.databaseSize, bytes.length - 32);
    checkDigest(source, backup, digestOf(source, backup.databaseSize));
    bytes[5000]! ^= 1;
    assert.throws(
      () => checkDigest(source, backup, digestOf(source, backup.databaseSize)),
      (error: unknown) => {
        assert.ok(error instanceof ToolError);
        assert.equal(error.code, 'backup.digest');
        assert.match(error.upstream!, /^expected sha256 \[\d+( \d+){31}\], got \[\d+( \d+){31}\]$/);
        return true;
      },
    );
  });
}

test('a bare database has none', () => {
  const source = new MemorySource(readFixture('bbolt/init.db'));
  assert.deepEqual(readBackup(source), { databaseSize: 16384 });
  assert.throws(() => checkDigest(source, readBackup(source), new Uint8Array(32)), /does not end with/);
});

test('hashing goes in steps, each of a few megabytes', () => {
  const bytes = new Uint8Array(9 << 20).fill(7);
  const reads: number[] = [];
  const memory = new MemorySource(bytes);
  const source = {
    name: 'm',
    size: memory.size,
    close() {},
    readInto: (offset: number, into: Uint8Array) => (reads.push(into.length), memory.readInto(offset, into)),
  };
  const digester = new Digester(source, bytes.length);
  const seen: number[] = [];
  while (digester.step()) seen.push(digester.done >> 20);
  assert.deepEqual(seen, [4, 8, 9]);
  assert.deepEqual(reads, [4 << 20, 4 << 20, 1 << 20]);
  assert.deepEqual(digester.digest(), digestOf(memory, bytes.length));
  assert.equal(Buffer.from(digestOf(memory, 0)).toString('hex').slice(0, 8), 'e3b0c442');
});
