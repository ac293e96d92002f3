import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { verify } from '../../../src/check/verify.ts';
import { CONF_CHANGE_TYPE, confChange, ENTRY_TYPE } from '../../../src/format/proto/raftpb.ts';
import { internalRaftRequest } from '../../../src/format/proto/rpcpb.ts';
import { listSegments, LogReader } from '../../../src/format/wal/log.ts';
import { memberDir, restoredMemberDir, unpacked } from '../../support/fixtures.ts';
import { appendTo, copyMember } from '../../support/member-copy.ts';
import { openAt, rememberingLog } from '../../support/opened-member.ts';
import { scratch } from '../../support/scratch.ts';

interface Change {
  index: number;
  term: number;
  type: number;
  nodeId: bigint;
}

/** Membership changes in a log, of entries in force. */
function changesIn(dataDir: string): Change[] {
  let changes: Change[] = [];
  for (const event of new LogReader(listSegments(join(dataDir, 'member', 'wal')).segments).events()) {
    if (event.kind === 'truncate') changes = changes.filter(({ index }) => index < event.index);
    if (event.kind !== 'entry' || event.type !== ENTRY_TYPE.confChange) continue;
    const { type, nodeId } = confChange.decode(event.data);
    changes.push({ index: event.index, term: event.term, type, nodeId });
  }
  return changes;
}

const misc = (): string => {
  const root = unpacked('datadir/misc-alarm-downgrade-promote-3.6.tar.gz');
  return join(root, readdirSync(root)[0]!, 'member');
};

for (const [name, member] of [
  ['that was killed', misc],
  ['that was restored', () => restoredMemberDir({ archive: 'restored-3node-by-3.6', inner: 'r3.6' })],
] as const) {
  test(`a member of a cluster ${name} becomes the only one when that is forced`, async (t) => {
    const dataDir = copyMember(scratch(t), member());
    const before = changesIn(dataDir);
    const opened = await openAt(dataDir, { isForcedNew: true });
    const { memberId } = opened.identity;
    assert.deepEqual(opened.confState, { voters: [memberId], learners: [] });
    assert.equal(opened.applier.consistentIndex, opened.lastIndex);
    await opened.release();
    const added = changesIn(dataDir).slice(before.length);
    const others = [...new Set(before.map(({ nodeId }) => nodeId))].filter((id) => id !== memberId);
    assert.deepEqual(
      new Set(added.map(({ nodeId }) => nodeId)),
      new Set(others),
      'all others leave, and nobody else',
    );
    assert.ok(added.every(({ type, term }) => type === CONF_CHANGE_TYPE.removeNode && term < opened.term));
    const { verdict, findings } = await verify(dataDir);
    assert.deepEqual(
      findings.filter(({ severity }) => severity !== 'note'),
      [],
      verdict,
    );
    const again = await openAt(dataDir);
    assert.equal(again.term, opened.term + 1);
    await again.release();
  });
}

test('what is not known to be committed is dropped, and said aloud', async (t) => {
  const dataDir = copyMember(scratch(t), memberDir('3.6'));
  const put = (index: number): Uint8Array =>
    internalRaftRequest.encode({
      header: { id: BigInt(index) },
      put: { key: Buffer.from(`k${index}`), value: Buffer.from('v') },
    });
  appendTo(dataDir, (writer) => {
    for (let index = 34; index < 39; index++) writer.entry({ type: 0, term: 2, index, data: put(index) });
    writer.state({ term: 2, vote: 1n, commit: 35 });
  });
  const { log, said } = rememberingLog();
  const opened = await openAt(dataDir, { isForcedNew: true, log });
  const dropped = said.find(({ message }) => message.startsWith('discarding uncommitted WAL entries'));
  assert.deepEqual(dropped?.fields, { first: 36, last: 38, count: 3, commit: 35 });
  const has = (key: string): boolean =>
    opened.applier.keys.range({ key: Buffer.from(key), end: undefined }).length > 0;
  assert.deepEqual([has('k35'), has('k36'), has('k38')], [true, false, false]);
  assert.equal(opened.lastIndex, 37, 'no-op and attributes stand where they were');
  await opened.release();
  const again = await openAt(dataDir);
  assert.equal(again.lastIndex, 38);
  await again.release();
});

test('entries that the database has applied are committed, whatever the log says', async (t) => {
  const dataDir = join(scratch(t), 'data');
  const member = await openAt(dataDir);
  await member.release();
  const commit = member.applier.consistentIndex;
  appendTo(dataDir, (writer) => writer.state({ term: 2, vote: member.identity.memberId, commit: 1 }));
  const { log, said } = rememberingLog();
  const opened = await openAt(dataDir, { isForcedNew: true, log });
  assert.ok(!said.some(({ message }) => message.startsWith('discarding')));
  assert.equal(opened.lastIndex, commit + 1);
  await opened.release();
});
