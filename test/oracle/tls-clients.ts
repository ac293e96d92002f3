/** Files and clients for servers under TLS: an authority, who is certified by it, and what becomes of each. */
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type ConnectionOptions } from 'node:tls';
import { Authority, type Identity, type Issued, writePair } from '../support/authority.ts';
import { etcdctl } from './tools.ts';

const authority = await Authority.create();
const stranger = await Authority.create('a stranger');
const middle = await authority.intermediate('middle');
const lower = await middle.issue({ commonName: 'lower' });

/** Everyone who may knock. */
export const WHO = {
  good: await authority.issue({ commonName: 'root' }),
  none: undefined,
  stranger: await stranger.issue({ commonName: 'root' }),
  lower: { ...lower, cert: lower.cert + middle.cert },
  expired: await authority.issue({ from: -2, until: -1 }),
  future: await authority.issue({ from: 1, until: 2 }),
  serverOnly: await authority.issue({ usages: ['serverAuth'] }),
  revoked: await authority.issue({ commonName: 'root', serialNumber: '7fabcdef00112233' }),
  named: await authority.issue({ commonName: 'x', names: ['client.example'] }),
  wild: await authority.issue({ names: ['*.wild.example'] }),
  commonName: await authority.issue({ commonName: 'client.example' }),
  addressed: await authority.issue({ names: ['10.1.2.3'] }),
  local: await authority.issue({ names: ['127.0.0.1'] }),
  localName: await authority.issue({ names: ['localhost'] }),
} satisfies Record<string, Issued | undefined>;

export type Who = keyof typeof WHO;

const SERVER = await authority.issue({ commonName: 'server', names: ['127.0.0.1', 'localhost'] });
const RSA_SERVER = await authority.issue({ commonName: 'rsa', names: ['127.0.0.1'], isRsa: true });

/** Paths of what servers and clients are given. */
export interface TlsFiles {
  cert: string;
  key: string;
  rsaCert: string;
  rsaKey: string;
  ca: string;
  /** Revokes `WHO.revoked`; the same as PEM; of nobody. */
  crl: string;
  pemCrl: string;
  emptyCrl: string;
  /** Revokes the authority between `WHO.lower` and the one that is trusted. */
  middleCrl: string;
  /** Pairs of clients. */
  client(who: Who): { certFile: string; keyFile: string } | undefined;
}

export async function writeFiles(folder: string): Promise<TlsFiles> {
  const server = writePair(folder, 'server', SERVER);
  const rsa = writePair(folder, 'rsa', RSA_SERVER);
  const put = (name: string, content: string | Uint8Array): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const list = await authority.revoke([WHO.revoked.serialNumber]);
  const pem = `-----BEGIN X509 CRL-----\n${list.toString('base64')}\n-----END X509 CRL-----\n`;
  return {
    cert: server.certFile,
    key: server.keyFile,
    rsaCert: rsa.certFile,
    rsaKey: rsa.keyFile,
    ca: put('ca.crt', authority.cert),
    crl: put('revoked.crl', list),
    pemCrl: put('pem.crl', pem),
    middleCrl: put('middle.crl', await authority.revoke([new X509Certificate(middle.cert).serialNumber])),
    emptyCrl: put('empty.crl', await authority.revoke([])),
    client: (who) => {
      const identity: Identity | undefined = WHO[who];
      return identity && writePair(folder, `client-${who}`, identity);
    },
  };
}

/** Another certificate for the same server. */
export function renewed(): Promise<Issued> {
  return authority.issue({ commonName: 'renewed', names: ['127.0.0.1', 'localhost'] });
}

/** Asks for /health by HTTP/1.1 and node:tls: `answered`, or `refused` when nothing comes back. */
export async function knock(
  where: { port: number } | { path: string },
  who: Who,
  options: ConnectionOptions = {},
): Promise<'answered' | 'refused'> {
  const { cert, key } = WHO[who] ?? {};
  const socket = connect({
    ...where,
    rejectUnauthorized: false,
    ...(cert && key ? { cert, key } : {}),
    ...options,
  });
  let answer = '';
  socket.on('error', () => {});
  socket.setTimeout(10_000, () => socket.destroy());
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
  socket.on('secureConnect', () => {
    socket.write('GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n');
  });
  await new Promise((resolve) => {
    socket.on('close', resolve);
  });
  return answer.includes('"health"') ? 'answered' : 'refused';
}

/** Puts a key by gRPC and real etcdctl: `answered`, or `refused` when it gives up. */
export async function call(endpoint: string, files: TlsFiles, who: Who): Promise<'answered' | 'refused'> {
  const client = files.client(who);
  const identity = client ? [`--cert=${client.certFile}`, `--key=${client.keyFile}`] : [];
  const args = ['--command-timeout=2s', `--cacert=${files.ca}`, ...identity, 'put', 'a', 'b'];
  const { code, stderr } = await etcdctl('3.6', args, { endpoint });
  if (code === 0) return 'answered';
  if (/DeadlineExceeded|context deadline exceeded|Unavailable/.test(stderr)) return 'refused';
  throw new Error(`etcdctl ended otherwise: ${stderr}`);
}
