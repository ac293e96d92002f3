import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { crc32c } from '../../../src/bytes/crc32c.ts';
import { MemorySource } from '../../../src/bytes/source.ts';
import { CorruptError } from '../../../src/errors.ts';
import { snapshot } from '../../../src/format/proto/raftpb.ts';
import { envelope } from '../../../src/format/proto/snappb.ts';
import {
  decodeSnapFile,
  encodeSnapFile,
  formatSnapName,
  parseSnapName,
  readSnapFile,
} from '../../../src/format/snap/file.ts';
import { readFixture, RESTORED, restoredMemberDir, unpacked, VERSIONS } from '../../support/fixtures.ts';

test('names', () => {
  const name = '0000000000000002-0000000000000015.snap';
  assert.deepEqual(parseSnapName(name), { term: 2, index: 0x15 });
  assert.equal(formatSnapName({ term: 2, index: 0x15 }), name);
  for (const other of [
    `${name}.broken`,
    `${name}.db`,
    'db',
    '0000000000000015.snap.db',
    'ffffffffffffffff-0000000000000015.snap',
  ]) {
    assert.equal(parseSnapName(other), undefined, other);
  }
});

function checkFile(bytes: Uint8Array, name: string, zeros: 'write' | 'omit'): void {
  const file = decodeSnapFile(bytes, { file: name });
  const { index, term } = file.metadata;
  assert.ok(name.endsWith(formatSnapName({ term, index })), name);
  assert.ok(file.metadata.confState.voters.length > 0);
  assert.equal(Buffer.compare(encodeSnapFile(file, { zeros }), bytes), 0, name);
}

test('files that servers wrote encode to the same bytes', () => {
  for (const version of VERSIONS) {
    const name = `snap-${version}-0000000000000002-0000000000000015.snap`;
    checkFile(readFixture(`datadir/${name}`), name, version === '3.7' ? 'omit' : 'write');
  }
  const directory = unpacked('datadir/misc-alarm-downgrade-promote-3.6.tar.gz', 'mi/member/snap');
  for (const name of readdirSync(directory).filter((one) => one.endsWith('.snap'))) {
    checkFile(readFileSync(join(directory, name)), name, 'write');
  }
});

for (const restored of RESTORED) {
  test(`the file of ${restored.archive} encodes to the same bytes`, () => {
    const directory = join(restoredMemberDir(restored), 'snap');
    const name = readdirSync(directory).find((one) => one.endsWith('.snap'))!;
    checkFile(readFileSync(join(directory, name)), name, restored.zeros);
  });
}

test('three ways to be unreadable', () => {
  const whole = new Uint8Array(readFixture('datadir/snap-3.6-0000000000000002-0000000000000015.snap'));
  const data = envelope.decode(whole).data!;
  const flipped = whole.slice();
  flipped[100]! ^= 1;
  const cases: [string, Uint8Array][] = [
    ['snap.empty', new Uint8Array()],
    ['snap.empty', envelope.encode({ crc: 5 })],
    ['snap.empty', envelope.encode({ crc: 0, data })],
    ['snap.crc', flipped],
    ['snap.malformed', whole.slice(0, 500)],
    ['snap.malformed', Uint8Array.of(0xff)],
    [
      'snap.malformed',
      envelope.encode({ crc: crc32c(Uint8Array.of(0xff, 1)), data: Uint8Array.of(0xff, 1) }),
    ],
  ];
  for (const [code, bytes] of cases) {
    assert.throws(
      () => decodeSnapFile(bytes, { file: 'f' }),
      (error: unknown) => {
        assert.ok(error instanceof CorruptError);
        assert.equal(error.code, code);
        assert.equal(error.where?.file, 'f');
        return true;
      },
    );
  }
});

test('damage inside is placed in the file', () => {
  const data = snapshot.encode({ metadata: { index: 4, term: 1 } }, { zeros: 'omit' });
  const broken = Uint8Array.from([...data, 0x1a, 0x7f]);
  const bytes = envelope.encode({ crc: crc32c(broken), data: broken });
  assert.throws(
    () => readSnapFile(new MemorySource(bytes, 'f')),
    (error: unknown) => {
      assert.ok(error instanceof CorruptError);
      assert.equal(error.where?.offset, bytes.length - 1);
      return true;
    },
  );
});
