import assert from 'node:assert/strict';
import test from 'node:test';
import {
  compareMinor,
  editsOf,
  formatFull,
  mergeEdits,
  parseVersion,
  planMigration,
  schemaEdits,
  storageVersionEdits,
} from '../../../src/store/schema/migrate.ts';

const minor = (text: string): { major: number; minor: number } => parseVersion(text)!;

function rowsOf(from: string, to: string): Record<string, string | undefined> {
  const rows =
    editsOf(planMigration(minor(from), minor(to))).get('meta')?.rows ?? new Map<string, Uint8Array>();
  return Object.fromEntries([...rows].map(([key, value]) => [key, value && Buffer.from(value).toString()]));
}

test('one step for each minor version, in either direction', () => {
  const steps = (from: string, to: string): string[] =>
    planMigration(minor(from), minor(to)).map((step) => formatFull(step.to));
  assert.deepEqual(steps('3.5', '3.7'), ['3.6.0', '3.7.0']);
  assert.deepEqual(steps('3.7', '3.5'), ['3.6.0', '3.5.0']);
  assert.deepEqual(steps('3.6', '3.6'), []);
});

test('going up sets the storage version, going down to 3.5 removes it', () => {
  assert.deepEqual(rowsOf('3.5', '3.6'), { storageVersion: '3.6.0' });
  assert.deepEqual(rowsOf('3.5', '3.7'), { storageVersion: '3.7.0' });
  assert.deepEqual(rowsOf('3.7', '3.6'), { storageVersion: '3.6.0' });
  assert.deepEqual(rowsOf('3.7', '3.5'), { storageVersion: undefined });
  assert.deepEqual(rowsOf('3.6', '3.4'), {
    storageVersion: undefined,
    term: undefined,
    confState: undefined,
  });
  assert.deepEqual(
    [...schemaEdits('3.4', '3.6')].map(([key]) => key),
    ['storageVersion'],
  );
  assert.equal(schemaEdits('3.6', '3.6').size, 0);
});

test('versions whose steps nobody knows have no plan, in the words of etcdutl', () => {
  const plan = (from: string, to: string) => () => planMigration(minor(from), minor(to));
  assert.throws(plan('3.7', '3.8'), {
    code: 'migrate.unsupported',
    message: 'cannot create migration plan: version "3.8.0" is not supported',
  });
  assert.throws(plan('3.8', '3.6'), {
    message: 'cannot create migration plan: version "3.8.0" is not supported',
  });
  assert.throws(plan('3.6', '4.0'), {
    message: 'cannot create migration plan: changing major storage version is not supported',
  });
});

test('a version is read with or without patch and suffix', () => {
  assert.deepEqual(
    [minor('3.6'), minor('3.6.0'), minor('3.6.0-rc.1'), parseVersion('3'), parseVersion('v3.6')],
    [{ major: 3, minor: 6 }, { major: 3, minor: 6 }, { major: 3, minor: 6 }, undefined, undefined],
  );
  assert.ok(compareMinor(minor('3.10'), minor('3.9')) > 0);
});

test('merged edits keep what came last, and what was cleared', () => {
  const first = new Map([['meta', { rows: new Map([['a', Buffer.from('1')]]) }]]);
  const second = new Map([['meta', { clear: true, rows: new Map([['b', Buffer.from('2')]]) }]]);
  const third = storageVersionEdits(minor('3.6'));
  const meta = mergeEdits(first, second, third).get('meta')!;
  assert.equal(meta.clear, true);
  assert.deepEqual([...meta.rows!.keys()], ['b', 'storageVersion']);
});
