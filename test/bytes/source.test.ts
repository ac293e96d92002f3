import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CorruptError, ToolError } from '../../src/errors.ts';
import { MemorySource, openFile, readAt, type Source, startOf } from '../../src/bytes/source.ts';
import { scratch } from '../support/scratch.ts';
import { unchanged } from '../support/unchanged.ts';

const CONTENT = Uint8Array.from({ length: 1000 }, (_, i) => i % 251);

function both(t: Parameters<typeof scratch>[0]): Source[] {
  const path = join(scratch(t), 'file');
  writeFileSync(path, CONTENT);
  const file = openFile(path);
  t.after(() => file.close());
  return [file, new MemorySource(CONTENT)];
}

test('exactly the bytes that were asked for', (t) => {
  for (const source of both(t)) {
    assert.equal(source.size, 1000);
    for (const [offset, length] of [
      [0, 1000],
      [0, 0],
      [1000, 0],
      [999, 1],
      [17, 300],
    ] as const) {
      assert.deepEqual(readAt(source, offset, length), CONTENT.slice(offset, offset + length));
    }
  }
});

test('a source may seem to end earlier', (t) => {
  for (const source of both(t)) {
    const start = startOf(source, 300);
    assert.deepEqual([start.name, start.size], [source.name, 300]);
    assert.deepEqual(readAt(start, 100, 200), CONTENT.slice(100, 300));
    assert.throws(() => readAt(start, 100, 201), { code: 'io.short-read' });
    assert.equal(startOf(source, 5000).size, 1000);
  }
});

test('fewer bytes than were asked for is an error', (t) => {
  for (const source of both(t)) {
    for (const [offset, length] of [
      [0, 1001],
      [1000, 1],
      [5000, 1],
      [-1, 2],
      [3, -1],
    ] as const) {
      assert.throws(() => readAt(source, offset, length), { code: 'io.short-read' });
    }
    assert.throws(
      () => source.readInto(990, new Uint8Array(20)),
      (error) =>
        error instanceof CorruptError && error.code === 'io.short-read' && error.where!.file === source.name,
    );
  }
});

test('a file that shrinks while it is open, and one that grows', (t) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, CONTENT);
  const source = openFile(path);
  t.after(() => source.close());
  truncateSync(path, 600);
  assert.equal(source.size, 1000);
  assert.throws(() => readAt(source, 500, 200), {
    code: 'io.short-read',
    message: '200 bytes were expected, but the file ended after 100; is it still being written?',
    where: { file: path, offset: 600 },
  });
  assert.deepEqual(readAt(source, 500, 100), CONTENT.slice(500, 600));
  appendFileSync(path, Buffer.alloc(1000));
  assert.throws(() => readAt(source, 0, 1001), { code: 'io.short-read' });
});

test('what is no file, or not there', (t) => {
  const folder = scratch(t);
  mkdirSync(join(folder, 'dir'));
  for (const [name, code] of [
    ['dir', 'io.not-a-file'],
    ['absent', 'io.not-found'],
    ['dir/absent/x', 'io.not-found'],
  ] as const) {
    assert.throws(
      () => openFile(join(folder, name)),
      (error) => error instanceof ToolError && error.code === code,
    );
  }
  writeFileSync(join(folder, 'file'), '');
  assert.throws(() => openFile(join(folder, 'file', 'x')), { code: 'io.not-a-directory' });
});

test('reading changes nothing, and a file may be closed twice', async (t) => {
  const path = join(scratch(t), 'file');
  writeFileSync(path, CONTENT);
  await unchanged(path, () => {
    const source = openFile(path);
    readAt(source, 0, 1000);
    source.close();
    source.close();
  });
});
