/** Backups from servers that send what they like. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { verify } from '../../../src/check/verify.ts';
import { plainContext } from '../../../src/ops/context.ts';
import { type FetchOptions, fetchSnapshot } from '../../../src/ops/snapshot/fetch.ts';
import type { RpcServer } from '../../../src/rpc/http2-server.ts';
import type { Stream } from '../../../src/rpc/seam.ts';
import { RpcError, STATUS } from '../../../src/rpc/status.ts';
import { selfSigned } from '../../support/authority.ts';
import { fixture } from '../../support/fixtures.ts';
import { scratch } from '../../support/scratch.ts';
import { BLOB_SIZE, sendBackup, startSnapshotServer } from '../../support/snapshot-server.ts';

const BACKUP = readFileSync(fixture('snap/snap-3.6.db'));
const DATABASE = BACKUP.subarray(0, -32);
const DIGEST = BACKUP.subarray(-32);
type Snapshot = (stream: Stream) => Promise<void>;

const send = (stream: Stream, database: Uint8Array, digest?: Uint8Array, endsAt?: number): Promise<void> =>
  sendBackup(stream, { database, ...(digest ? { digest } : {}), ...(endsAt ? { endsAt } : {}) });

interface Given {
  server: RpcServer;
  folder: string;
  options: FetchOptions;
}

async function given(t: TestContext, snapshot: Snapshot): Promise<Given> {
  const { server, endpoint } = await startSnapshotServer(snapshot);
  t.after(() => server.close({ graceMs: 0 }));
  const folder = scratch(t);
  return { server, folder, options: { endpoint, output: join(folder, 'backup.db') } };
}

/** Fails with this code, and leaves nothing. */
async function assertRefused(
  { folder, options }: Pick<Given, 'folder' | 'options'>,
  expected: { code: string; message?: RegExp },
  context = plainContext(),
): Promise<void> {
  await assert.rejects(fetchSnapshot(options, context), expected);
  assert.deepEqual(readdirSync(folder), []);
}

test('what a server sends becomes a backup, byte for byte, that verifies', async (t) => {
  const { folder, options } = await given(t, (stream) => send(stream, DATABASE, DIGEST));
  const labels: string[] = [];
  const progress = (label: string) => {
    labels.push(label);
    return () => {};
  };
  const report = await fetchSnapshot(options, plainContext({ progress }));
  assert.deepEqual(readFileSync(options.output), BACKUP);
  assert.deepEqual(readdirSync(folder), ['backup.db']);
  assert.deepEqual(labels, ['fetching', 'verifying the backup']);
  assert.equal(statSync(options.output).mode & 0o777, 0o600);
  const { verdict, facts } = await verify(options.output);
  assert.equal(verdict, 'GOOD');
  assert.deepEqual(
    [report.serverVersion, report.revision, report.keyCount, report.sizeBytes],
    ['3.6.0', facts['revision'], facts['keys'], BACKUP.length],
  );
  assert.deepEqual(Buffer.from(report.sha256), DIGEST);
});

test('a stream that ends short is refused', async (t) => {
  const part = await given(t, (stream) => send(stream, DATABASE, DIGEST, BLOB_SIZE));
  await assertRefused(part, {
    code: 'backup.short',
    message: /ended the backup after 8192 bytes, \d+ before/,
  });
  const none = await given(t, async () => {});
  await assertRefused(none, { code: 'backup.short', message: /after 0 bytes$/ });
});

test('a digest that is wrong, or missing, is refused', async (t) => {
  const wrong = await given(t, (stream) => send(stream, DATABASE, Buffer.alloc(32, 1)));
  await assertRefused(wrong, { code: 'backup.digest', message: /sent SHA-256 0101.* hashes to/ });
  const missing = await given(t, (stream) => send(stream, DATABASE));
  await assertRefused(missing, { code: 'backup.digest-missing' });
});

