// Flags that change what a server does by itself, and what becomes of leases when it was away: real etcd 3.6 and
// the server under test do the same.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { scratch } from '../support/scratch.ts';
import { ask, freeMemberPorts, getAll, hashKv, parseEtcdJson, startEtcd } from './etcd.ts';
import type { EtcdServer, StartOptions } from './etcd.ts';
import { startBoth, startSubject, subjectSkip as skip } from './subject.ts';

/** Looks again and again until it is so; false when it is not within the time. */
async function becomes(isSo: () => Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (!(await isSo())) {
    if (Date.now() > deadline) return false;
    await delay(150);
  }
  return true;
}

test('periodic auto-compaction forgets what is older than its time', { skip, timeout: 60_000 }, async (t) => {
  const args = ['--auto-compaction-mode=periodic', '--auto-compaction-retention=2s'];
  const { real, subject } = await startBoth(t, scratch(t), { args });
  const outcome = async (server: EtcdServer): Promise<boolean> => {
    for (let number = 0; number < 5; number++) await ask(server, ['put', 'a', String(number)]);
    return becomes(async () => (await hashKv(server)).compactRevision >= 5, 15_000);
  };
  assert.deepEqual(await Promise.all([real, subject].map(outcome)), [true, true]);
});

interface TimeToLive {
  ttl: number;
  granted: number;
  keys: number;
}

async function timeToLive(server: EtcdServer, id: string): Promise<TimeToLive> {
  const { stdout } = await ask(server, ['lease', 'timetolive', id, '--keys', '--write-out=json']);
  const answer = parseEtcdJson(stdout) as { ttl: number; 'granted-ttl': number; keys?: string[] };
  return { ttl: answer.ttl, granted: answer['granted-ttl'] ?? 0, keys: answer.keys?.length ?? 0 };
}

/** Lets a lease live through a kill, and tells what was seen of it. */
async function leaseAcrossKill(
  start: (options: StartOptions) => Promise<EtcdServer>,
  dataDir: string,
): Promise<object> {
  const options = { dataDir, ports: await freeMemberPorts() };
  let server = await start(options);
  try {
    const { stdout } = await ask(server, ['lease', 'grant', '6']);
    const [, id = ''] = /lease ([0-9a-f]+) granted/.exec(stdout) ?? [];
    await ask(server, ['put', 'leased', 'v', `--lease=${id}`]);
    await ask(server, ['put', 'free', 'v']);
    await delay(3000);
    const before = await timeToLive(server, id);
    await server.kill();
    server = await start(options);
    const after = await timeToLive(server, id);
    const restarted = Date.now();
    const count = async (): Promise<number> => (await getAll(server)).kvs.length;
    const isGone = await becomes(async () => (await count()) === 1, 20_000);
    const seconds = (Date.now() - restarted) / 1000;
    return {
      before: { ...before, ttl: before.ttl <= 3 },
      // Its time begins anew, as etcd's does.
      after: { ...after, ttl: after.ttl > 4 },
      isGone,
      isGoneInTime: seconds > 4 && seconds < 12,
      atLast: await timeToLive(server, id),
    };
  } finally {
    await server.kill();
  }
}

test(
  'a lease outlives a kill, with its time begun anew, and then runs out',
  {
    skip,
    timeout: 90_000,
  },
  async (t) => {
    const folder = scratch(t);
    const [real, subject] = await Promise.all([
      leaseAcrossKill((options) => startEtcd('3.6', options), join(folder, 'real')),
      leaseAcrossKill(startSubject, join(folder, 'subject')),
    ]);
    assert.equal((real as { isGone: boolean }).isGone, true);
    assert.deepEqual(subject, real);
  },
);
