/** Certificates as files, beside real etcd 3.6: renewed under way, made by the server itself, and of no use. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { scratch } from '../support/scratch.ts';
import { type EtcdServer, freePorts } from './server.ts';
import { isOurs, startBoth, startSubject, subjectProgram, subjectSkip } from './subject.ts';
import { knock, renewed, type TlsFiles, writeFiles } from './tls-clients.ts';
import { etcdctl, runTool, succeeded, toolEnvironment } from './tools.ts';

const skip = subjectSkip;

/** The common name that a server shows. */
async function shownBy({ endpoint }: EtcdServer): Promise<string> {
  const socket = connect({
    port: Number(new URL(endpoint).port),
    host: '127.0.0.1',
    rejectUnauthorized: false,
  });
  await once(socket, 'secureConnect');
  const { CN } = socket.getPeerCertificate().subject;
  socket.destroy();
  return String(CN);
}

test('a renewed certificate is shown to new clients, and an open watch goes on', { skip }, async (t) => {
  const folder = scratch(t);
  const files = await writeFiles(folder);
  const args = [`--cert-file=${files.cert}`, `--key-file=${files.key}`];
  const { real, subject } = await startBoth(t, folder, { secure: {}, args });
  const secure = [`--cacert=${files.ca}`];
  const watching = [real, subject].map(({ endpoint }) => {
    const lines: string[] = [];
    const interrupt = new AbortController();
    const ended = etcdctl('3.6', [...secure, 'watch', 'key'], {
      endpoint,
      interrupt: interrupt.signal,
      onLine: (line) => lines.push(line),
    });
    return { lines, interrupt, ended };
  });
  const put = (value: string): Promise<unknown> =>
    Promise.all(
      [real, subject].map(({ endpoint }) =>
        succeeded(etcdctl('3.6', [...secure, 'put', 'key', value], { endpoint })),
      ),
    );
  const untilSeen = async (value: string): Promise<void> => {
    const deadline = Date.now() + 10_000;
    while (!watching.every(({ lines }) => lines.includes(value))) {
      assert.ok(Date.now() < deadline, `both watches see ${value}`);
      await put(value);
      await new Promise((resolve) => {
        setTimeout(resolve, 200);
      });
    }
  };
  await untilSeen('before');
  const fresh = await renewed();
  writeFileSync(files.cert, fresh.cert);
  // Differs from etcd, which fails handshakes while the pair does not fit.
  if (isOurs) assert.equal(await shownBy(subject), 'server');
  await assert.rejects(shownBy(real));
  writeFileSync(files.key, fresh.key);
  assert.deepEqual([await shownBy(real), await shownBy(subject)], ['renewed', 'renewed']);
  await untilSeen('after');
  if (isOurs) assert.match(subject.log(), /failed to reload server certificate/);
  for (const { interrupt } of watching) interrupt.abort();
  await Promise.all(watching.map(({ ended }) => ended));
});

/** What can be said of a certificate that is made anew each time. */
function described(dataDir: string): Record<string, unknown> {
  const folder = join(dataDir, 'fixtures', 'client');
  const certificate = new X509Certificate(readFileSync(join(folder, 'cert.pem')));
  const { subject, issuer, subjectAltName, keyUsage, ca, publicKey } = certificate;
  const days = (Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)) / (24 * 3600 * 1000);
  const modes = ['', 'cert.pem', 'key.pem'].map((name) => statSync(join(folder, name)).mode & 0o777);
  const keyType = readFileSync(join(folder, 'key.pem'), 'utf8').split('\n')[0];
  const curve = publicKey.asymmetricKeyDetails?.namedCurve;
  const usages = certificate.toString().length > 0 && usageBytes(certificate.raw);
  return { subject, issuer, subjectAltName, keyUsage, ca, days, modes, keyType, curve, usages };
}

/** The extension that says what a key may do, as it stands in the certificate. */
function usageBytes(der: Buffer): string {
  const at = der.indexOf(Buffer.from([0x06, 0x03, 0x55, 0x1d, 0x0f]));
  return der.subarray(at, at + 14).toString('hex');
}

test(
  'a certificate of its own: the same files, made once, for the same hosts and time',
  { skip },
  async (t) => {
    const folder = scratch(t);
    const { real, subject } = await startBoth(t, folder, {
      secure: {},
      args: ['--auto-tls', '--self-signed-cert-validity=2'],
    });
    assert.deepEqual(described(subject.dataDir), described(real.dataDir));
    for (const { endpoint } of [real, subject]) {
      const insecure = ['--insecure-skip-tls-verify', '--insecure-transport=false', 'put', 'a', 'b'];
      await succeeded(etcdctl('3.6', insecure, { endpoint }));
      assert.equal(await knock({ port: Number(new URL(endpoint).port) }, 'none'), 'answered');
    }
    // A directory that etcd has left behind, with its certificate in it.
    const made = readFileSync(join(real.dataDir, 'fixtures', 'client', 'cert.pem'), 'utf8');
    await real.stop();
    const [client] = await freePorts(1);
    const port = Number(new URL(real.peerUrl).port);
    const ours = await startSubject({
      dataDir: real.dataDir,
      ports: { client: client!, peer: port },
      secure: {},
      args: ['--auto-tls'],
    });
    t.after(() => ours.kill());
    assert.equal(readFileSync(join(real.dataDir, 'fixtures', 'client', 'cert.pem'), 'utf8'), made);
  },
);

