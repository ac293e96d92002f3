import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyFeed } from '../../../src/server/services/key-feed.ts';
import type { KeyRange } from '../../../src/store/mvcc/key-values.ts';
import { put, remove, StateMachine } from '../../store/apply/state-machine.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const one = (key: string): KeyRange => ({ key: bytes(key), end: undefined });

function bench() {
  const state = new StateMachine();
  const feed = new KeyFeed();
  state.applier.keys.onRevision = (revision, changes) => feed.publish(revision, changes);
  const told: string[] = [];
  const follow = (range: KeyRange): (() => void) =>
    feed.follow(range, ({ key, isDelete }, revision) => {
      told.push(`${key}${isDelete ? '†' : ''}@${revision}`);
    });
  return { state, feed, told, follow };
}

test('whoever follows a key is told of it alone, until it stops', () => {
  const { state, told, follow } = bench();
  const stop = follow(one('a'));
  state.accept(put('a'), put('b'), remove('a'));
  stop();
  state.accept(put('a'));
  assert.deepEqual(told, ['a@2', 'a†@4']);
});

test('whoever follows a range is told of what lies in it', () => {
  const { state, told, follow } = bench();
  follow({ key: bytes('b'), end: bytes('d') });
  state.accept(put('a'), put('b'), put('c'), put('d'));
  follow({ key: bytes('d'), end: new Uint8Array() });
  state.accept(put('e'), remove('b', 'z'));
  assert.deepEqual(told, ['b@3', 'c@4', 'e@6', 'b†@7', 'c†@7', 'd†@7', 'e†@7']);
});

test('several may follow one key, and one may stop while it is told', () => {
  const { state, told, feed, follow } = bench();
  const stop = feed.follow(one('a'), () => {
    told.push('once');
    stop();
  });
  follow(one('a'));
  state.accept(put('a'), put('a'));
  assert.deepEqual(told, ['once', 'a@2', 'a@3']);
});

test('a deletion is waited for, whatever is put before', async () => {
  const { state, feed } = bench();
  state.accept(put('a'));
  const deletion = feed.deletionOf(bytes('a'), new AbortController().signal);
  state.accept(put('a'), put('b'), remove('b'));
  let isOver = false;
  const seen = deletion.then(() => {
    isOver = true;
  });
  await Promise.resolve();
  assert.equal(isOver, false);
  state.accept(remove('a'));
  await seen;
});

test('waiting ends with the call', async () => {
  const { feed } = bench();
  const controller = new AbortController();
  const deletion = feed.deletionOf(bytes('a'), controller.signal);
  controller.abort();
  const expected = { message: 'etcdserver: request canceled' };
  await assert.rejects(deletion, expected);
  await assert.rejects(feed.deletionOf(bytes('a'), controller.signal), expected);
});
