import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Disk, realDisk } from '../../../src/bytes/disk.ts';
import { ToolError } from '../../../src/errors.ts';
import { ZeroFill } from '../../../src/server/raft-log/zero-fill.ts';
import { scratch } from '../../support/scratch.ts';

const MIB = 1 << 20;

function emptyFile(
  t: Parameters<typeof scratch>[0],
  sizeBytes: number,
): { disk: Disk; fd: number; path: string } {
  const disk = realDisk();
  const path = join(scratch(t), 'file');
  const fd = disk.create(path, 0o600);
  disk.truncate(fd, sizeBytes);
  t.after(() => disk.close(fd));
  return { disk, fd, path };
}

const allocatedBytes = (path: string): number => statSync(path).blocks * 512;

async function until(isMet: () => boolean): Promise<void> {
  for (let left = 500; !isMet(); left--) {
    assert.ok(left > 0, 'it takes too long');
    await delay(10);
  }
}

test('a file that is to come is filled whole and synced', async (t) => {
  const { disk, fd, path } = emptyFile(t, 20 * MIB);
  let syncs = 0;
  const counting = { ...disk, startDataSync: (of: number) => (syncs++, disk.startDataSync(of)) };
  const fill = new ZeroFill(counting, fd, { from: 0, to: 20 * MIB, isSynced: true });
  fill.start();
  await until(() => allocatedBytes(path) >= 20 * MIB && syncs >= 3);
  await fill.stop();
  assert.equal(statSync(path).size, 20 * MIB);
});

test('what is written to a file is never overwritten, and zeros lie ahead of it', async (t) => {
  const { disk, fd, path } = emptyFile(t, 16 * MIB);
  const fill = new ZeroFill(disk, fd, { from: 0, to: 16 * MIB, isSynced: false });
  let end = 0;
  fill.follow(() => end);
  for (let i = 0; i < 12; i++) {
    const piece = Buffer.alloc(300_000, 1 + i);
    disk.write(fd, piece, end);
    end += piece.length;
    fill.start();
    await delay(5);
  }
  await until(() => allocatedBytes(path) >= end + MIB);
  assert.ok(allocatedBytes(path) < end + 4 * MIB, 'no more than a little ahead');
  await fill.stop();
  const bytes = readFileSync(path);
  for (let i = 0; i < 12; i++)
    assert.ok(bytes.subarray(i * 300_000, (i + 1) * 300_000).every((byte) => byte === 1 + i));
  assert.ok(bytes.subarray(end).every((byte) => byte === 0));
});

test('a full disk ends it without a word', async (t) => {
  const { disk, fd, path } = emptyFile(t, 4 * MIB);
  const full = new ToolError('io.no-space', 'write: no space left on device');
  let writes = 0;
  const failing: Disk = {
    ...disk,
    write() {
      writes++;
      throw full;
    },
  };
  const fill = new ZeroFill(failing, fd, { from: 0, to: 4 * MIB, isSynced: true });
  fill.start();
  await until(() => writes === 1);
  fill.start();
  await delay(20);
  await fill.stop();
  assert.equal(writes, 1);
  assert.equal(allocatedBytes(path), 0);
});
