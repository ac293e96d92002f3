// Backups fetched from real servers: the same content as etcdctl's, sound to us, and accepted by etcdutl.
import assert from 'node:assert/strict';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { verify } from '../../src/check/verify.ts';
import { plainContext } from '../../src/ops/context.ts';
import { hashKV } from '../../src/ops/inspect/hashkv.ts';
import { fetchSnapshot } from '../../src/ops/snapshot/fetch.ts';
import { selfSigned } from '../support/authority.ts';
import { differingRows, readDatabaseRows } from '../support/database-rows.ts';
import { scratch } from '../support/scratch.ts';
import { ask, etcdutl, freeMemberPorts, hashKv, runLoad, skipReason, succeeded } from './etcd.ts';
import { serve, startQuick } from './healthy.ts';

/** A server goes on by itself: elections, and the storage version some seconds after its start. */
const GOES_ON = /^meta\/(consistent_index|term|storageVersion)$/;

for (const version of ['3.5', '3.6', '3.7'] as const) {
  test(`etcd ${version} gives us what it gives etcdctl`, { skip: skipReason(version) }, async (t) => {
    const folder = scratch(t);
    const ours = join(folder, 'ours.db');
    const theirs = join(folder, 'theirs.db');
    await serve(version, { dataDir: join(folder, 'data') }, async (server) => {
      await runLoad(server, { kind: 'mixed', seed: 7, operations: 3000 });
      const report = await fetchSnapshot({ endpoint: server.endpoint, output: ours }, plainContext());
      await ask(server, ['snapshot', 'save', theirs]);
      const { header, hash } = await hashKv(server);
      assert.equal(report.revision, header.revision);
      assert.match(report.serverVersion ?? 'none', version === '3.5' ? /^none$/ : /^3\.[67]\.0$|^none$/);
      for (const path of [ours, theirs])
        assert.equal((await hashKV(path, { revision: 0 }, plainContext())).hash, hash, path);
    });
    const differing = differingRows(readDatabaseRows(ours), readDatabaseRows(theirs));
    assert.deepEqual(
      differing.filter((name) => !GOES_ON.test(name)),
      [],
    );
    assert.equal((await verify(ours)).verdict, 'GOOD');
    await succeeded(etcdutl(version, ['snapshot', 'status', ours]));
    assert.deepEqual(readdirSync(folder).sort(), ['data', 'ours.db', 'theirs.db']);
  });

  test(`etcd ${version} with users gives root a backup`, { skip: skipReason(version) }, async (t) => {
    const folder = scratch(t);
    await serve(version, { dataDir: join(folder, 'data'), args: ['--bcrypt-cost=4'] }, async (server) => {
      const { endpoint } = server;
      const output = join(folder, 'backup.db');
      const asked = (name: string, password: string): Promise<unknown> =>
        fetchSnapshot({ endpoint, output, user: { name, password } }, plainContext());
      // While authentication is off, who asks does not matter.
      await asked('nobody', '');
      rmSync(output);
      for (const line of [
        'user add root:of-all',
        'user grant-role root root',
        'user add u:own',
        'auth enable',
      ])
        await ask(server, line.split(' '));
      await assert.rejects(fetchSnapshot({ endpoint, output }, plainContext()), /user name is empty/);
      await assert.rejects(asked('root', 'wrong'), /authentication failed, invalid user ID or password/);
      await assert.rejects(asked('u', 'own'), /permission denied/);
      assert.deepEqual(readdirSync(folder), ['data']);
      await asked('root', 'of-all');
      assert.equal((await verify(output)).verdict, 'GOOD');
    });
  });

  test(
    `etcd ${version} is asked under TLS, with a certificate of ours`,
    { skip: skipReason(version) },
    async (t) => {
      const folder = scratch(t);
      const identity = await selfSigned();
      const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
      writeFileSync(files.cert, identity.cert);
      writeFileSync(files.key, identity.key);
      const ports = await freeMemberPorts();
      const spare = await freeMemberPorts();
      const plain = `http://127.0.0.1:${ports.client}`;
      const secure = `https://127.0.0.1:${spare.client}`;
      const server = await startQuick(version, {
        dataDir: join(folder, 'data'),
        ports,
        args: [
          `--listen-client-urls=${plain},${secure}`,
          `--cert-file=${files.cert}`,
          `--key-file=${files.key}`,
          `--trusted-ca-file=${files.cert}`,
          '--client-cert-auth',
        ],
      });
      try {
        const options = { endpoint: secure, output: join(folder, 'backup.db'), caFile: files.cert };
        await assert.rejects(fetchSnapshot(options, plainContext()), { code: 'rpc.status' });
        await fetchSnapshot({ ...options, certFile: files.cert, keyFile: files.key }, plainContext());
        assert.equal((await verify(options.output)).verdict, 'GOOD');
      } finally {
        await server.kill();
      }
    },
  );
}
