// Directories that go from real etcd to us and back: what it left we start on, what we leave it starts on, with all data
// and the same hash. ETCD_VERIFY=all makes the real servers check themselves.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ENTRY_TYPE } from '../../src/format/proto/raftpb.ts';
import { requestOf } from '../../src/format/proto/request.ts';
import { listSegments, LogReader } from '../../src/format/wal/log.ts';
import { verify } from '../../src/check/verify.ts';
import { plainContext } from '../../src/ops/context.ts';
import { hashKV } from '../../src/ops/inspect/hashkv.ts';
import { readDatabaseRows } from '../support/database-rows.ts';
import { openAt, putKeys, takeSnapshot } from '../support/opened-member.ts';
import { scratch } from '../support/scratch.ts';
import { ask, freeMemberPorts, getAll, hashKv, peerUrlOf, runLoad, skipReason, startEtcd } from './etcd.ts';
import { databaseIn, untilStorageVersion } from './healthy.ts';

const TESTED = ['3.5', '3.6', '3.7'] as const;
/** A directory of 3.4 goes on too; one is not begun as 3.4. */
const TAKEN_OVER = ['3.4', ...TESTED] as const;
const NAME = 'm1';
const PUTS = 300;

async function assertSound(dataDir: string): Promise<void> {
  const { verdict, findings } = await verify(dataDir);
  assert.deepEqual(
    findings.filter(({ severity }) => severity !== 'note').map(({ message }) => message),
    [],
    verdict,
  );
}

/** Records in the order of the log, without the ids of requests; how often a state is written depends on the moment. */
function logShape(dataDir: string): string[] {
  const shape: string[] = [];
  for (const event of new LogReader(listSegments(join(dataDir, 'member', 'wal')).segments).events()) {
    if (event.kind === 'state') continue;
    if (event.kind !== 'entry')
      shape.push(JSON.stringify({ ...event, at: undefined }, (_, value: unknown) => shown(value)));
    else {
      const { index, term, type, data } = event;
      shape.push(`${index} ${term} ${type} ${withoutIds(type, data)}`);
    }
  }
  return shape;
}

function shown(value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString(16) : value;
}

function withoutIds(type: number, data: Uint8Array): string {
  if (type === ENTRY_TYPE.confChange) return Buffer.from(data).toString('hex');
  const request = requestOf(data);
  if (request.kind === 'v3') request.request.header!.id = 0n;
  if (request.kind === 'v2') request.request.id = 0n;
  return JSON.stringify(request, (_, value: unknown) => shown(value));
}

for (const version of TAKEN_OVER) {
  const skip = skipReason(version);
  for (const ending of ['stop', 'kill'] as const) {
    test(
      `a directory of etcd ${version} goes on with us and with it again, after ${ending}`,
      { skip },
      async (t) => {
        const dataDir = join(scratch(t), 'data');
        const ports = await freeMemberPorts();
        const start = { dataDir, ports, name: NAME, snapshotCount: 100 };
        for (let round = 0; round < 2; round++) {
          const server = await startEtcd(version, start);
          t.after(() => server.kill());
          const load = { kind: 'mixed' as const, seed: 11 + round, operations: 250, prefix: `r${round}/` };
          await runLoad(server, { ...load, users: false });
          await ask(server, ['put', `acknowledged${round}`, 'yes']);
          const before = await getAll(server);
          await server[ending]();

          const member = await openAt(dataDir, {
            name: NAME,
            advertiseClientUrls: [server.endpoint],
          });
          assert.equal(member.version, version);
          assert.equal(member.applier.keys.revision, before.header.revision);
          await putKeys(member, `ours${round}/`, PUTS);
          await takeSnapshot(member);
          await putKeys(member, `more${round}/`, PUTS);
          await member.release();
          await assertSound(dataDir);
          const ours = await hashKV(dataDir, { revision: 0 }, plainContext());

          const again = await startEtcd(version, start);
          t.after(() => again.kill());
          const after = await getAll(again);
          const keys = new Map(after.kvs.map(({ key, value }) => [key.toString(), value.toString()]));
          for (const { key, value } of before.kvs) assert.equal(keys.get(key.toString()), value.toString());
          for (let i = 0; i < PUTS; i++) {
            assert.ok(keys.get(`ours${round}/${i}`)?.startsWith(`${i}`));
            assert.ok(keys.get(`more${round}/${i}`)?.startsWith(`${i}`));
          }
          assert.equal(after.header.revision, before.header.revision + 2 * PUTS);
          assert.equal((await hashKv(again, after.header.revision)).hash, ours.hash);
          await again.stop();
          await assertSound(dataDir);
        }
      },
    );
  }
}

