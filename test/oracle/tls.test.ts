/** Who is let in under TLS: our server beside real etcd 3.6, with the same flags, files and clients. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionOptions } from 'node:tls';
import { scratch } from '../support/scratch.ts';

import { type EtcdServer, freePorts } from './server.ts';
import { startBoth, subjectSkip } from './subject.ts';
import { call, knock, type TlsFiles, type Who, writeFiles } from './tls-clients.ts';

type Outcome = 'answered' | 'refused';

interface Setup {
  /** Flags besides certificate and key. */
  flags(files: TlsFiles): string[];
  isRsa?: boolean;
  /** HTTP/1.1 by node:tls. */
  http?: Partial<Record<Who, Outcome>>;
  /** gRPC by etcdctl. */
  grpc?: Partial<Record<Who, Outcome>>;
  /** Without a certificate, by what the client's handshake offers. */
  handshakes?: Record<string, [ConnectionOptions, Outcome]>;
}

const TLS12: ConnectionOptions = { maxVersion: 'TLSv1.2' };
const TLS13: ConnectionOptions = { minVersion: 'TLSv1.3' };
const by = (ciphers: string): ConnectionOptions => ({ ...TLS12, ciphers });

const SETUPS: Record<string, Setup> = {
  'clients are certified, and some are revoked': {
    flags: ({ ca, crl }) => [`--trusted-ca-file=${ca}`, '--client-cert-auth', `--client-crl-file=${crl}`],
    http: {
      good: 'answered',
      lower: 'answered',
      none: 'refused',
      stranger: 'refused',
      expired: 'refused',
      future: 'refused',
      serverOnly: 'refused',
      revoked: 'refused',
    },
    grpc: { good: 'answered', none: 'refused', stranger: 'refused', revoked: 'refused' },
  },
  'authorities alone make certificates necessary': {
    flags: ({ ca }) => [`--trusted-ca-file=${ca}`],
    http: { good: 'answered', none: 'refused', revoked: 'answered' },
    grpc: { good: 'answered' },
  },
  'without authorities nobody is asked, whatever else is said of certificates': {
    flags: ({ crl }) => ['--client-cert-allowed-hostname=client.example', `--client-crl-file=${crl}`],
    http: { none: 'answered', stranger: 'answered', revoked: 'answered' },
    grpc: { none: 'answered' },
    handshakes: {
      'HTTP/1.1 is offered': [{ ALPNProtocols: ['http/1.1'] }, 'answered'],
      'nothing is known': [{ ALPNProtocols: ['spdy/3'] }, 'refused'],
      'TLS 1.2': [TLS12, 'answered'],
      'TLS 1.3': [TLS13, 'answered'],
      'TLS 1.1': [{ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }, 'refused'],
    },
  },
  'certificates are asked for, and the authorities are those of the host': {
    flags: () => ['--client-cert-auth'],
    http: { none: 'refused', good: 'refused' },
  },
  'host names are allowed': {
    flags: ({ ca }) => [
      `--trusted-ca-file=${ca}`,
      '--client-cert-allowed-hostname=client.example,10.1.2.3,a.wild.example',
    ],
    http: {
      named: 'answered',
      addressed: 'answered',
      wild: 'answered',
      commonName: 'refused',
      local: 'refused',
      good: 'refused',
      none: 'refused',
    },
    grpc: { named: 'answered', good: 'refused' },
  },
  'the list of revoked certificates is not there': {
    flags: ({ ca, crl }) => [`--trusted-ca-file=${ca}`, `--client-crl-file=${crl}.none`],
    http: { good: 'refused' },
  },
  'the list of revoked certificates is PEM': {
    flags: ({ ca, pemCrl }) => [`--trusted-ca-file=${ca}`, `--client-crl-file=${pemCrl}`],
    http: { good: 'refused' },
  },
  'an authority in the chain is revoked': {
    flags: ({ ca, middleCrl }) => [`--trusted-ca-file=${ca}`, `--client-crl-file=${middleCrl}`],
    http: { lower: 'refused', good: 'answered' },
  },
  'the list of revoked certificates is of nobody': {
    flags: ({ ca, emptyCrl }) => [`--trusted-ca-file=${ca}`, `--client-crl-file=${emptyCrl}`],
    http: { good: 'answered', revoked: 'answered' },
  },
  'TLS 1.3 at least': {
    flags: () => ['--tls-min-version=TLS1.3'],
    handshakes: { 'TLS 1.2': [TLS12, 'refused'], 'TLS 1.3': [TLS13, 'answered'] },
  },
  'TLS 1.2 at most, with a list of suites': {
    flags: () => [
      '--tls-max-version=TLS1.2',
      '--cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305',
    ],
    handshakes: {
      'TLS 1.3': [TLS13, 'refused'],
      'a suite of the list': [by('ECDHE-ECDSA-AES128-GCM-SHA256'), 'answered'],
      'its old name': [by('ECDHE-ECDSA-CHACHA20-POLY1305'), 'answered'],
      'another suite': [by('ECDHE-ECDSA-AES256-GCM-SHA384'), 'refused'],
    },
    grpc: { none: 'answered' },
  },
  'a list of suites does not bind TLS 1.3': {
    flags: () => ['--cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_AES_128_GCM_SHA256'],
    handshakes: {
      'another suite of 1.3': [{ ...TLS13, ciphers: 'TLS_CHACHA20_POLY1305_SHA256' }, 'answered'],
      'a suite of the list': [by('ECDHE-ECDSA-AES128-GCM-SHA256'), 'answered'],
      'another suite of 1.2': [by('ECDHE-ECDSA-AES128-SHA'), 'refused'],
    },
  },
  'suites that are offered unasked': {
    flags: () => [],
    isRsa: true,
    handshakes: {
      'elliptic curves': [by('ECDHE-RSA-AES256-GCM-SHA384'), 'answered'],
      'elliptic curves and CBC': [by('ECDHE-RSA-AES128-SHA'), 'answered'],
      'elliptic curves and CBC of SHA-256': [by('ECDHE-RSA-AES128-SHA256'), 'refused'],
      'RSA alone': [by('AES128-GCM-SHA256'), 'refused'],
      'Diffie and Hellman': [by('DHE-RSA-AES128-GCM-SHA256'), 'refused'],
    },
  },
  'suites of RSA alone can be asked for': {
    flags: () => [
      '--cipher-suites=TLS_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_RSA_WITH_RC4_128_SHA',
    ],
    isRsa: true,
    handshakes: {
      'RSA alone': [by('AES128-GCM-SHA256'), 'answered'],
      'elliptic curves': [by('ECDHE-RSA-AES256-GCM-SHA384'), 'refused'],
    },
  },
};

