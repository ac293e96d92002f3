import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { metadata } from '../../../src/format/proto/memberpb.ts';
import { decodeMemberChange, encodeMember } from '../../../src/format/proto/member-json.ts';
import type { Zeros } from '../../../src/format/proto/field.ts';
import { confChange, entry, ENTRY_TYPE, hardState } from '../../../src/format/proto/raftpb.ts';
import { snapshot } from '../../../src/format/proto/walpb.ts';
import { RECORD_TYPE } from '../../../src/format/wal/layout.ts';
import { listSegments } from '../../../src/format/wal/log.ts';
import { SegmentReader } from '../../../src/format/wal/segment.ts';
import { memberDir, RESTORED, restoredMemberDir, unpacked, VERSIONS } from '../../support/fixtures.ts';

const MESSAGES: Record<number, typeof entry | typeof hardState | typeof metadata | typeof snapshot> = {
  [RECORD_TYPE.entry]: entry,
  [RECORD_TYPE.state]: hardState,
  [RECORD_TYPE.metadata]: metadata,
  [RECORD_TYPE.snapshot]: snapshot,
};

/** Decodes and encodes every record of a log; gives how many there were. */
function recode(walDir: string, zeros: Zeros): number {
  let count = 0;
  for (const segment of listSegments(walDir).segments) {
    const source = segment.open();
    const reader = new SegmentReader(source);
    for (let record = reader.next(); record; record = reader.next()) {
      const message = MESSAGES[record.type];
      if (!message) continue;
      count++;
      const encoded = message.encode(message.decode(record.data) as object, { zeros });
      assert.equal(Buffer.from(encoded).toString('hex'), Buffer.from(record.data).toString('hex'));
      if (record.type === RECORD_TYPE.entry) recodeConfChange(record.data, zeros);
    }
    source.close();
  }
  return count;
}

function recodeConfChange(data: Uint8Array, zeros: Zeros): void {
  const { type, data: change } = entry.decode(data);
  if (type !== ENTRY_TYPE.confChange) return;
  const value = confChange.decode(change!);
  assert.deepEqual(Buffer.from(confChange.encode(value, { zeros })), Buffer.from(change!));
  if (!value.context) return;
  const context = decodeMemberChange(value.context);
  assert.equal(context.id, value.nodeId);
  assert.equal(Buffer.from(encodeMember(context)).toString(), Buffer.from(value.context).toString());
}

for (const version of VERSIONS) {
  test(`every record of the log of ${version} encodes to the same bytes`, () => {
    assert.ok(recode(join(memberDir(version), 'wal'), version === '3.7' ? 'omit' : 'write') > 60);
  });
}

for (const restored of RESTORED) {
  test(`every record of ${restored.archive} encodes to the same bytes`, () => {
    assert.ok(recode(join(restoredMemberDir(restored), 'wal'), restored.zeros) >= 4);
  });
}

test('learners, promotions and removals encode to the same bytes', () => {
  recode(unpacked('datadir/misc-alarm-downgrade-promote-3.6.tar.gz', 'mi/member/wal'), 'write');
  for (const version of ['3.5', '3.6', '3.7']) {
    recode(
      unpacked(`tail/tail-before-${version}.tar.gz`, `tail-${version}/member/wal`),
      version === '3.7' ? 'omit' : 'write',
    );
  }
});
