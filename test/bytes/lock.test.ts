import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isLockedByOther, lockExclusive, lockHolderIn } from '../../src/bytes/lock.ts';
import { RefusedError } from '../../src/errors.ts';
import { scratch } from '../support/scratch.ts';

const skip = spawnSync('flock', ['--version']).status === 0 ? false : 'this host has no flock(1)';

function newFile(t: Parameters<typeof scratch>[0]): string {
  const path = join(scratch(t), 'db');
  writeFileSync(path, '');
  return path;
}

interface Scope {
  after(run: () => void): void;
}

/** A process that holds the lock until it is told to let go. */
async function holder(t: Scope, path: string): Promise<{ pid: number; release(): Promise<void> }> {
  const child = spawn('flock', ['-x', '--no-fork', path, 'sh', '-c', 'echo held; read line'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => child.kill());
  await once(child.stdout, 'data');
  return {
    pid: child.pid!,
    async release() {
      const gone = once(child, 'exit');
      child.stdin.end('\n');
      await gone;
    },
  };
}

test('another process cannot take the lock while we hold it, and can afterwards', { skip }, async (t) => {
  const path = newFile(t);
  const attempt = (): number | null => spawnSync('flock', ['-n', '-x', path, 'true']).status;
  const lock = await lockExclusive(path, { timeoutMs: 1000 });
  assert.equal(attempt(), 1);
  lock.release();
  assert.equal(attempt(), 0);
});

test('a lock that is held is refused after the timeout, and the holder is named', { skip }, async (t) => {
  const path = newFile(t);
  const { pid } = await holder(t, path);
  const began = performance.now();
  await assert.rejects(lockExclusive(path, { timeoutMs: 120 }), (error) => {
    assert.ok(error instanceof RefusedError);
    assert.equal(error.code, 'lock.held');
    assert.ok(error.message.includes(`locked by process ${pid}`), error.message);
    assert.match(error.hint!, /etcdctl/);
    return true;
  });
  const tookMs = performance.now() - began;
  assert.ok(tookMs >= 120 && tookMs < 5000, `${tookMs} ms`);
  assert.equal(isLockedByOther(path), true);
});

test('a lock of our own is refused too, without naming a process that is gone', { skip }, async (t) => {
  const path = newFile(t);
  const lock = await lockExclusive(path, { timeoutMs: 1000 });
  await assert.rejects(lockExclusive(path, { timeoutMs: 1 }), {
    code: 'lock.held',
    message: /locked by another process/,
  });
  lock.release();
});

test('it waits until the holder lets go', { skip }, async (t) => {
  const path = newFile(t);
  const held = await holder(t, path);
  const waiting = lockExclusive(path, { timeoutMs: 10_000 });
  await held.release();
  (await waiting).release();
  assert.equal(isLockedByOther(path), false);
});

test('whoever waits is told of it once, after a second', { skip }, async (t) => {
  const path = newFile(t);
  const held = await holder(t, path);
  let told = 0;
  const began = performance.now();
  let toldAfterMs = 0;
  const onWait = (): void => {
    told++;
    toldAfterMs = performance.now() - began;
  };
  await assert.rejects(lockExclusive(path, { timeoutMs: 300, onWait }), { code: 'lock.held' });
  assert.equal(told, 0);
  await assert.rejects(lockExclusive(path, { timeoutMs: 1400, onWait }), { code: 'lock.held' });
  assert.equal(told, 1);
  assert.ok(toldAfterMs >= 1300, `${toldAfterMs} ms`);
  await held.release();
});

test('waiting for ever can be interrupted', { skip }, async (t) => {
  const path = newFile(t);
  await holder(t, path);
  const controller = new AbortController();
  const waiting = lockExclusive(path, { timeoutMs: 0, signal: controller.signal });
  setTimeout(() => controller.abort(), 120);
  await assert.rejects(waiting, { code: 'interrupted' });
});

test('without flock(1) it is refused, unless that is allowed', async (t) => {
  const path = newFile(t);
  const { PATH } = process.env;
  process.env['PATH'] = scratch(t);
  try {
    await assert.rejects(lockExclusive(path, { timeoutMs: 100 }), { code: 'lock.unavailable' });
    (await lockExclusive(path, { timeoutMs: 100, allowUnlocked: true })).release();
  } finally {
    process.env['PATH'] = PATH;
  }
});

test('without flock(1), a lock that /proc/locks shows is still respected', { skip }, async (t) => {
  const path = newFile(t);
  await holder(t, path);
  const { PATH } = process.env;
  process.env['PATH'] = scratch(t);
  try {
    await assert.rejects(lockExclusive(path, { timeoutMs: 100, allowUnlocked: true }), { code: 'lock.held' });
  } finally {
    process.env['PATH'] = PATH;
  }
});

test('a lock is that of the file which has its inode, on a device that can be the same', () => {
  const table = [
    '1: POSIX  ADVISORY  WRITE 11 fe:00:77 0 EOF',
    '2: FLOCK  ADVISORY  WRITE 12 fe:00:78 0 EOF',
    '2: -> FLOCK  ADVISORY  WRITE 13 fe:00:78 0 EOF',
    '3: OFDLCK ADVISORY  WRITE -1 00:2d:79 0 EOF',
    '',
  ].join('\n');
  const device = (major: bigint, minor: bigint): bigint => (major << 8n) | minor;
  const cases: Array<[dev: bigint, ino: bigint, pid: string | undefined]> = [
    [device(0xfen, 0n), 77n, '11'],
    [device(0xfen, 0n), 78n, '12'],
    [device(0x08n, 1n), 78n, undefined],
    [device(0n, 0x30n), 78n, '12'],
    [device(0xfen, 0n), 79n, '-1'],
    [device(0xfen, 0n), 80n, undefined],
  ];
  for (const [dev, ino, pid] of cases) assert.equal(lockHolderIn(table, { dev, ino }), pid, `${dev} ${ino}`);
});

test('a file that is not there', async (t) => {
  const path = join(scratch(t), 'absent');
  await assert.rejects(lockExclusive(path, { timeoutMs: 100 }), { code: 'io.not-found' });
  assert.equal(isLockedByOther(path), false);
});
