import assert from 'node:assert/strict';
import { chmodSync, chownSync, existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import type { Disk } from '../../../src/bytes/disk.ts';
import { ToolError } from '../../../src/errors.ts';
import { BoltBackend } from '../../../src/store/backend/bolt.ts';
import { makeDatabase } from '../../../src/store/backend/database-file.ts';
import { contentOfFile } from '../../support/database-content.ts';
import { type DiskCall, type Fault, faultyDisk, hastyDisk } from '../../support/faulty-disk.ts';
import { scratch } from '../../support/scratch.ts';
import { text } from '../database-builder.ts';
import { fill, keysOf, made, name, valueOf } from './bolt-subject.ts';

/** Rows of several pages, most of them deleted again. */
async function sparse(backend: BoltBackend): Promise<void> {
  fill(backend, 0, 2000);
  await backend.commit();
  for (let i = 0; i < 2000; i++) if (i % 20 !== 0) backend.delete('key', text(name(i)));
  await backend.commit();
}

const remaining = Array.from({ length: 100 }, (_, i) => name(20 * i));

describe('a rewrite', () => {
  test('leaves the rows and no free pages, and nothing beside the file', async (t) => {
    const { backend, path } = await made(t);
    await sparse(backend);
    backend.put('lease', text('a'), text('1'));
    const before = backend.sizeBytes;
    await backend.defrag();
    assert.ok(backend.sizeBytes < before / 8, `${backend.sizeBytes} of ${before}`);
    assert.equal(backend.inUseBytes, backend.sizeBytes);
    assert.equal(statSync(path).size, backend.sizeBytes);
    assert.deepEqual(readdirSync(dirname(path)), ['db']);
    assert.deepEqual(keysOf(backend, 'key'), remaining);
    assert.equal(valueOf(backend, 'lease', 'a'), '1');
    assert.deepEqual([...contentOfFile(path).get('key')!.keys()], remaining);
  });

  test('is written on, and opened again', async (t) => {
    const { backend, path } = await made(t);
    await sparse(backend);
    for (let round = 0; round < 10; round++) {
      fill(backend, 100 * round, 100 * round + 50, 'w');
      await (round % 4 === 3 ? backend.defrag() : backend.commit());
    }
    const keys = keysOf(backend, 'key');
    await backend.close();
    const again = await BoltBackend.open(hastyDisk(), path);
    assert.deepEqual(keysOf(again, 'key'), keys);
    fill(again, 5000, 5010);
    await again.close();
    assert.equal(contentOfFile(path).get('key')!.size, keys.length + 10);
  });

  test('lets rows be read and changed meanwhile; a commit waits for it', async (t) => {
    let isRenamed = false;
    const disk = faultyDisk(undefined, {
      disk: hastyDisk(),
      onCall: ({ operation }) => void (isRenamed ||= operation === 'rename'),
    });
    const { backend, path } = await made(t, disk);
    // So many that a fast machine rests on the way, too.
    fill(backend, 0, 150_000);
    await backend.commit();
    isRenamed = false;
    const ended: string[] = [];
    const rewrite = backend.defrag().then(() => ended.push('rewrite'));
    backend.put('lease', text('a'), text('1'));
    const commit = backend.commit().then(() => ended.push('commit'));
    let turns = 0;
    for (; ended.length === 0; turns++) {
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(valueOf(backend, 'key', name((turns * 997) % 150_000)), 'v'.repeat(100));
      assert.equal(valueOf(backend, 'lease', 'a'), '1');
    }
    assert.ok(isRenamed && turns > 1, `${turns} turns`);
    await Promise.all([rewrite, commit]);
    assert.deepEqual(ended, ['rewrite', 'commit']);
    assert.deepEqual(contentOfFile(path).get('lease'), new Map([['a', '1']]));
  });

  test('keeps owner and mode', async (t) => {
    const { backend, path } = await made(t);
    chmodSync(path, 0o640);
    const isRoot = process.getuid!() === 0;
    if (isRoot) chownSync(path, 1234, 2345);
    fill(backend, 0, 10);
    await backend.defrag();
    const { mode, uid, gid } = statSync(path);
    assert.equal(mode & 0o777, 0o640);
    if (isRoot) assert.deepEqual([uid, gid], [1234, 2345]);
  });

  test('locks the new file before it has its name, and lets go of the old one afterwards', async (t) => {
    const steps: string[] = [];
    const now = (inode: number, directory: string): string =>
      statSync(join(directory, 'db')).ino === inode ? 'the file' : 'another';
    const { backend } = await made(t, hastyDisk(), {
      async lock(locked) {
        const inode = statSync(locked).ino;
        const directory = dirname(locked);
        steps.push(`lock ${now(inode, directory)}`);
        return { release: () => void steps.push(`release ${now(inode, directory)}`) };
      },
    });
    fill(backend, 0, 10);
    await backend.defrag();
    assert.deepEqual(steps, ['lock the file', 'lock another', 'release another']);
    await backend.close();
    assert.deepEqual(steps.slice(3), ['release the file']);
  });

  test('that has its name and is not durable stops the backend, which holds the lock of what has the name', async (t) => {
    let isFailing = false;
    const disk: Disk = {
      ...hastyDisk(),
      syncDirectory() {
        if (isFailing) throw new ToolError('io.failed', 'the disk is gone');
      },
    };
    const held = new Set<number>();
    const { backend, path } = await made(t, disk, {
      async lock(locked) {
        const { ino } = statSync(locked);
        held.add(ino);
        return { release: () => void held.delete(ino) };
      },
    });
    await sparse(backend);
    isFailing = true;
    await assert.rejects(backend.defrag(), { code: 'io.failed' });
    assert.deepEqual([...held], [statSync(path).ino]);
    assert.deepEqual(keysOf(backend, 'key'), remaining);
    await assert.rejects(backend.commit(), { code: 'backend.failed' });
    await assert.rejects(backend.close(), { code: 'backend.failed' });
    assert.equal(held.size, 0);
    assert.deepEqual([...contentOfFile(path).get('key')!.keys()], remaining);
  });

  test('that cannot lock the new file ends, and the old one goes on', async (t) => {
    let count = 0;
    const { backend, path } = await made(t, hastyDisk(), {
      lock: async () => {
        if (++count > 1) throw new TypeError('no lock');
        return { release() {} };
      },
    });
    await sparse(backend);
    const inode = statSync(path).ino;
    await assert.rejects(backend.defrag(), TypeError);
    assert.equal(statSync(path).ino, inode);
    assert.deepEqual(readdirSync(dirname(path)), ['db']);
    fill(backend, 0, 10);
    await backend.commit();
    assert.equal(contentOfFile(path).get('key')!.size, 109);
  });
});

/** What one rewrite does to the disk, with a fault in it; the rows are those of before and of `later`. */
async function rewriteWith(
  path: string,
  fault: Fault | undefined,
): Promise<{ calls: DiskCall[]; failed: string[]; isLost: boolean }> {
  const calls: DiskCall[] = [];
  let isOn = false;
  const quiet = faultyDisk(undefined, { disk: hastyDisk() });
  const watched = faultyDisk(fault, { disk: hastyDisk(), onCall: (call) => calls.push(call) });
  const disk = new Proxy(quiet, {
    get: (target, operation: keyof typeof quiet) => (isOn ? watched[operation] : target[operation]),
  });
  const backend = await BoltBackend.open(disk, path);
  const failed: string[] = [];
  const attempt = (what: string, run: () => Promise<unknown>): Promise<unknown> =>
    run().catch((error: { code: string }) => failed.push(`${what}: ${error.code}`));
  isOn = true;
  await attempt('defrag', () => backend.defrag());
  isOn = false;
  const rows = keysOf(backend, 'key');
  assert.deepEqual(rows, remaining);
  backend.put('lease', text('later'), text('1'));
  await attempt('commit', () => backend.commit());
  await attempt('close', () => backend.close());
  const found = contentOfFile(path);
  assert.deepEqual([...found.get('key')!.keys()], remaining);
  return { calls, failed, isLost: !found.has('lease') };
}

describe('a rewrite that fails', () => {
  test('at any file operation loses nothing: it goes on with the old file, or takes no more', async (t) => {
    const prepare = async (path: string): Promise<void> => {
      const backend = await BoltBackend.open(hastyDisk(), path, { isNew: true });
      await sparse(backend);
      await backend.close();
    };
    const plain = join(scratch(t), 'db');
    await prepare(plain);
    const { calls, failed } = await rewriteWith(plain, undefined);
    assert.deepEqual(failed, []);
    assert.ok(calls.some(({ operation }) => operation === 'rename'));
    const outcomes = new Set<string>();
    for (const kind of ['fail once', 'go dead', 'fill up'] as const) {
      for (let at = 1; at <= calls.length; at++) {
        const path = join(scratch(t), 'db');
        await prepare(path);
        const result = await rewriteWith(path, { kind, at });
        const isStopped = result.failed.includes('commit: backend.failed');
        assert.equal(result.isLost, isStopped, `${kind} at ${at}: ${result.failed.join(', ')}`);
        outcomes.add(isStopped ? 'stopped' : result.failed.length > 0 ? 'old file' : 'no failure');
        if (kind === 'fail once') assert.deepEqual(readdirSync(dirname(path)), ['db'], `${kind} at ${at}`);
      }
    }
    assert.ok(outcomes.has('stopped') && outcomes.has('old file'), [...outcomes].join());
  });
});

test('a database that cannot be made leaves nothing behind but, at the very end, itself', (t) => {
  const calls: DiskCall[] = [];
  makeDatabase(faultyDisk(undefined, { onCall: (call) => calls.push(call) }), join(scratch(t), 'db'));
  const linkAt = calls.findIndex(({ operation }) => operation === 'link') + 1;
  assert.ok(linkAt > 0 && linkAt < calls.length);
  for (let at = 1; at <= calls.length; at++) {
    const path = join(scratch(t), 'db');
    let code = '';
    try {
      makeDatabase(faultyDisk({ kind: 'fail once', at }), path);
    } catch (error) {
      ({ code } = error as { code: string });
      assert.match(code, /^io\./);
    }
    assert.equal(existsSync(path), at >= linkAt, `${at} of ${calls.length}: ${code}`);
    if (existsSync(path)) assert.deepEqual(contentOfFile(path), new Map());
  }
});
