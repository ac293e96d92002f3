// What our server leaves when it is killed at its first start, real etcd starts on as on its own; and neither starts
// where the other is running.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { randomFor, seedOfRun } from '../support/mutate.ts';
import { treeOf } from '../support/member-copy.ts';
import { scratch } from '../support/scratch.ts';
import { assertSound, flagsAt, serveInChild } from '../support/served.ts';
import { ask, freeMemberPorts, getAll, skipReason, startEtcd } from './etcd.ts';
import { startSubject, isOurs } from './subject.ts';

const SEED = seedOfRun();
const KILLS = 12;
const STAGES = ['', 'member/snap/db', 'member/wal'];
const skip = skipReason('3.6') || (isOurs ? false : 'it is about our own server');
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('real etcd starts on what a first start of ours leaves that was killed', { skip }, async (t) => {
  t.diagnostic(`ETCDKIT_SEED=${SEED}`);
  const random = randomFor(SEED, 7);
  const root = scratch(t);
  let withLog = 0;
  for (let i = 0; i < KILLS; i++) {
    const dataDir = join(root, `${i}`);
    const ports = await freeMemberPorts();
    const peer = `http://127.0.0.1:${ports.peer}`;
    const flags = flagsAt(
      dataDir,
      '--name=m1',
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=m1=${peer}`,
    );
    const first = await serveInChild(t, flags, { isWaited: false });
    const stage = join(dataDir, STAGES[i % STAGES.length]!);
    for (let wait = 0; !existsSync(stage) && wait < 5000; wait++) await pause(1);
    await pause(random.below(10));
    first.child.kill('SIGKILL');
    await first.ended;
    if (existsSync(join(dataDir, 'member/wal'))) withLog++;
    // In turn at once, and after ours has tidied up and was killed again.
    if (i % 2 === 1) {
      const second = await serveInChild(t, flags);
      second.child.kill('SIGKILL');
      await second.ended;
    }
    const server = await startEtcd('3.6', { dataDir, ports, name: 'm1' });
    t.after(() => server.kill());
    await ask(server, ['put', 'key', `${i}`]);
    const { kvs } = await getAll(server);
    assert.deepEqual(
      kvs.map(({ key }) => key.toString()),
      ['key'],
    );
    await server.stop();
    await assertSound(dataDir);
  }
  t.diagnostic(`${withLog} of ${KILLS} were killed when there was a log`);
  assert.ok(withLog > 0);
});

test('neither starts on a directory on which the other is running', { skip }, async (t) => {
  const root = scratch(t);
  const [theirs, ours] = [join(root, 'theirs'), join(root, 'ours')];
  const etcd = await startEtcd('3.6', { dataDir: theirs });
  t.after(() => etcd.kill());
  await ask(etcd, ['put', 'key', 'value']);
  await pause(300);
  const before = treeOf(theirs);
  const refused = await serveInChild(t, flagsAt(theirs));
  assert.equal((await refused.ended).code, 4, refused.log());
  assert.match(refused.log(), /is locked/);
  assert.deepEqual(treeOf(theirs), before);
  await ask(etcd, ['put', 'key', 'again']);
  await etcd.stop();
  const next = await serveInChild(t, flagsAt(theirs));
  next.child.kill('SIGTERM');
  assert.equal((await next.ended).code, 0, next.log().slice(-2000));

  const serving = await startSubject({ dataDir: ours });
  t.after(() => serving.kill());
  await assert.rejects(startEtcd('3.6', { dataDir: ours, timeoutMs: 4000 }));
  await ask(serving, ['put', 'key', 'value']);
  await serving.stop();
  await assertSound(ours);
});
