// Leases, members, maintenance, locks and elections: the same requests to real etcd through its gateway, and to our
// services over a core in memory, have the same answers and the same errors.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Pacer } from '../../src/bytes/pacer.ts';
import { openFile } from '../../src/bytes/source.ts';
import type { Member } from '../../src/format/proto/member-json.ts';
import { hashDatabase } from '../../src/store/database-hash.ts';
import { FakeCall } from '../server/fake-call.ts';
import { MemoryCore } from '../server/memory-core.ts';
import { KINDS, MemoryServices } from '../server/memory-services.ts';
import { scratch } from '../support/scratch.ts';
import { BUILT_VERSIONS, type EtcdServer, skipReason, type Version } from './etcd.ts';
import { comparable, encodeJson, type Json, shapeOfError, shapeOfJson, shapeOfMessage } from './gateway.ts';
import { databaseIn, serve, untilStorageVersion } from './healthy.ts';

type Body = { [name: string]: Json };

/** Our method behind each path of the gateway. */
const METHODS: Readonly<Record<string, string>> = {
  '/v3/lease/grant': '/etcdserverpb.Lease/LeaseGrant',
  '/v3/lease/revoke': '/etcdserverpb.Lease/LeaseRevoke',
  '/v3/lease/timetolive': '/etcdserverpb.Lease/LeaseTimeToLive',
  '/v3/lease/leases': '/etcdserverpb.Lease/LeaseLeases',
  '/v3/lease/keepalive': '/etcdserverpb.Lease/LeaseKeepAlive',
  '/v3/cluster/member/list': '/etcdserverpb.Cluster/MemberList',
  '/v3/cluster/member/add': '/etcdserverpb.Cluster/MemberAdd',
  '/v3/cluster/member/remove': '/etcdserverpb.Cluster/MemberRemove',
  '/v3/cluster/member/update': '/etcdserverpb.Cluster/MemberUpdate',
  '/v3/cluster/member/promote': '/etcdserverpb.Cluster/MemberPromote',
  '/v3/maintenance/alarm': '/etcdserverpb.Maintenance/Alarm',
  '/v3/maintenance/status': '/etcdserverpb.Maintenance/Status',
  '/v3/maintenance/hashkv': '/etcdserverpb.Maintenance/HashKV',
  '/v3/maintenance/defragment': '/etcdserverpb.Maintenance/Defragment',
  '/v3/maintenance/transfer-leadership': '/etcdserverpb.Maintenance/MoveLeader',
  '/v3/maintenance/downgrade': '/etcdserverpb.Maintenance/Downgrade',
  '/v3/lock/lock': '/v3lockpb.Lock/Lock',
  '/v3/lock/unlock': '/v3lockpb.Lock/Unlock',
  '/v3/election/campaign': '/v3electionpb.Election/Campaign',
  '/v3/election/proclaim': '/v3electionpb.Election/Proclaim',
  '/v3/election/leader': '/v3electionpb.Election/Leader',
  '/v3/election/resign': '/v3electionpb.Election/Resign',
};

async function theirs(server: EtcdServer, path: string, body: Body): Promise<Body> {
  const response = await fetch(`${server.endpoint}${path}`, { method: 'POST', body: JSON.stringify(body) });
  return (await response.json()) as Body;
}

/** Our services over the same single member. */
function oursOver(member: Member, emulated: Version): MemoryServices {
  const core = new MemoryCore({ members: [member], clusterVersion: `${emulated}.0` });
  const storageVersion = Buffer.from('storageVersion');
  if (emulated === '3.5') core.backend.delete('meta', storageVersion);
  else core.backend.put('meta', storageVersion, Buffer.from(`${emulated}.0`));
  return new MemoryServices({ core, emulated });
}