test('a database that the server has damaged is refused, though its digest is right', async (t) => {
  const damaged = Buffer.from(DATABASE);
  damaged.fill(0xff, 4096 * 2 + 8, 4096 * 2 + 12);
  const digest = createHash('sha256').update(damaged).digest();
  const server = await given(t, (stream) => send(stream, damaged, digest));
  await assert.rejects(
    fetchSnapshot(server.options, plainContext()),
    /^CorruptError: the backup would be DAMAGED/,
  );
  assert.deepEqual(readdirSync(server.folder), []);
});

test('the status of a server that fails, at once or on the way, is told with its endpoint', async (t) => {
  const fail: Snapshot = async () => {
    throw new RpcError(STATUS.permissionDenied, 'etcdserver: permission denied');
  };
  const server = await given(t, fail);
  const message = /^http:\/\/127\.0\.0\.1:\d+: etcdserver: permission denied$/;
  await assertRefused(server, { code: 'rpc.status', message });
  const late = await given(t, async (stream) => {
    await send(stream, DATABASE, DIGEST, BLOB_SIZE);
    return await fail(stream);
  });
  await assertRefused(late, { code: 'rpc.status', message });
});

test('a server that goes away on the way is told, and leaves nothing', async (t) => {
  const server = await given(t, async (stream) => {
    await send(stream, DATABASE, DIGEST, BLOB_SIZE);
    await new Promise(() => {});
  });
  setTimeout(() => void server.server.close({ graceMs: 0 }), 100);
  await assertRefused(server, { code: 'rpc.status', message: /127\.0\.0\.1/ });
});

test('a slow server is waited for, and Ctrl-C ends the waiting', async (t) => {
  const slow = await given(t, async (stream) => {
    await new Promise((resolve) => {
      setTimeout(resolve, 300);
    });
    await send(stream, DATABASE, DIGEST);
  });
  await fetchSnapshot(slow.options, plainContext());
  const stuck = await given(t, () => new Promise(() => {}));
  const interrupt = new AbortController();
  setTimeout(() => interrupt.abort(), 50);
  await assertRefused(stuck, { code: 'interrupted' }, plainContext({ signal: interrupt.signal }));
});

test('what is there already stays', async (t) => {
  const { options } = await given(t, (stream) => send(stream, DATABASE, DIGEST));
  writeFileSync(options.output, 'precious');
  await assert.rejects(fetchSnapshot(options, plainContext()), { code: 'restore.target-exists' });
  assert.equal(readFileSync(options.output, 'utf8'), 'precious');
});

test('under TLS the certificate of the server counts, unless it is to be ignored', async (t) => {
  const { server, folder, options } = await given(t, (stream) => send(stream, DATABASE, DIGEST));
  const identity = await selfSigned();
  const secure = createTlsServer({ ...identity, ALPNProtocols: ['h2'] }, (socket) => server.accept(socket));
  t.after(() => secure.close());
  await new Promise<void>((resolve) => {
    secure.listen(0, '127.0.0.1', resolve);
  });
  const { port } = secure.address() as { port: number };
  const endpoint = `https://127.0.0.1:${port}`;
  const authority = join(scratch(t), 'ca.pem');
  writeFileSync(authority, identity.cert);

  await assertRefused(
    { folder, options: { ...options, endpoint } },
    { code: 'rpc.status', message: /cannot connect to https:.*certificate/ },
  );
  await fetchSnapshot({ ...options, endpoint, caFile: authority }, plainContext());
  const bare = {
    ...options,
    output: join(folder, 'other.db'),
    endpoint: `127.0.0.1:${port}`,
    skipsVerify: true,
  };
  await fetchSnapshot(bare, plainContext());
  assert.deepEqual(readFileSync(bare.output), BACKUP);
  await assert.rejects(
    fetchSnapshot({ ...options, output: `${options.output}.2`, caFile: 'no-such.pem' }, plainContext()),
    { code: 'io.not-found', message: 'open no-such.pem: no such file or directory' },
  );
});