for (const version of TESTED) {
  const skip = skipReason(version);
  test(
    `a directory that we begin as etcd ${version} is started by it, and holds what its own would`,
    { skip },
    async (t) => {
      const root = scratch(t);
      const ports = await freeMemberPorts();
      const [ours, theirs] = [join(root, 'ours'), join(root, 'theirs')];
      const endpoint = `http://127.0.0.1:${ports.client}`;
      const options = {
        name: NAME,
        peerUrl: peerUrlOf(ports),
        advertiseClientUrls: [endpoint],
        emulate: version,
      };
      const member = await openAt(ours, options);
      await member.release();
      await assertSound(ours);
      cpSync(ours, join(root, 'fresh'), { recursive: true });

      const own = await startEtcd(version, { dataDir: theirs, ports, name: NAME });
      t.after(() => own.kill());
      if (version !== '3.5') await untilStorageVersion(own, `${version}.0`);
      await own.stop();
      assert.deepEqual(
        readDatabaseRows(databaseIn(join(root, 'fresh'))),
        readDatabaseRows(databaseIn(theirs)),
      );
      assert.deepEqual(logShape(join(root, 'fresh')), logShape(theirs));

      const again = await openAt(ours, options);
      assert.equal(again.identity.memberId, member.identity.memberId);
      await putKeys(again, 'k', PUTS);
      await again.release();
      const server = await startEtcd(version, { dataDir: ours, ports, name: NAME });
      t.after(() => server.kill());
      assert.equal((await getAll(server)).kvs.length, PUTS);
      await server.stop();
    },
  );
}

for (const [version, emulate] of [
  ['3.5', '3.6'],
  ['3.6', '3.7'],
] as const) {
  const skip = skipReason(version);
  const name = `a directory of etcd ${version} that we go on with as ${emulate} is started by both`;
  test(name, { skip }, async (t) => {
    const dataDir = join(scratch(t), 'data');
    const start = { dataDir, ports: await freeMemberPorts(), name: NAME };
    const before = await startEtcd(version, start);
    t.after(() => before.kill());
    await ask(before, ['put', 'theirs', 'v']);
    await before.kill();

    const member = await openAt(dataDir, {
      name: NAME,
      advertiseClientUrls: ['http://127.0.0.1:1'],
      emulate,
    });
    assert.equal(member.version, emulate);
    assert.equal(member.clusterVersion, `${version}.0`, 'nothing is raised');
    await putKeys(member, 'ours', PUTS);
    await takeSnapshot(member);
    await putKeys(member, 'more', PUTS);
    await member.release();
    await assertSound(dataDir);
    for (const by of [version, emulate]) {
      const server = await startEtcd(by, start);
      t.after(() => server.kill());
      assert.equal((await getAll(server)).kvs.length, 2 * PUTS + 1);
      await server.stop();
    }
  });
}

/** Lets a process of ours write to the directory until it has acknowledged so much, and kills it. Gives the numbers. */
async function killedWhileWriting(
  dataDir: string,
  { endpoint, prefix, count }: { endpoint: string; prefix: string; count: number },
): Promise<number[]> {
  const script = fileURLToPath(new URL('writing-member.js', import.meta.url));
  const child = spawn(process.execPath, [script, dataDir, NAME, endpoint, prefix], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString();
    if (said.split('\n').length > count) child.kill('SIGKILL');
  });
  await once(child, 'close');
  assert.equal(child.signalCode, 'SIGKILL', 'it ended by itself');
  return said.split('\n').slice(0, -1).map(Number);
}

for (const version of TESTED) {
  const skip = skipReason(version);
  test(`what we had acknowledged when we were killed, etcd ${version} has`, { skip }, async (t) => {
    const dataDir = join(scratch(t), 'data');
    const ports = await freeMemberPorts();
    const start = { dataDir, ports, name: NAME };
    const acknowledged = new Map<string, number[]>();
    for (let round = 0; round < 3; round++) {
      const server = await startEtcd(version, start);
      t.after(() => server.kill());
      const { kvs } = await getAll(server);
      const keys = new Set(kvs.map(({ key }) => key.toString()));
      for (const [prefix, numbers] of acknowledged)
        for (const number of numbers) assert.ok(keys.has(`${prefix}${number}`), `${prefix}${number} is gone`);
      await ask(server, ['put', `etcd${round}`, 'v']);
      await server.kill();
      acknowledged.set('etcd', [...(acknowledged.get('etcd') ?? []), round]);
      const prefix = `ours${round}/`;
      const target = { endpoint: server.endpoint, prefix, count: 500 + 700 * round };
      acknowledged.set(prefix, await killedWhileWriting(dataDir, target));
    }
    const last = await openAt(dataDir, { name: NAME });
    for (const [prefix, numbers] of acknowledged) {
      for (const number of numbers) {
        const key = Buffer.from(`${prefix}${number}`);
        assert.equal(last.applier.keys.range({ key, end: undefined }).length, 1, key.toString());
      }
    }
    await last.release();
    await assertSound(dataDir);
  });
}
