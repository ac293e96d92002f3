/**
 * The disk fails under a server whose clients go on writing: full for a while, or broken for good. What was
 * acknowledged is never lost; a full disk passes, a broken one ends the server.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Channel } from '../../src/client/channel.ts';
import { ILLNESSES, ailingDisk } from '../support/ailing-disk.ts';
import { scratch } from '../support/scratch.ts';
import {
  assertHolds,
  flagsAt,
  isNoRoom,
  lost,
  put,
  readAll,
  serveAt,
  serveInChild,
  Writer,
} from '../support/served.ts';

const VICTIM = fileURLToPath(new URL('./serve-victim.js', import.meta.url));
const KB = 1024;

async function until(what: string, isMet: () => boolean, limitMs = 15_000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!isMet()) {
    assert.ok(performance.now() < deadline, `${what} within ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('while clients write, there is', () => {
  for (const name of [
    'a full disk under the log',
    'a full disk under the database',
    'a full disk under both',
  ] as const) {
    test(`${name}: they are told so, and writes go on when there is room again`, async (t) => {
      const dataDir = join(scratch(t), 'data');
      const ailing = ailingDisk();
      const { server, endpoint } = await serveAt(dataDir, { disk: ailing.disk, snapshotCount: 30 });
      const [mine, other] = [await Channel.connect(endpoint), await Channel.connect(endpoint)];
      const writer = new Writer(mine, 'w', { valueBytes: 2000 });
      await until('puts are acknowledged', () => writer.acknowledged.size > 50);
      ailing.illness = ILLNESSES[name];
      await until('a client is told', () => writer.errors.length > 3);
      assert.ok(writer.errors.every(isNoRoom), String(writer.errors.find((error) => !isNoRoom(error))));
      assert.deepEqual(lost(await readAll(other), writer.acknowledged), []);
      const refused = writer.acknowledged.size;
      await until('more are refused', () => writer.errors.length > 20);
      assert.ok(writer.acknowledged.size <= refused + 1, 'nothing is taken while there is no room');
      ailing.illness = undefined;
      await until('puts are acknowledged again', () => writer.acknowledged.size > refused + 50);
      await writer.stop();
      await server.stop(2000);
      await assertHolds(dataDir, writer.acknowledged);
    });
  }

  test('a file system that is really full, and gets room again', async (t) => {
    const disk = join(scratch(t), 'disk');
    mkdirSync(disk);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=48m,mode=0700', 'etcdkit-crash', disk]);
    if (mounted.status !== 0) {
      t.skip(`no small disk can be mounted here: ${String(mounted.stderr ?? mounted.error).trim()}`);
      return;
    }
    try {
      writeFileSync(join(disk, 'ballast'), Buffer.alloc(12 << 20));
      const dataDir = join(disk, 'data');
      const served = await serveInChild(t, flagsAt(dataDir));
      const [mine, other] = [await Channel.connect(served.endpoint), await Channel.connect(served.endpoint)];
      const writer = new Writer(mine, 'w', { valueBytes: 20 * KB, pauseMs: 1 });
      await until('the disk is full', () => writer.errors.length > 5, 30_000);
      assert.ok(writer.errors.every(isNoRoom), String(writer.errors.find((error) => !isNoRoom(error))));
      assert.ok(writer.acknowledged.size > 5);
      assert.deepEqual(lost(await readAll(other), writer.acknowledged), []);
      const refused = writer.acknowledged.size;
      rmSync(join(disk, 'ballast'));
      await until('puts are acknowledged again', () => writer.acknowledged.size > refused + 20);
      await until('the disk is full again', () => isNoRoom(writer.errors.at(-1)), 30_000);
      await writer.stop();
      served.child.kill('SIGTERM');
      const { code } = await served.ended;
      assert.equal(code, 0, served.log().slice(-2000));
      await assertHolds(dataDir, writer.acknowledged);
    } finally {
      spawnSync('umount', [disk]);
    }
  });
});

describe('the server stops, and nothing is acknowledged any more, with', () => {
  for (const name of [
    'a log that cannot be synced',
    'a database that cannot be synced',
    'a log that cannot be written',
    'a database that cannot be written',
  ] as const) {
    test(name, async (t) => {
      const dataDir = join(scratch(t), 'data');
      const ailing = ailingDisk();
      const { server, endpoint } = await serveAt(dataDir, { disk: ailing.disk });
      const channel = await Channel.connect(endpoint);
      const writer = new Writer(channel, 'w');
      await until('puts are acknowledged', () => writer.acknowledged.size > 50);
      ailing.illness = ILLNESSES[name];
      await assert.rejects(server.done, /EIO|input\/output|trusted|injected/i);
      const then = writer.acknowledged.size;
      await writer.stop();
      // One answer may have been on its way.
      assert.ok(writer.acknowledged.size <= then + 1, `${writer.acknowledged.size - then} more`);
      await assert.rejects(put(channel, 'late', 'x', 1000));
      await assert.rejects(Channel.connect(endpoint, { timeoutMs: 500 }));
      await server.stop(0).catch(() => {});
      await assertHolds(dataDir, writer.acknowledged);
    });
  }

  for (const name of ['a log that cannot be synced', 'a database that cannot be synced'] as const) {
    test(`${name}: the process ends with 1 and says why`, async (t) => {
      const dataDir = join(scratch(t), 'data');
      const served = await serveInChild(t, [name, ...flagsAt(dataDir)], { program: [VICTIM] });
      const channel = await Channel.connect(served.endpoint);
      const writer = new Writer(channel, 'w');
      await until('puts are acknowledged', () => writer.acknowledged.size > 50);
      served.child.kill('SIGUSR2');
      const { code } = await served.ended;
      await writer.stop();
      assert.equal(code, 1, served.log().slice(-2000));
      assert.match(served.log(), /^Error: .*input\/output error|^Error: .*EIO/m);
      await assertHolds(dataDir, writer.acknowledged);
    });
  }
});
