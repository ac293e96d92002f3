// One data directory handed back and forth between real etcd and the server under test: written by each, killed
// or stopped in turn, sound by verify at each stop, and nothing lost.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { verify } from '../../src/check/verify.ts';
import { scratch } from '../support/scratch.ts';
import {
  BUILT_VERSIONS,
  ask,
  compactPhysically,
  freeMemberPorts,
  getAll,
  hashKv,
  parseEtcdJson,
  runLoad,
  skipReason,
  startEtcd,
} from './etcd.ts';
import type { EtcdServer, Ports, Version } from './etcd.ts';
import { endAfter, isSoak, startSubject, subjectProgram } from './subject.ts';

const TURNS = isSoak ? 12 : 5;
const LEASE_TTL_S = 3600;

/** What must still be there when the next server has opened the directory. */
interface Expectation {
  revision: number;
  hash: number;
  compactRevision: number;
  keys: string;
  leases: readonly string[];
}

/** Every key as a text that two servers can be compared by. */
async function keysOf(server: EtcdServer, revision: number): Promise<string> {
  const { kvs } = await getAll(server, revision);
  return kvs
    .map(({ key, value, createRevision, modRevision, version, lease }) =>
      [key.toString('hex'), value.toString('hex'), createRevision, modRevision, version, lease].join(' '),
    )
    .join('\n');
}

async function leasesOf(server: EtcdServer): Promise<string[]> {
  const { stdout } = await ask(server, ['lease', 'list', '--write-out=json']);
  const { leases = [] } = parseEtcdJson(stdout) as { leases?: { id: string | number }[] };
  return leases.map(({ id }) => String(id)).toSorted();
}

async function expectationOf(server: EtcdServer): Promise<Expectation> {
  const { header, hash, compactRevision } = await hashKv(server);
  const { revision } = header;
  return {
    revision,
    hash,
    compactRevision,
    keys: await keysOf(server, revision),
    leases: await leasesOf(server),
  };
}

/** Nothing may be missing; what was written after the expectation was noted may or may not be there. */
async function assertHolds(server: EtcdServer, expected: Expectation): Promise<void> {
  const { header, hash, compactRevision } = await hashKv(server, expected.revision);
  assert.ok(header.revision >= expected.revision, `${server.label} is back at revision ${header.revision}`);
  assert.equal(compactRevision, expected.compactRevision, `compacted on ${server.label}`);
  assert.equal(hash, expected.hash, `hash on ${server.label}`);
  assert.equal(await keysOf(server, expected.revision), expected.keys, `keys on ${server.label}`);
  const leases = await leasesOf(server);
  assert.deepEqual(
    expected.leases.filter((id) => !leases.includes(id)),
    [],
    `leases on ${server.label}`,
  );
}

/** A turn's writes: a little of everything, a lease with a key, and every other time a compaction. */
async function write(server: EtcdServer, turn: number, keyPrefix: string): Promise<void> {
  await runLoad(server, {
    kind: 'mixed',
    seed: turn + 1,
    operations: 150,
    prefix: `${keyPrefix}/${turn}/`,
    users: false,
    compact: false,
  });
  const granted = await ask(server, ['lease', 'grant', String(LEASE_TTL_S), '--write-out=json']);
  const { ID: id } = parseEtcdJson(granted.stdout) as { ID: string | number };
  await ask(server, ['put', `leased/${turn}`, 'v', `--lease=${BigInt(id).toString(16)}`]);
  const { header } = await hashKv(server);
  if (turn % 2 === 1) await compactPhysically(server, header.revision - 40);
}

/** Kills the server in the midst of writes, whose own program then gives up. */
async function killUnderLoad(server: EtcdServer, turn: number): Promise<void> {
  const args = { kind: 'bench', seed: turn, revisions: 200_000, keys: 500, valueMax: 400 } as const;
  const load = runLoad(server, args, 3000).then(
    () => undefined,
    (error: unknown) => error,
  );
  await delay(250);
  await server.kill();
  assert.ok((await load) instanceof Error, 'the load was through before the kill');
}

async function assertSound(dataDir: string, server: EtcdServer): Promise<void> {
  const { verdict, findings } = await verify(dataDir);
  const bad = findings
    .filter(({ severity }) => severity !== 'note')
    .map(({ code, message }) => `${code}: ${message}`);
  assert.deepEqual(bad, [], `after ${server.label}`);
  assert.ok(verdict.startsWith('GOOD'), `after ${server.label}: ${verdict}`);
}

/** Whose turn it is: a version of real etcd, or the server under test. */
type Holder = Version | 'subject';

async function passAround(t: TestContext, dataDir: string, holders: readonly Holder[]): Promise<void> {
  const ports: Ports = await freeMemberPorts();
  let server: EtcdServer | undefined;
  endAfter(t, () => server);
  let expected: Expectation | undefined;
  let line: Version | undefined;
  for (const [turn, holder] of holders.entries()) {
    const options = { dataDir, ports, snapshotCount: 120 };
    if (holder !== 'subject') line = holder;
    server = await (holder === 'subject' ? startSubject(options, line) : startEtcd(holder, options));
    if (expected !== undefined) await assertHolds(server, expected);
    await write(server, turn, holder);
    // A real server raises the cluster's version some seconds after its start; the next one needs that.
    if (holder !== 'subject' && holder !== holders.find((each) => each !== 'subject'))
      await untilRaised(server);
    expected = await expectationOf(server);
    if (turn % 3 === 2) await server.stop();
    else await killUnderLoad(server, turn);
    await assertSound(dataDir, server);
  }
  t.diagnostic(`${holders.length} turns, the last expectation at revision ${expected?.revision}`);
}

async function untilRaised(server: EtcdServer): Promise<void> {
  const deadline = Date.now() + 20_000;
  const answer = async (): Promise<string> => (await fetch(`${server.endpoint}/version`)).text();
  while (!(await answer()).includes(`"etcdcluster":"${server.version}.0"`)) {
    assert.ok(Date.now() < deadline, `${server.label} did not raise the cluster's version`);
    await delay(200);
  }
}

for (const version of BUILT_VERSIONS) {
  const skip = skipReason(version) || skipReason('3.6');
  test(`etcd ${version} and we hand a directory back and forth`, { skip, timeout: 300_000 }, async (t) => {
    const holders = Array.from({ length: TURNS }, (_, turn): Holder =>
      turn % 2 === 0 ? version : 'subject',
    );
    await passAround(t, join(scratch(t), 'data'), holders);
  });
}

test('etcd takes over a directory that we made', { skip: skipReason('3.6'), timeout: 300_000 }, async (t) => {
  const version = subjectProgram().version;
  await passAround(t, join(scratch(t), 'data'), ['subject', version, 'subject', version]);
});

test(
  'a directory goes from 3.5 to 3.7 with us in between',
  {
    skip: BUILT_VERSIONS.map((version) => skipReason(version)).find((reason) => reason !== false) ?? false,
    timeout: 300_000,
  },
  async (t) => {
    await passAround(t, join(scratch(t), 'data'), [
      '3.5',
      'subject',
      '3.6',
      'subject',
      '3.7',
      'subject',
      '3.7',
    ]);
  },
);