const pair = (cert: string, key: string): string[] => [`--cert-file=${cert}`, `--key-file=${key}`];

/** The last error in etcd's log. */
function errorIn(log: string): string | undefined {
  const found = [...log.matchAll(/"error":("(?:[^"\\]|\\.)*")/g)].at(-1)?.[1];
  return found === undefined ? undefined : (JSON.parse(found) as string);
}

/** Settings that no server starts with, and what it says. */
const REFUSED: Record<string, (files: TlsFiles, folder: string) => string[]> = {
  'no key': ({ cert }) => [`--cert-file=${cert}`],
  'no certificate': () => [],
  'a certificate that is not there': ({ key }, folder) => [
    `--cert-file=${join(folder, 'none')}`,
    `--key-file=${key}`,
  ],
  'a key that is not there': ({ cert }, folder) => [
    `--cert-file=${cert}`,
    `--key-file=${join(folder, 'none')}`,
  ],
  'the two exchanged': ({ cert, key }) => [`--cert-file=${key}`, `--key-file=${cert}`],
  'a certificate for a key': ({ cert }) => [`--cert-file=${cert}`, `--key-file=${cert}`],
  'the key of another': ({ cert, client }) => [
    `--cert-file=${cert}`,
    `--key-file=${client('good')!.keyFile}`,
  ],
  'a key of another kind': ({ cert, rsaKey }) => [`--cert-file=${cert}`, `--key-file=${rsaKey}`],
  'no PEM': ({ crl, key }) => [`--cert-file=${crl}`, `--key-file=${key}`],
  'authorities that are not there': ({ cert, key }, folder) => [
    ...pair(cert, key),
    `--trusted-ca-file=${join(folder, 'none')}`,
  ],
  'a suite that nobody knows': ({ cert, key }) => [...pair(cert, key), '--cipher-suites=AES128-SHA'],
  'suites without one that HTTP/2 needs': ({ cert, key }) => [
    ...pair(cert, key),
    '--cipher-suites=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
  ],
  'TLS 1.3 alone, with suites': ({ cert, key }) => [
    ...pair(cert, key),
    '--tls-min-version=TLS1.3',
    '--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
  ],
  'a version of TLS that is not taken': ({ cert, key }) => [...pair(cert, key), '--tls-min-version=TLS1.1'],
  'versions the wrong way round': ({ cert, key }) => [
    ...pair(cert, key),
    '--tls-min-version=TLS1.3',
    '--tls-max-version=TLS1.2',
  ],
  'a certificate for itself without its key': ({ cert, key }) => [
    ...pair(cert, key),
    `--client-cert-file=${cert}`,
  ],
  'a key for itself without its certificate': ({ cert, key }) => [
    ...pair(cert, key),
    `--client-key-file=${key}`,
  ],
  'a certificate for itself that is not there': ({ cert, key }, folder) => [
    ...pair(cert, key),
    `--client-cert-file=${join(folder, 'none')}`,
    `--client-key-file=${key}`,
  ],
  'the key of another for itself': ({ cert, key, client }) => [
    ...pair(cert, key),
    `--client-cert-file=${cert}`,
    `--client-key-file=${client('good')!.keyFile}`,
  ],
  'a certificate of its own for no time': () => ['--auto-tls', '--self-signed-cert-validity=0'],
};

for (const [name, flagsOf] of Object.entries(REFUSED)) {
  test(`no server starts with ${name}, and both say the same`, { skip }, async (t) => {
    const folder = scratch(t);
    const files = await writeFiles(folder);
    const [client, peer] = await freePorts(2);
    const argsOf = (dataDir: string): string[] => [
      `--data-dir=${join(folder, dataDir)}`,
      `--listen-client-urls=https://127.0.0.1:${client}`,
      `--advertise-client-urls=https://127.0.0.1:${client}`,
      `--listen-peer-urls=http://127.0.0.1:${peer}`,
      ...flagsOf(files, folder),
    ];
    const result = await runTool('3.6', 'etcd', argsOf('real'), { timeoutMs: 30_000 });
    const theirs = errorIn(`${result.stdout}${result.stderr}`);
    assert.notEqual(result.code, 0);
    assert.notEqual(theirs, undefined, result.stderr.slice(-1000));
    const { file, args } = subjectProgram();
    const ours = spawnSync(file, [...args, ...argsOf('subject')], {
      encoding: 'utf8',
      env: toolEnvironment(),
      timeout: 30_000,
    });
    assert.notEqual(ours.status, 0);
    const said = isOurs ? /^Error: (.*)$/m.exec(ours.stderr)?.[1] : errorIn(ours.stderr);
    assert.equal(said, theirs);
  });
}

test(
  'both start with what is not used: a certificate for itself in the clear, or beside one that is made',
  { skip },
  async (t) => {
    const half = ['--client-cert-file=none'];
    await startBoth(t, scratch(t), { args: half });
    await startBoth(t, scratch(t), { secure: {}, args: ['--auto-tls', ...half] });
  },
);
