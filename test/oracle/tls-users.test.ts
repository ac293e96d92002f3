/** Users by the common names of their certificates: our server beside real etcd 3.6. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scratch } from '../support/scratch.ts';
import type { EtcdServer } from './server.ts';
import { startBoth, subjectSkip } from './subject.ts';
import { type TlsFiles, type Who, WHO, writeFiles } from './tls-clients.ts';
import { etcdctl, succeeded } from './tools.ts';

/** Whose certificate, what they ask for, and what they are told: nothing when they may. */
const CALLS: [who: Who, args: string[], error: string][] = [
  ['good', ['put', 'a', 'b'], ''],
  ['commonName', ['get', 'a'], ''],
  ['commonName', ['put', 'a', 'b'], 'etcdserver: permission denied'],
  ['commonName', ['user', 'list'], 'etcdserver: permission denied'],
  ['named', ['get', 'a'], 'etcdserver: permission denied'],
  // It has no common name, and so that of nobody.
  ['local', ['get', 'a'], 'etcdserver: permission denied'],
];

async function outcomes(server: EtcdServer, files: TlsFiles): Promise<string[]> {
  const { endpoint } = server;
  const flagsOf = (who: Who): string[] => {
    const { certFile, keyFile } = files.client(who)!;
    return [`--cacert=${files.ca}`, `--cert=${certFile}`, `--key=${keyFile}`, '--command-timeout=5s'];
  };
  const setUp = [
    'user add root --no-password',
    'user grant-role root root',
    'user add client.example --no-password',
    'role add reader',
    'role grant-permission reader read a',
    'user grant-role client.example reader',
    'auth enable',
  ];
  for (const line of setUp)
    await succeeded(etcdctl('3.6', [...flagsOf('good'), ...line.split(' ')], { endpoint }));
  const found: string[] = [];
  for (const [who, args] of CALLS) {
    const { code, stderr } = await etcdctl('3.6', [...flagsOf(who), ...args], { endpoint });
    found.push(code === 0 ? '' : (/^Error: (.*)$/m.exec(stderr)?.[1] ?? stderr));
  }
  return found;
}

const EXPECTED: Record<string, { flags: string[]; errors: string[] }> = {
  'the common name is the user': {
    flags: ['--client-cert-auth'],
    errors: CALLS.map(([, , error]) => error),
  },
  'a certificate that was only asked for makes nobody a user': {
    flags: [],
    errors: CALLS.map(() => 'etcdserver: user name is empty'),
  },
};

for (const [name, { flags, errors }] of Object.entries(EXPECTED)) {
  test(name, { skip: subjectSkip }, async (t) => {
    const folder = scratch(t);
    const files = await writeFiles(folder);
    const { cert, key } = WHO.good;
    const { real, subject } = await startBoth(t, folder, {
      secure: { cert, key },
      args: [
        `--cert-file=${files.cert}`,
        `--key-file=${files.key}`,
        `--trusted-ca-file=${files.ca}`,
        ...flags,
      ],
    });
    assert.deepEqual(await outcomes(real, files), errors, 'real etcd');
    assert.deepEqual(await outcomes(subject, files), errors, 'the subject');
  });
}
