import assert from 'node:assert/strict';
import { existsSync, lstatSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { realDisk } from '../../src/bytes/disk.ts';
import { ToolError } from '../../src/errors.ts';
import { scratch } from '../support/scratch.ts';

test('files are made, written, cut and renamed', async (t) => {
  const disk = realDisk();
  const folder = scratch(t);
  const path = join(folder, 'a');
  const fd = disk.create(path, 0o600);
  disk.write(fd, Buffer.from('hello'), 3);
  disk.write(fd, Buffer.from('abc'), 0);
  disk.write(fd, new Uint8Array(), 0);
  disk.truncate(fd, 6);
  disk.sync(fd);
  await disk.startSync(fd);
  await disk.startDataSync(fd);
  disk.close(fd);
  assert.equal(readFileSync(path, 'utf8'), 'abchel');
  assert.equal(statSync(path).mode & 0o777, 0o600);

  const again = disk.openForUpdate(path);
  disk.write(again, Buffer.from('X'), 1);
  disk.close(again);
  disk.setMode(path, 0o640);
  disk.setOwner(path, { uid: process.getuid!(), gid: process.getgid!() });
  disk.link(path, join(folder, 'b'));
  disk.makeDirectory(join(folder, 'dir'), 0o700);
  disk.rename(path, join(folder, 'dir', 'c'));
  disk.syncDirectory(folder);
  assert.equal(readFileSync(join(folder, 'dir', 'c'), 'utf8'), 'aXchel');
  assert.equal(lstatSync(join(folder, 'b')).nlink, 2);
  disk.remove(join(folder, 'dir', 'c'));
  disk.removeDirectory(join(folder, 'dir'));
  assert.equal(existsSync(join(folder, 'dir')), false);
});

test('what the operating system refuses is a ToolError with the path', async (t) => {
  const disk = realDisk();
  const folder = scratch(t);
  const path = join(folder, 'file');
  writeFileSync(path, '');
  const closed = disk.create(join(folder, 'closed'), 0o600);
  disk.close(closed);
  for (const [run, code] of [
    [() => disk.create(path, 0o600), 'io.exists'],
    [() => disk.create(join(folder, 'no', 'x'), 0o600), 'io.not-found'],
    [() => disk.openForUpdate(join(folder, 'absent')), 'io.not-found'],
    [() => disk.openForUpdate(folder), 'io.not-a-file'],
    [() => disk.makeDirectory(path, 0o700), 'io.exists'],
    [() => disk.rename(join(folder, 'absent'), path), 'io.not-found'],
    [() => disk.link(path, path), 'io.exists'],
    [() => disk.remove(join(folder, 'absent')), 'io.not-found'],
    [() => disk.removeDirectory(path), 'io.not-a-directory'],
    [() => disk.setMode(join(folder, 'absent'), 0o600), 'io.not-found'],
    [() => disk.setOwner(join(folder, 'absent'), { uid: 0, gid: 0 }), 'io.not-found'],
    [() => disk.syncDirectory(join(folder, 'absent')), 'io.not-found'],
    [() => disk.write(closed, Buffer.from('x'), 0), 'io.failed'],
    [() => disk.sync(closed), 'io.failed'],
    [() => disk.truncate(closed, 0), 'io.failed'],
    [() => disk.close(closed), 'io.failed'],
  ] as const) {
    assert.throws(
      run,
      (error) => error instanceof ToolError && error.code === code && error.cause instanceof Error,
      run.toString(),
    );
  }
  await assert.rejects(disk.startSync(closed), (error) => error instanceof ToolError);
  await assert.rejects(disk.startDataSync(closed), (error) => error instanceof ToolError);
});
