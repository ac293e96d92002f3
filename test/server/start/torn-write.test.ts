import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { CorruptError } from '../../../src/errors.ts';
import { listSegments, LogReader, type Segment } from '../../../src/format/wal/log.ts';
import { commitBehind, tornWriteOf } from '../../../src/server/start/torn-write.ts';
import { scratch } from '../../support/scratch.ts';
import { createLog, put, stateAt } from '../raft-log/log-fixture.ts';

const SECTOR_SIZE = 512;

/** A log of ten entries without a zero in them, three of them without a state; then a change to its bytes. */
async function damaged(
  t: TestContext,
  change: (bytes: Buffer, offsets: readonly number[]) => void,
): Promise<{ last: Segment; error: CorruptError | undefined; offsets: number[] }> {
  const { log, walDir } = createLog(scratch(t), { segmentBytes: 1 << 16 });
  for (let index = 1; index <= 7; index++) log.append([put(index, 'x'.repeat(700))], stateAt(index - 1 || 1));
  log.append([8, 9, 10].map((index) => put(index, 'y'.repeat(700))));
  await log.close();
  const last = listSegments(walDir).segments.at(-1)!;
  const offsets: number[] = [];
  for (const event of new LogReader([last]).events())
    if (event.kind === 'entry') offsets.push(event.at.offset);
  const bytes = readFileSync(last.path);
  change(bytes, offsets);
  writeFileSync(last.path, bytes);
  return { last, error: errorOf(last), offsets };
}

function errorOf(last: Segment): CorruptError | undefined {
  try {
    for (const _event of new LogReader([last]).events());
    return undefined;
  } catch (error) {
    assert.ok(error instanceof CorruptError);
    return error;
  }
}

/** Zero from the middle of a sector to its end, as a disk leaves one that it was writing. */
function tear(bytes: Buffer, inside: number): void {
  const sectorEnd = Math.ceil((inside + 1) / SECTOR_SIZE) * SECTOR_SIZE;
  bytes.fill(0, inside, sectorEnd);
}

test('a record that ends in the middle of a sector was torn, and the log is cut there', async (t) => {
  const { last, error, offsets } = await damaged(t, (bytes, at) => tear(bytes, at[8]! + 200));
  assert.deepEqual(tornWriteOf(error!, last), {
    path: last.path,
    offset: offsets[8],
    reason: error!.message,
  });
  assert.ok(commitBehind(last, offsets[8]!) <= 8);
});

test('a length of which only a part was written was torn too', async (t) => {
  const { last, error, offsets } = await damaged(t, (bytes, at) => {
    bytes.fill(0, at[8]! + 1, Math.ceil((at[8]! + 8) / SECTOR_SIZE) * SECTOR_SIZE);
    bytes[at[8]!] = 0x33;
    bytes[at[8]! + 3] = 0x44;
  });
  assert.equal(error?.code, 'wal.record.length');
  assert.equal(tornWriteOf(error, last)?.offset, offsets[8]);
});

test('a flipped bit is damage', async (t) => {
  const { last, error } = await damaged(t, (bytes, at) => (bytes[at[8]! + 200]! ^= 1));
  assert.equal(error?.code, 'wal.record.crc');
  assert.equal(tornWriteOf(error, last), undefined);
});

test('what a state behind it calls committed tells damage from a write that was torn', async (t) => {
  const { last, error, offsets } = await damaged(t, (bytes, at) => tear(bytes, at[2]! + 600));
  assert.equal(tornWriteOf(error!, last)?.offset, offsets[2]);
  assert.equal(commitBehind(last, offsets[2]!), 6);
});

test('a state that is torn itself, behind a gap, calls nothing committed', async (t) => {
  const { last, error, offsets } = await damaged(t, (bytes, at) => {
    tear(bytes, at[4]! + 600);
    // The next entry never reached the disk; of the state behind it the last field did not.
    bytes.fill(0, at[5]!, at[5]! + 700);
    let end = at[6]!;
    while (bytes[end - 1] === 0) end--;
    bytes.fill(0, end - 2);
  });
  assert.equal(tornWriteOf(error!, last)?.offset, offsets[4]);
  assert.ok(commitBehind(last, offsets[4]!) <= 4);
});

test('only the last segment can end in a torn write', async (t) => {
  const { last, error } = await damaged(t, (bytes, at) => tear(bytes, at[8]! + 200));
  assert.equal(tornWriteOf(error!, { ...last, path: join(last.path, 'other') }), undefined);
});
