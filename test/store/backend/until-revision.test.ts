/** A state without what came after a revision. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackendView } from '../../../src/store/backend/backend.ts';
import { Overlay } from '../../../src/store/backend/overlay.ts';
import { UntilRevision } from '../../../src/store/backend/until-revision.ts';
import { encodeRevision, RecordView } from '../../../src/store/mvcc/record.ts';

const NOTHING: BackendView = { get: () => undefined, scan: () => [] };

function mainsOf(view: BackendView, range = {}): number[] {
  const record = new RecordView();
  return [...view.scan('key', range)].map(({ key }) => {
    record.decodeRevision(key, 0, key.length);
    return record.main;
  });
}

function fourRevisions(): Overlay {
  const backend = new Overlay(NOTHING);
  for (const main of [2, 3, 4, 5]) backend.put('key', encodeRevision(main, 0), Uint8Array.of(main));
  backend.put('key', encodeRevision(3, 1, true), Uint8Array.of(33));
  backend.put('meta', Buffer.from('term'), Uint8Array.of(1));
  return backend;
}

test('records up to the revision are there, with all their subs, later ones are not', () => {
  const view = new UntilRevision(fourRevisions(), 3);
  assert.deepEqual(mainsOf(view), [2, 3, 3]);
  assert.deepEqual(view.get('key', encodeRevision(3, 1, true)), Uint8Array.of(33));
  assert.equal(view.get('key', encodeRevision(4, 0)), undefined);
});

test('a range that ends earlier ends there', () => {
  const view = new UntilRevision(fourRevisions(), 4);
  assert.deepEqual(mainsOf(view, { from: encodeRevision(3, 0), to: encodeRevision(4, 0) }), [3, 3]);
  assert.deepEqual(mainsOf(view, { from: encodeRevision(4, 0), to: encodeRevision(9, 0) }), [4]);
});

test('other buckets are as they are', () => {
  const view = new UntilRevision(fourRevisions(), 2);
  assert.deepEqual(view.get('meta', Buffer.from('term')), Uint8Array.of(1));
  assert.equal([...view.scan('meta')].length, 1);
});
