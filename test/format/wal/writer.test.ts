import assert from 'node:assert/strict';
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { realDisk } from '../../../src/bytes/disk.ts';
import { entry } from '../../../src/format/proto/raftpb.ts';
import { listSegments, type LogEvent, LogReader } from '../../../src/format/wal/log.ts';
import { SEGMENT_SIZE } from '../../../src/format/wal/layout.ts';
import { SegmentWriter } from '../../../src/format/wal/writer.ts';
import { RESTORED, restoredMemberDir } from '../../support/fixtures.ts';
import { scratch } from '../../support/scratch.ts';

const NAME = '0000000000000000-0000000000000000.wal';

function write(writer: SegmentWriter, event: LogEvent): void {
  if (event.kind === 'metadata') writer.metadata(event.metadata);
  else if (event.kind === 'state') writer.state(event.state);
  else if (event.kind === 'snapshot') writer.snapshot(event.snapshot);
}

for (const restored of RESTORED) {
  test(`written again, the log of ${restored.archive} is the same file`, (t) => {
    const { segments } = listSegments(join(restoredMemberDir(restored), 'wal'));
    const path = join(scratch(t), NAME);
    const writer = SegmentWriter.create(realDisk(), path, { zeros: restored.zeros });
    for (const event of new LogReader(segments).events()) {
      if (event.kind === 'entry')
        writer.entry({ type: event.type, term: event.term, index: event.index, data: event.data });
      else write(writer, event);
    }
    const { offset } = writer;
    writer.close();
    assert.equal(statSync(path).size, SEGMENT_SIZE);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.ok(statSync(path).blocks * 512 < SEGMENT_SIZE, 'the file is sparse');
    assert.ok(offset < 600);
    assert.equal(Buffer.compare(readFileSync(path), readFileSync(segments[0]!.path)), 0);
  });
}

function readLog(directory: string): LogReader {
  const reader = new LogReader(listSegments(directory).segments);
  for (const _event of reader.events());
  return reader;
}

test('records can be appended where a log ended, three ways', (t) => {
  const directory = scratch(t);
  const path = join(directory, NAME);
  const first = SegmentWriter.create(realDisk(), path, { zeros: 'write', preallocateBytes: 4096 });
  first.metadata({ nodeId: 1n, clusterId: 2n }).snapshot({ index: 0, term: 0 });
  first.entry({ term: 1, index: 1, data: new Uint8Array(100) }).close();

  const preallocated = readLog(directory).end!;
  assert.equal(preallocated.verdict, 'preallocated');
  SegmentWriter.append(realDisk(), path, { ...preallocated, zeros: 'write' })
    .state({ term: 1, vote: 1n, commit: 1 })
    .close();
  assert.equal(statSync(path).size, 4096);
  const second = readLog(directory);
  assert.deepEqual([second.end!.verdict, second.state?.commit], ['preallocated', 1]);

  truncateSync(path, second.end!.offset);
  SegmentWriter.append(realDisk(), path, { ...readLog(directory).end!, zeros: 'omit' })
    .snapshot({ index: 1, term: 1, confState: { voters: [1n] } })
    .close();
  const third = readLog(directory);
  assert.deepEqual([third.end!.verdict, third.snapshots.length], ['end', 2]);

  truncateSync(path, third.end!.offset - 3);
  const torn = readLog(directory).end!;
  assert.equal(torn.verdict, 'torn');
  SegmentWriter.append(realDisk(), path, { ...torn, zeros: 'omit' })
    .entry({ term: 1, index: 2 })
    .close();
  const last = readLog(directory);
  assert.deepEqual([last.end!.verdict, last.lastIndex, last.snapshots.length], ['end', 2, 1]);
  assert.throws(
    () => SegmentWriter.append(realDisk(), path, { offset: 0, crc: 0, verdict: 'corrupt', zeros: 'omit' }),
    TypeError,
  );
});

test('many records go out in large writes, and a long one in one piece', (t) => {
  const directory = scratch(t);
  const path = join(directory, NAME);
  let writes = 0;
  const disk = realDisk();
  const counting = {
    ...disk,
    write: (...args: Parameters<typeof disk.write>) => (writes++, disk.write(...args)),
  };
  const writer = SegmentWriter.create(counting, path, { zeros: 'omit', preallocateBytes: 0 });
  writer.metadata({ nodeId: 1n, clusterId: 2n });
  for (let index = 1; index <= 20_000; index++) writer.entry({ term: 1, index, data: new Uint8Array(100) });
  writer.entry({ term: 1, index: 20_001, data: new Uint8Array(3_000_000) }).close();
  assert.ok(writes < 6, `${writes} writes`);
  const reader = readLog(directory);
  assert.deepEqual(
    [reader.entryCount, reader.end!.verdict, reader.end!.offset],
    [20_001, 'end', statSync(path).size],
  );
  assert.ok(entry.encode({ term: 1 }, { zeros: 'omit' }).length === 2);
});

test('a file that is there is not overwritten; an abandoned one is closed', (t) => {
  const path = join(scratch(t), NAME);
  writeFileSync(path, 'x');
  assert.throws(() => SegmentWriter.create(realDisk(), path, { zeros: 'omit' }));
  const other = SegmentWriter.create(realDisk(), `${path}2`, { zeros: 'omit', preallocateBytes: 0 });
  other.abandon();
  assert.equal(statSync(`${path}2`).size, 0);
});
