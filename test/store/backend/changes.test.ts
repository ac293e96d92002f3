import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Changes } from '../../../src/store/backend/changes.ts';
import { text } from '../database-builder.ts';

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** `rows` of a bucket with the changes. */
function over(changes: Changes, rows: Record<string, string>, from?: string, to?: string): string[] {
  const base = Object.entries(rows)
    .filter(([key]) => (from === undefined || key >= from) && (to === undefined || key < to))
    .map(([key, value]) => ({ key: text(key), value: text(value) }));
  const range = {
    from: from === undefined ? undefined : text(from),
    to: to === undefined ? undefined : text(to),
  };
  return Array.from(changes.over(base, 'b', range), ({ key, value }) => `${latin1(key)}=${latin1(value)}`);
}

test('rows come in order whatever order they were set in, also after they were asked for', () => {
  const changes = new Changes();
  const names = (): string[] => [...changes.all()].flatMap(([, , names]) => [...names]);
  for (const name of ['a', 'c', 'd']) changes.set('b', name, text('1'));
  assert.deepEqual(names(), ['a', 'c', 'd']);
  for (const name of ['b', 'e', 'c', '\xff', '0']) changes.set('b', name, text('2'));
  assert.deepEqual(names(), ['0', 'a', 'b', 'c', 'd', 'e', '\xff']);
  changes.set('b', 'zz', undefined);
  assert.deepEqual(names(), ['0', 'a', 'b', 'c', 'd', 'e', 'zz', '\xff']);
});

test('a row counts once, in each bucket', () => {
  const changes = new Changes();
  for (const bucket of ['a', 'b']) {
    for (let i = 0; i < 3; i++) changes.set(bucket, 'k', text(String(i)));
    changes.set(bucket, 'gone', undefined);
  }
  assert.equal(changes.count, 4);
  assert.equal(latin1(changes.rowsOf('a')!.get('k')!), '2');
  assert.equal(changes.rowsOf('c'), undefined);
});

test('what was set stands over what is below, and what was removed hides it', () => {
  const changes = new Changes();
  changes.set('b', 'b', text('new'));
  changes.set('b', 'c', undefined);
  changes.set('b', 'e', text('new'));
  changes.set('other', 'd', undefined);
  const base = { a: '1', b: '1', c: '1', d: '1' };
  assert.deepEqual(over(changes, base), ['a=1', 'b=new', 'd=1', 'e=new']);
  assert.deepEqual(over(changes, base, 'b', 'd'), ['b=new']);
  assert.deepEqual(over(changes, base, 'c'), ['d=1', 'e=new']);
  assert.deepEqual(over(changes, base, 'f'), []);
  assert.deepEqual(over(changes, {}), ['b=new', 'e=new']);
});

test('nothing in the range, and the rows below are given as they are', () => {
  const changes = new Changes();
  changes.set('b', 'm', text('1'));
  const base = [{ key: text('a'), value: text('1') }];
  assert.equal(changes.over(base, 'b', { to: text('m') }), base);
  assert.equal(changes.over(base, 'b', { from: text('n') }), base);
  assert.equal(changes.over(base, 'other', {}), base);
  assert.notEqual(changes.over(base, 'b', {}), base);
});
