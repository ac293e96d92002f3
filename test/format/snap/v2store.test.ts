import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CorruptError } from '../../../src/errors.ts';
import { decodeSnapFile } from '../../../src/format/snap/file.ts';
import {
  type DecodedV2Store,
  decodeV2Store,
  encodeV2Store,
  hasCustomContent,
  type V2StoreStyle,
} from '../../../src/format/snap/v2store.ts';
import { readFixture, RESTORED, restoredMemberDir, unpacked, VERSIONS } from '../../support/fixtures.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const bytesOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

interface Written {
  CurrentIndex: number;
  Stats: Record<string, number>;
  WatcherHub: { EventHistory: { Queue: { Events: ({ node: { key: string } } | null)[] } } };
}

/** Members in the order in which they were written, which Go leaves to chance. */
function inWrittenOrder(store: DecodedV2Store, bytes: Uint8Array): DecodedV2Store {
  const { Events } = (JSON.parse(text(bytes)) as Written).WatcherHub.EventHistory.Queue;
  const place = (id: bigint): number =>
    Events.findIndex((event) => event?.node.key.includes(`/${id.toString(16)}/`));
  return { ...store, members: [...store.members].sort((a, b) => place(a.id) - place(b.id)) };
}

function sameBytes(bytes: Uint8Array, style: V2StoreStyle): void {
  const store = inWrittenOrder(decodeV2Store(bytes), bytes);
  assert.equal(text(encodeV2Store(store, { style })), text(bytes));
}

for (const restored of RESTORED) {
  test(`the store of ${restored.archive} encodes to the same bytes`, () => {
    const directory = join(restoredMemberDir(restored), 'snap');
    const name = readdirSync(directory).find((one) => one.endsWith('.snap'))!;
    const { data } = decodeSnapFile(readFileSync(join(directory, name)));
    sameBytes(data!, restored.by === '3.4' || restored.by === '3.5' ? 'live' : 'rebuilt');
  });
}

for (const version of VERSIONS) {
  test(`the store of a ${version} server encodes to the same bytes, but for counters of reads`, () => {
    const bytes = readFixture(`expected/v2store-${version}.json`);
    const store = decodeV2Store(bytes);
    assert.deepEqual(
      store.members.map(({ name, clientUrls }) => [name, clientUrls.length]),
      [[`m${version}`, 1]],
    );
    assert.deepEqual(
      [store.clusterVersion, store.customPaths, store.removedMembers, store.currentIndex],
      [`${version}.0`, [], [], 3],
    );
    const same = text(encodeV2Store(store, { style: 'rebuilt' }));
    assert.equal(
      same,
      text(bytes).replace(/"getsSuccess":\d+,"getsFail":\d+/, '"getsSuccess":0,"getsFail":1'),
    );
  });
}

test('two members, one of them added later, as 3.6 wrote them', () => {
  const directory = unpacked('datadir/misc-alarm-downgrade-promote-3.6.tar.gz', 'mi/member/snap');
  for (const name of readdirSync(directory).filter((one) => one.endsWith('.snap'))) {
    sameBytes(decodeSnapFile(readFileSync(join(directory, name))).data!, 'rebuilt');
  }
});

test('learners, members that never started, removed ones, and no version', () => {
  const store = {
    members: [
      { id: 0x20n, peerUrls: ['http://a?x=1&y=<2>'], isLearner: true, name: '', clientUrls: [] },
      { id: 0x3n, peerUrls: ['http://b', 'http://c'], isLearner: false, name: 'b', clientUrls: ['http://d'] },
    ],
    removedMembers: [0x100n, 0xfffffffffffffffen, 0x11n],
  };
  const bytes = encodeV2Store(store, { style: 'rebuilt' });
  const decoded = decodeV2Store(bytes);
  assert.deepEqual(decoded.members, [store.members[1], store.members[0]]);
  assert.deepEqual(new Set(decoded.removedMembers), new Set(store.removedMembers));
  assert.equal(decoded.clusterVersion, undefined);
  assert.match(text(bytes), /"Children":\{"20":.*"3":/);
  assert.match(
    text(bytes),
    /\{"100":\{"Path":"\/0\/removed_members\/100","CreatedIndex":4.*"11":.*"fffffffffffffffe":/,
  );
  assert.match(text(bytes), /http:\/\/a\?x=1\\\\u0026y=\\\\u003c2\\\\u003e/);
  assert.match(
    text(bytes),
    /"key":"\/0\/removed_members\/100","value":"","modifiedIndex":4,"createdIndex":4/,
  );
});

test('the ring of events goes round', () => {
  const removedMembers = Array.from({ length: 1003 }, (_, i) => BigInt(i + 1));
  const written = JSON.parse(
    text(encodeV2Store({ members: [], removedMembers }, { style: 'live' })),
  ) as Written;
  const history = written.WatcherHub.EventHistory as unknown as {
    Queue: { Events: unknown[]; Size: number; Front: number; Back: number };
    StartIndex: number;
    LastIndex: number;
  };
  const { Events, Size, Front, Back } = history.Queue;
  assert.deepEqual(
    [Events.length, Size, Front, Back, history.StartIndex, history.LastIndex],
    [1000, 1000, 3, 3, 4, 1003],
  );
});

test('custom content, by the rule of 3.6', () => {
  const dir = (children: object): object => ({ Children: children });
  const leaf = { Value: 'x', Children: null };
  const pathsOf = (root: object): string[] => {
    const bytes = bytesOf({ Root: dir(root), CurrentIndex: 9 });
    const { customPaths } = decodeV2Store(bytes);
    assert.equal(hasCustomContent(bytes), customPaths.length > 0);
    return customPaths;
  };
  assert.deepEqual(pathsOf({ 0: dir({}), 1: dir({}) }), []);
  assert.deepEqual(pathsOf({ 1: dir({ key: leaf }) }), ['/1/key']);
  assert.deepEqual(pathsOf({ 1: dir({ _hidden: leaf }) }), []);
  assert.deepEqual(pathsOf({ 2: dir({ enabled: leaf, users: dir({}), roles: dir({}) }) }), []);
  assert.deepEqual(pathsOf({ 2: dir({ users: dir({ root: leaf }) }) }), ['/2/users']);
  assert.deepEqual(pathsOf({ 3: dir({ a: leaf }), 4: leaf }), ['/3/a']);
  assert.equal(
    pathsOf({ 1: dir(Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, leaf]))) }).length,
    10,
  );
});

test('what is no store is damage', () => {
  const member = (value: object): object => ({
    Root: { Children: { 0: { Children: { members: { Children: value } } } } },
  });
  for (const bad of [
    [],
    {},
    { Root: null },
    member({ xyz: { Children: {} } }),
    member({ ab: { Children: null } }),
    member({ ab: { Children: { raftAttributes: { Value: 'no json' } } } }),
    member({ ab: { Children: { raftAttributes: { Value: '{"peerURLs":1}' } } } }),
  ]) {
    const bytes = bytesOf(bad);
    assert.throws(
      () => decodeV2Store(bytes, { file: 's' }),
      (error: unknown) => {
        assert.ok(error instanceof CorruptError);
        assert.equal(error.code, 'snap.malformed');
        assert.equal(error.where?.file, 's');
        return true;
      },
      JSON.stringify(bad),
    );
    assert.equal(hasCustomContent(bytes), false);
  }
  assert.throws(() => decodeV2Store(Buffer.from('{')), CorruptError);
  assert.equal(hasCustomContent(undefined), false);
});
