// A member of a cluster that was lost becomes the only one: by us, and by etcd on a copy of the same directory. Both end
// with the same data and members, and etcd starts on what we made.
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { verify } from '../../src/check/verify.ts';
import { formatId } from '../../src/format/ids.ts';
import { differingRows, readDatabaseRows } from '../support/database-rows.ts';
import { openAt, putKeys } from '../support/opened-member.ts';
import { scratch } from '../support/scratch.ts';
import {
  type EtcdServer,
  freeMemberPorts,
  getAll,
  hashKv,
  runLoad,
  skipReason,
  startCluster,
  startEtcd,
} from './etcd.ts';
import { databaseIn, QUICK } from './healthy.ts';

const TESTED = ['3.5', '3.6', '3.7'] as const;
const NAMES = ['a', 'b', 'c'];
/** What goes on by itself in a server that starts. */
const GOES_ON = /^meta\/(consistent_index|term|storageVersion)$/;

/** Waits until the members have told each other their versions. */
async function untilAgreed({ endpoint, version }: EtcdServer): Promise<void> {
  for (let left = 200; left > 0; left--) {
    const answer = (await (await fetch(`${endpoint}/version`)).json()) as { etcdcluster: string };
    if (answer.etcdcluster.startsWith(version)) return;
    await delay(100);
  }
  assert.fail('the members do not agree on a version');
}

for (const version of TESTED) {
  const skip = skipReason(version);
  test(`forced by us and by etcd ${version}, a member ends with the same data`, { skip }, async (t) => {
    const root = scratch(t);
    const members = NAMES.map((name) => ({
      name,
      dataDir: join(root, name),
      args: QUICK,
      snapshotCount: 100,
    }));
    const cluster = await startCluster(version, members);
    for (const server of cluster) t.after(() => server.kill());
    await untilAgreed(cluster[0]!);
    await runLoad(cluster[0]!, { kind: 'mixed', seed: 5, operations: 300, users: false });
    await Promise.all(cluster.map((server) => server.kill()));

    const [dataDir, theirs] = [join(root, 'a'), join(root, 'theirs')];
    cpSync(dataDir, theirs, { recursive: true });
    const ports = await freeMemberPorts();
    const args = QUICK;
    const forced = await startEtcd(version, {
      name: 'a',
      dataDir: theirs,
      ports,
      forceNewCluster: true,
      args,
    });
    t.after(() => forced.kill());
    const { header } = await getAll(forced);
    const { hash } = await hashKv(forced, header.revision);
    await forced.stop();

    const advertiseClientUrls = [forced.endpoint];
    const member = await openAt(dataDir, { name: 'a', advertiseClientUrls, isForcedNew: true });
    assert.equal(member.applier.keys.revision, header.revision);
    await member.release();
    const { verdict, findings } = await verify(dataDir);
    assert.deepEqual(
      findings.filter(({ severity }) => severity !== 'note'),
      [],
      verdict,
    );
    const rows = [readDatabaseRows(databaseIn(dataDir)), readDatabaseRows(databaseIn(theirs))] as const;
    assert.deepEqual(
      differingRows(...rows).filter((name) => !GOES_ON.test(name)),
      [],
    );

    const again = await openAt(dataDir, { name: 'a', advertiseClientUrls });
    await putKeys(again, 'alone/', 100);
    await again.release();
    const server = await startEtcd(version, { name: 'a', dataDir, ports, args });
    t.after(() => server.kill());
    const after = await getAll(server);
    assert.equal(after.header.revision, header.revision + 100);
    assert.equal(after.header.memberId, again.identity.memberId, formatId(again.identity.memberId));
    assert.equal((await hashKv(server, header.revision)).hash, hash);
    await server.stop();
  });
}
