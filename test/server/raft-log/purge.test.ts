import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { realDisk } from '../../../src/bytes/disk.ts';
import { ToolError } from '../../../src/errors.ts';
import { formatSnapName } from '../../../src/format/snap/file.ts';
import { formatSegmentName } from '../../../src/format/wal/name.ts';
import { oldSegments, oldSnapshots, purgeLog } from '../../../src/server/raft-log/purge.ts';
import { scratch } from '../../support/scratch.ts';

const segment = (sequence: number, index: number): string => formatSegmentName({ sequence, index });
const snapshot = (index: number): string => formatSnapName({ term: 2, index });
/** Each holds a hundred entries; the last one is the seventh. */
const SEGMENTS = Array.from({ length: 7 }, (_, i) => segment(i, i === 0 ? 0 : i * 100 + 1));

test('the newest segments are kept, also those that nobody needs', () => {
  assert.deepEqual(oldSegments(SEGMENTS, { walsMax: 5, released: 700 }), SEGMENTS.slice(0, 2));
  assert.deepEqual(oldSegments(SEGMENTS, { walsMax: 1, released: 700 }), SEGMENTS.slice(0, 6));
  assert.deepEqual(oldSegments(SEGMENTS, { walsMax: 0, released: 700 }), []);
  assert.deepEqual(oldSegments(SEGMENTS, { walsMax: 9, released: 700 }), []);
});

test('the segment in which the snapshot lies is kept, and all behind it', () => {
  assert.deepEqual(oldSegments(SEGMENTS, { walsMax: 1, released: 350 }), SEGMENTS.slice(0, 3));
  assert.deepEqual(oldSegments(SEGMENTS, { walsMax: 1, released: 300 }), SEGMENTS.slice(0, 2));
  assert.deepEqual(oldSegments(SEGMENTS, { walsMax: 1, released: 301 }), SEGMENTS.slice(0, 3));
  assert.deepEqual(oldSegments(SEGMENTS, { walsMax: 1, released: 0 }), []);
});

test('of snapshots the newest are kept, and of databases that were received those not yet taken', () => {
  const names = [100, 200, 300].map(snapshot);
  const received = ['00000000000000c8.snap.db', '000000000000012c.snap.db'];
  assert.deepEqual(oldSnapshots([...names, ...received, 'db'], { snapshotsMax: 2, released: 300 }), [
    names[0],
    received[0],
  ]);
  assert.deepEqual(oldSnapshots(names, { snapshotsMax: 0, released: 300 }), []);
});

test('a segment that cannot be removed keeps those behind it, so that there is no gap', (t) => {
  const root = scratch(t);
  const [walDir, snapDir] = [join(root, 'wal'), join(root, 'snap')];
  mkdirSync(walDir);
  mkdirSync(snapDir);
  for (const name of SEGMENTS) writeFileSync(join(walDir, name), '');
  for (const index of [100, 200, 300]) writeFileSync(join(snapDir, snapshot(index)), '');
  const real = realDisk();
  const disk = {
    ...real,
    remove(path: string): void {
      if (path.endsWith(SEGMENTS[1]!)) throw new ToolError('io.permission', 'remove: permission denied');
      real.remove(path);
    },
  };
  const said: string[] = [];
  const tell = (_: object, message: string): void => void said.push(message);
  const log = { debug: tell, info: tell, warn: tell, error: tell };
  const purged = purgeLog({ disk, walDir, snapDir, log, snapshotsMax: 2, walsMax: 2, released: 650 });
  assert.deepEqual(purged, { snapshots: [snapshot(100)], segments: [SEGMENTS[0]] });
  assert.deepEqual(readdirSync(walDir), SEGMENTS.slice(1));
  assert.deepEqual(said, ['purged', 'purged', 'failed to purge file']);
});