async function outcomes(server: EtcdServer, setup: Setup, files: TlsFiles): Promise<Record<string, Outcome>> {
  const where = { port: Number(new URL(server.endpoint).port) };
  const found: Record<string, Outcome> = {};
  for (const who of Object.keys(setup.http ?? {}) as Who[]) found[`http ${who}`] = await knock(where, who);
  for (const [name, [options]] of Object.entries(setup.handshakes ?? {}))
    found[name] = await knock(where, 'none', options);
  await Promise.all(
    (Object.keys(setup.grpc ?? {}) as Who[]).map(async (who) => {
      found[`grpc ${who}`] = await call(server.endpoint, files, who);
    }),
  );
  return found;
}

function expected({ http = {}, grpc = {}, handshakes = {} }: Setup): Record<string, Outcome> {
  return {
    ...Object.fromEntries(Object.entries(http).map(([who, outcome]) => [`http ${who}`, outcome])),
    ...Object.fromEntries(Object.entries(handshakes).map(([name, [, outcome]]) => [name, outcome])),
    ...Object.fromEntries(Object.entries(grpc).map(([who, outcome]) => [`grpc ${who}`, outcome])),
  };
}

for (const [name, setup] of Object.entries(SETUPS)) {
  test(name, { skip: subjectSkip }, async (t) => {
    const folder = scratch(t);
    const files = await writeFiles(folder);
    const pair = setup.isRsa
      ? [`--cert-file=${files.rsaCert}`, `--key-file=${files.rsaKey}`]
      : [`--cert-file=${files.cert}`, `--key-file=${files.key}`];
    const [first, second] = await freePorts(2);
    // Each has a port of its own for its health, in the clear.
    const both = await startBoth(t, folder, { secure: {}, args: [...pair, ...setup.flags(files)] }, [
      first!,
      second!,
    ]);
    const [real, subject] = await Promise.all(
      [both.real, both.subject].map((server) => outcomes(server, setup, files)),
    );
    assert.deepEqual(real, expected(setup), 'real etcd');
    assert.deepEqual(subject, expected(setup), 'the subject');
  });
}