/** The answer as the gateway would give it. */
async function answerOf({ methods }: MemoryServices, path: string, body: Body): Promise<Json> {
  const method = METHODS[path]!;
  const { request, response } = KINDS[method]!;
  const bytes = encodeJson(request, body);
  const shape = (answer: Uint8Array): Json =>
    shapeOfMessage(response, response.decode(answer) as Record<string, unknown>);
  try {
    const unary = methods.unary?.[method];
    const call = new FakeCall(method);
    if (unary) return shape(await unary(bytes, call));
    call.push(bytes);
    call.push(undefined);
    await methods.stream![method]!(call);
    return { result: shape(call.sent[0]!) };
  } catch (error) {
    return shapeOfError(error);
  }
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** Requests whose answers do not depend on how fast they come. */
function steps(self: string): Array<[path: string, body: Body]> {
  const job = { name: base64('job') };
  const boss = { name: base64('boss') };
  const leader = { ...boss, key: base64('boss/5'), rev: '3', lease: '5' };
  const nospace = { alarm: 'NOSPACE', memberID: '5' };
  const corrupt = { alarm: 'CORRUPT', memberID: '6' };
  return [
    ['/v3/lease/grant', { ID: '5', TTL: '1000' }],
    ['/v3/lease/grant', { ID: '5', TTL: '1000' }],
    ['/v3/lease/grant', { ID: '6', TTL: '9000000001' }],
    ['/v3/lease/grant', { ID: '9', TTL: '500' }],
    ['/v3/lease/leases', {}],
    ['/v3/lease/timetolive', { ID: '99' }],
    ['/v3/lease/timetolive', { ID: '99', keys: true }],
    ['/v3/lease/keepalive', { ID: '5' }],
    ['/v3/lease/keepalive', { ID: '99' }],
    ['/v3/lease/revoke', { ID: '99' }],
    ['/v3/lock/lock', { ...job, lease: '999' }],
    ['/v3/lock/lock', { ...job, lease: '5' }],
    ['/v3/lock/lock', { ...job, lease: '5' }],
    ['/v3/lock/unlock', { key: base64('nothing') }],
    ['/v3/election/leader', boss],
    ['/v3/election/resign', {}],
    ['/v3/election/proclaim', { value: base64('v') }],
    ['/v3/election/campaign', { ...boss, value: base64('v'), lease: '77' }],
    ['/v3/election/campaign', { ...boss, value: base64('v'), lease: '5' }],
    ['/v3/election/campaign', { ...boss, value: base64('w'), lease: '5' }],
    ['/v3/election/leader', boss],
    ['/v3/election/proclaim', { leader: { ...leader, rev: '9' }, value: base64('x') }],
    ['/v3/election/proclaim', { leader, value: base64('x') }],
    ['/v3/election/leader', boss],
    ['/v3/election/resign', { leader }],
    ['/v3/election/resign', { leader }],
    ['/v3/election/leader', boss],
    ['/v3/maintenance/hashkv', {}],
    ['/v3/maintenance/hashkv', { revision: '3' }],
    ['/v3/maintenance/hashkv', { revision: '999' }],
    ['/v3/lease/revoke', { ID: '5' }],
    ['/v3/lease/leases', {}],
    ['/v3/maintenance/hashkv', {}],
    ['/v3/cluster/member/list', {}],
    ['/v3/cluster/member/remove', { ID: '99' }],
    ['/v3/cluster/member/remove', { ID: self }],
    ['/v3/cluster/member/promote', { ID: '99' }],
    ['/v3/cluster/member/promote', { ID: self }],
    ['/v3/cluster/member/add', { peerURLs: ['x'] }],
    ['/v3/cluster/member/update', { ID: '99', peerURLs: ['http://a:1'] }],
    ['/v3/cluster/member/update', { ID: self, peerURLs: ['http://127.0.0.1:1', 'http://127.0.0.1:2'] }],
    ['/v3/cluster/member/list', {}],
    ['/v3/maintenance/transfer-leadership', { targetID: self }],
    ['/v3/maintenance/transfer-leadership', { targetID: '9' }],
    ['/v3/maintenance/defragment', {}],
    ['/v3/maintenance/alarm', { action: 'ACTIVATE', ...corrupt }],
    ['/v3/maintenance/alarm', { action: 'ACTIVATE', ...corrupt }],
    ['/v3/maintenance/alarm', { action: 'GET', alarm: 'NOSPACE' }],
    ['/v3/maintenance/alarm', { action: 'GET', alarm: 'CORRUPT' }],
    ['/v3/maintenance/status', {}],
    ['/v3/lease/grant', { ID: '7', TTL: '60' }],
    ['/v3/lease/revoke', { ID: '9' }],
    ['/v3/lock/lock', { ...job, lease: '9' }],
    ['/v3/maintenance/alarm', { action: 'DEACTIVATE', ...corrupt }],
    ['/v3/maintenance/alarm', { action: 'ACTIVATE', ...nospace }],
    ['/v3/maintenance/alarm', { action: 'GET' }],
    ['/v3/maintenance/status', {}],
    ['/v3/lease/grant', { ID: '7', TTL: '60' }],
    ['/v3/maintenance/alarm', { action: 'DEACTIVATE', ...nospace }],
    ['/v3/maintenance/alarm', { action: 'DEACTIVATE', ...nospace }],
    ['/v3/maintenance/downgrade', { action: 'CANCEL' }],
    ['/v3/maintenance/downgrade', { action: 'VALIDATE', version: 'x' }],
    ['/v3/maintenance/downgrade', { action: 'VALIDATE', version: '3.1' }],
    ['/v3/maintenance/status', {}],
  ];
}

/** 3.5 does not answer these, though it does what they ask. */
async function compareDowngrade(
  server: EtcdServer,
  ours: MemoryServices,
  older: '3.5' | '3.6',
): Promise<void> {
  const path = '/v3/maintenance/downgrade';
  const status: [path: string, body: Body] = ['/v3/maintenance/status', {}];
  await compare(server, ours, [
    [path, { action: 'VALIDATE', version: older }],
    [path, { action: 'ENABLE', version: older }],
  ]);
  await untilStorageVersion(server, `${older}.0`);
  await compare(server, ours, [
    status,
    [path, { action: 'VALIDATE', version: older }],
    [path, { action: 'VALIDATE', version: older === '3.6' ? '3.5' : '3.4' }],
    [path, { action: 'CANCEL' }],
  ]);
  await untilStorageVersion(server, `${server.version}.0`);
  await compare(server, ours, [status, [path, { action: 'VALIDATE', version: older }]]);
}

/** Blanks in protobuf's texts vary with each build since 3.7. */
function oneBlank(json: Json): Json {
  return JSON.parse(JSON.stringify(json).replaceAll('  ', ' ')) as Json;
}

async function compare(
  server: EtcdServer,
  ours: MemoryServices,
  all: ReturnType<typeof steps>,
): Promise<void> {
  for (const [path, body] of all) {
    const { error: _error, details: _details, ...answer } = await theirs(server, path, body);
    const [expected, found] = [shapeOfJson(answer), await answerOf(ours, path, body)].map((shape) =>
      oneBlank(comparable(shape as Json)),
    );
    assert.deepEqual(found, expected, `${path} ${JSON.stringify(body)}`);
  }
}

for (const version of BUILT_VERSIONS) {
  test(`services answer as those of etcd ${version}`, { skip: skipReason(version) }, async (t) => {
    const args = ['--heartbeat-interval=100', '--election-timeout=1000'];
    await serve(version, { dataDir: join(scratch(t), 'data'), args }, async (server) => {
      if (version !== '3.5') await untilStorageVersion(server, `${version}.0`);
      const { members } = await theirs(server, '/v3/cluster/member/list', {});
      const [first] = members as Array<{
        ID: string;
        name: string;
        peerURLs: string[];
        clientURLs: string[];
      }>;
      const { ID, name, peerURLs: peerUrls, clientURLs: clientUrls } = first!;
      const member = { id: BigInt(ID), name, peerUrls, clientUrls, isLearner: false };
      const ours = oursOver(member, version);
      await compare(server, ours, steps(ID));
      if (version !== '3.5') await compareDowngrade(server, ours, version === '3.6' ? '3.5' : '3.6');
    });
  });

  test(`the content's hash is that of etcd ${version}`, { skip: skipReason(version) }, async (t) => {
    const dataDir = join(scratch(t), 'data');
    const hash = await serve(version, { dataDir }, async (server) => {
      if (version !== '3.5') await untilStorageVersion(server, `${version}.0`);
      for (let i = 0; i < 200; i++) {
        const body = { key: base64(`key-${i}`), value: base64(`${i}`.repeat(i)) };
        await theirs(server, '/v3/kv/put', body);
      }
      await theirs(server, '/v3/lease/grant', { ID: '5', TTL: '1000' });
      return (await theirs(server, '/v3/maintenance/hash', {}))['hash'];
    });
    const source = openFile(databaseIn(dataDir));
    try {
      assert.equal(await hashDatabase(source, new Pacer()), hash);
    } finally {
      source.close();
    }
  });
}
