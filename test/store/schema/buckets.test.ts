import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BUCKETS,
  compareVersions,
  knownVersion,
  META_FIELDS,
  VERSIONS,
} from '../../../src/store/schema/buckets.ts';
import { readFixture } from '../../support/fixtures.ts';

test('a version is known by its minor, whatever the patch', () => {
  const cases: Array<[text: string, version: string | undefined]> = [
    ['3.4', '3.4'],
    ['3.6.0', '3.6'],
    ['3.7.3', '3.7'],
    ['3.6.0-rc.1', '3.6'],
    ['3.5.0+git', '3.5'],
    ['3.8.0', undefined],
    ['3.60.0', undefined],
    ['13.6.0', undefined],
    ['4.6.0', undefined],
    ['3', undefined],
    ['3.6.', undefined],
    ['3.6.x', undefined],
    ['v3.6.0', undefined],
    [' 3.6.0', undefined],
    ['', undefined],
  ];
  for (const [text, version] of cases) assert.equal(knownVersion(text), version, JSON.stringify(text));
});

test('versions compare by age', () => {
  for (const [i, older] of VERSIONS.entries()) {
    assert.equal(compareVersions(older, older), 0);
    for (const newer of VERSIONS.slice(i + 1)) {
      assert.ok(compareVersions(older, newer) < 0);
      assert.ok(compareVersions(newer, older) > 0);
    }
  }
});

for (const version of VERSIONS) {
  test(`the buckets and meta fields are those of a database of etcd ${version}`, () => {
    const dump = JSON.parse(readFixture(`expected/buckets-snap-${version}.json`).toString()) as {
      buckets: Record<string, Array<[key: string, value: string]>>;
    };
    assert.deepEqual(Object.keys(dump.buckets).sort(), [...BUCKETS]);
    const written = dump.buckets['meta']!.map(([key]) => Buffer.from(key, 'hex').toString());
    const fields = Object.entries(META_FIELDS).filter(([, since]) => compareVersions(since, version) <= 0);
    assert.deepEqual(written.sort(), fields.map(([field]) => field).sort());
  });
}
