// Data of the v2 API in a member of 3.5: `check v2store` says what etcdutl 3.5 says, `migrate` refuses, the real
// 3.6 refuses too, and starts once the data is left behind on request. Also members that the database has wrong.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { realDisk } from '../../src/bytes/disk.ts';
import { editBolt } from '../../src/format/bolt/tx.ts';
import { plainContext } from '../../src/ops/context.ts';
import { migrate, type MigrateOptions, type MigrateReport } from '../../src/ops/upkeep/migrate.ts';
import { parseTarget } from '../../src/ops/upkeep/migrate-plan.ts';
import { checkV2Store, type V2StoreReport } from '../../src/ops/upkeep/v2store.ts';
import {
  ask,
  etcdutl,
  freeMemberPorts,
  hashKv,
  OracleError,
  type Ports,
  runLoad,
  skipReason,
  startEtcd,
  succeeded,
} from './etcd.ts';

const skip = skipReason('3.5') || skipReason('3.6') || skipReason('3.7');
const BLOCKED = { code: 'migrate.blocked' };

function scratch(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'etcdkit-v2store-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function run(dataDir: string, to: string, over: Partial<MigrateOptions> = {}): Promise<MigrateReport> {
  return migrate({ dataDir, target: parseTarget(to), timeoutMs: 1000, ...over }, plainContext());
}

/** The sentence that both programs end with. */
function sentenceOf({ storePaths, requestCount }: V2StoreReport): string {
  if (storePaths.length > 0 && requestCount > 0)
    return 'detected custom v2 content in both v2store and WAL records';
  if (storePaths.length > 0) return 'detected custom content in v2store';
  return requestCount > 0
    ? 'detected custom v2 content in WAL records'
    : 'No custom content found in both v2store and WAL records.';
}

async function assertSameVerdict(dataDir: string, expected: string): Promise<void> {
  const { stdout, stderr } = await etcdutl('3.5', ['check', 'v2store', `--data-dir=${dataDir}`]);
  assert.ok(`${stdout}${stderr}`.includes(expected), `${stdout}${stderr}`);
  assert.equal(sentenceOf(await checkV2Store({ dataDir }, plainContext())), expected);
}

/** A stopped member of 3.5; `puts` says whether each v2 key comes before or after the last .snap. */
async function makeMember(
  dataDir: string,
  ports: Ports,
  puts: readonly ('early' | 'late')[],
): Promise<number> {
  const server = await startEtcd('3.5', { dataDir, ports, snapshotCount: 60, args: ['--enable-v2'] });
  const put = async (name: string): Promise<void> => {
    const answer = await fetch(`${server.endpoint}/v2/keys/${name}`, {
      method: 'PUT',
      body: new URLSearchParams({ value: 'x' }),
    });
    assert.equal(answer.status, 201);
  };
  if (puts.includes('early')) await put('early');
  await runLoad(server, { kind: 'mixed', operations: 100, seed: 3 });
  if (puts.includes('late')) await put('late');
  const { hash } = await hashKv(server);
  await server.stop();
  return hash;
}

async function assertDies(dataDir: string, version: '3.6' | '3.7', ports: Ports): Promise<void> {
  await assert.rejects(async () => {
    const server = await startEtcd(version, { dataDir, ports, timeoutMs: 15_000 });
    await server.kill();
  }, OracleError);
}

async function assertBoots(
  t: TestContext,
  dataDir: string,
  version: '3.6' | '3.7',
  ports: Ports,
  hash: number,
): Promise<void> {
  const server = await startEtcd(version, { dataDir, ports });
  t.after(() => server.kill());
  assert.equal((await hashKv(server)).hash, hash);
  assert.equal((await ask(server, ['member', 'list'])).stdout.trim().split('\n').length, 1);
  await ask(server, ['put', 'after', 'x']);
  await server.stop();
}

const VERDICTS = [
  { puts: [], verdict: 'No custom content found in both v2store and WAL records.' },
  { puts: ['early'], verdict: 'detected custom content in v2store' },
  { puts: ['late'], verdict: 'detected custom v2 content in WAL records' },
  { puts: ['early', 'late'], verdict: 'detected custom v2 content in both v2store and WAL records' },
] as const;

for (const { puts, verdict } of VERDICTS) {
  test(`v2 keys written ${puts.join(' and ') || 'never'}: ${verdict}`, { skip }, async (t) => {
    const dataDir = join(scratch(t), 'data');
    const ports = await freeMemberPorts();
    const hash = await makeMember(dataDir, ports, puts);
    await assertSameVerdict(dataDir, verdict);
    if (puts.length === 0) await run(dataDir, '3.6');
    else {
      await assert.rejects(run(dataDir, '3.6'), BLOCKED);
      await assert.rejects(run(dataDir, '3.6', { fixClusterVersion: true }), BLOCKED);
      const plain = `${dataDir}-plain`;
      cpSync(dataDir, plain, { recursive: true });
      await succeeded(etcdutl('3.6', ['migrate', `--data-dir=${plain}`, '--target-version=3.6']));
      await assertDies(plain, '3.6', ports);
      await run(dataDir, '3.6', { fixClusterVersion: true, force: true });
    }
    await assertBoots(t, dataDir, '3.6', ports, hash);
  });
}

test('a member in the database that the cluster does not have', { skip }, async (t) => {
  const dataDir = join(scratch(t), 'data');
  const ports = await freeMemberPorts();
  const hash = await makeMember(dataDir, ports, []);
  await editBolt(realDisk(), join(dataDir, 'member', 'snap', 'db'), (tx) => {
    tx.ensureBucket(Buffer.from('members')).put(
      Buffer.from('ff'),
      Buffer.from('{"id":255,"peerURLs":["http://127.0.0.1:9"]}'),
    );
  });
  await assert.rejects(run(dataDir, '3.7'), BLOCKED);
  const plain = `${dataDir}-plain`;
  cpSync(dataDir, plain, { recursive: true });
  await succeeded(etcdutl('3.7', ['migrate', `--data-dir=${plain}`, '--target-version=3.7']));
  await assertDies(plain, '3.7', ports);
  await run(dataDir, '3.7', { fixClusterVersion: true });
  await assertBoots(t, dataDir, '3.7', ports, hash);
});
