import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyValue } from '../../../src/format/proto/mvccpb.ts';
import type { Change } from '../../../src/store/mvcc/key-change.ts';
import { text } from '../database-builder.ts';
import { bytesOf } from '../naive-store.ts';
import { TwinStore } from '../twin-store.ts';

const hex = (bytes: Uint8Array | undefined): string | undefined =>
  bytes && Buffer.from(bytes).toString('hex');

/** Told to whoever listens from then on. */
function listen(twins: TwinStore): Array<[revision: number, changes: readonly Change[]]> {
  const told: Array<[number, readonly Change[]]> = [];
  twins.keys.onRevision = (revision, changes) => void told.push([revision, changes]);
  return told;
}

test('changes of a revision are told once it is there, in their order', () => {
  const twins = new TwinStore();
  twins.put('a', 'b');
  const told = listen(twins);
  let revision = 0;
  const { onRevision } = twins.keys;
  twins.keys.onRevision = (at, changes) => {
    revision = twins.keys.revision;
    onRevision!(at, changes);
  };
  const before = { a: bytesOf(twins.naive.now('a')!), b: bytesOf(twins.naive.now('b')!) };
  twins.change([
    { key: 'c', lease: 5n },
    { key: 'a', value: '2' },
    { key: 'b', isDelete: true },
  ]);
  assert.equal(revision, 3);
  const [[at, changes]] = told as [[number, readonly Change[]]];
  assert.deepEqual(
    [at, changes.map(({ key, sub, isDelete, isCreate }) => ({ key, sub, isDelete, isCreate }))],
    [
      3,
      [
        { key: 'c', sub: 0, isDelete: false, isCreate: true },
        { key: 'a', sub: 1, isDelete: false, isCreate: false },
        { key: 'b', sub: 2, isDelete: true, isCreate: false },
      ],
    ],
  );
  assert.deepEqual(
    changes.map(({ bytes }) => hex(bytes)),
    [
      hex(bytesOf(twins.naive.now('c')!)),
      hex(bytesOf(twins.naive.now('a')!)),
      hex(keyValue.encode({ key: text('b'), modRevision: 3 })),
    ],
  );
  assert.deepEqual(
    changes.map((change) => hex(change.previous())),
    [undefined, hex(before.a), hex(before.b)],
  );
});

test('a key that was deleted before is created anew, and had nothing before', () => {
  const twins = new TwinStore();
  twins.put('a');
  twins.delete('a');
  const told = listen(twins);
  twins.put('a');
  const [change] = told[0]![1];
  assert.deepEqual([change!.isCreate, change!.previous()], [true, undefined]);
});

test('what changes nothing is not told', () => {
  const twins = new TwinStore();
  const told = listen(twins);
  twins.delete('a');
  assert.deepEqual(told, []);
});

test('while nobody listens nothing is kept for anybody', () => {
  const twins = new TwinStore();
  twins.keys.change((change) => {
    change.put(text('a'), text('1'), 0n);
    assert.deepEqual([change.told, change.count, change.revision], [[], 1, 2]);
  });
});
