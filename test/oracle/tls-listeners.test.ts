/** Listeners of every kind, with and without TLS, beside real etcd 3.6: the same clients are let in. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:http2';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../support/scratch.ts';
import { type EtcdServer, freePorts, startEtcd, type StartOptions } from './server.ts';
import { endAfter, startSubject, subjectSkip } from './subject.ts';
import { call, knock, type TlsFiles, type Who, WHO, writeFiles } from './tls-clients.ts';
import { etcdctl } from './tools.ts';

const skip = subjectSkip;
const pairOf = ({ cert, key }: TlsFiles): string[] => [`--cert-file=${cert}`, `--key-file=${key}`];

/** Both servers, each with arguments of its own: ports and sockets are not to be shared. */
async function startEach(
  t: Parameters<typeof endAfter>[0],
  folder: string,
  optionsOf: (name: 'real' | 'subject') => Promise<Omit<StartOptions, 'dataDir'>>,
): Promise<{ real: EtcdServer; subject: EtcdServer }> {
  const real = await startEtcd('3.6', { ...(await optionsOf('real')), dataDir: join(folder, 'real') });
  endAfter(t, () => real);
  const subject = await startSubject({
    ...(await optionsOf('subject')),
    dataDir: join(folder, 'subject'),
  });
  endAfter(t, () => subject);
  return { real, subject };
}

type Found = Record<string, string>;

/** Both must have found what is expected. */
async function compare(
  { real, subject }: { real: EtcdServer; subject: EtcdServer },
  ask: (server: EtcdServer) => Promise<Found>,
  expected: Found,
): Promise<void> {
  assert.deepEqual(await ask(real), expected, 'real etcd');
  assert.deepEqual(await ask(subject), expected, 'the subject');
}

test(
  'gRPC and HTTP on URLs of their own: the revoked are turned away on both (GHSA-3wh4-j44w-pg92)',
  { skip },
  async (t) => {
    const folder = scratch(t);
    const files = await writeFiles(folder);
    const httpPorts = new Map<string, number>();
    const servers = await startEach(t, folder, async (name) => {
      const [http, health] = await freePorts(2);
      httpPorts.set(join(folder, name), http!);
      const args = [
        ...pairOf(files),
        `--trusted-ca-file=${files.ca}`,
        `--client-crl-file=${files.crl}`,
        `--listen-client-http-urls=https://127.0.0.1:${http}`,
        `--listen-metrics-urls=http://127.0.0.1:${health}`,
      ];
      return { secure: {}, healthUrl: `http://127.0.0.1:${health}`, args };
    });
    const ask = async (server: EtcdServer): Promise<Found> => {
      const found: Found = {};
      for (const who of ['good', 'revoked', 'none'] as const) {
        found[`http ${who}`] = await knock({ port: httpPorts.get(server.dataDir)! }, who);
        found[`grpc ${who}`] = await call(server.endpoint, files, who);
      }
      return found;
    };
    await compare(servers, ask, {
      'http good': 'answered',
      'grpc good': 'answered',
      'http revoked': 'refused',
      'grpc revoked': 'refused',
      'http none': 'refused',
      'grpc none': 'refused',
    });
  },
);

test(
  'metrics under TLS: as clients, who must also call from where they are certified for',
  { skip },
  async (t) => {
    const folder = scratch(t);
    const files = await writeFiles(folder);
    const ports = new Map<string, number>();
    const { cert, key } = WHO.good;
    const servers = await startEach(t, folder, async (name) => {
      const [metrics] = await freePorts(1);
      ports.set(join(folder, name), metrics!);
      const url = `https://127.0.0.1:${metrics}`;
      const args = [
        ...pairOf(files),
        `--trusted-ca-file=${files.ca}`,
        `--client-crl-file=${files.crl}`,
        `--listen-metrics-urls=${url}`,
      ];
      return { secure: { cert, key }, healthUrl: url, args };
    });
    const expected: Partial<Record<Who, string>> = {
      good: 'answered',
      local: 'answered',
      localName: 'answered',
      none: 'refused',
      stranger: 'refused',
      revoked: 'refused',
      addressed: 'refused',
      named: 'refused',
    };
    const ask = async ({ dataDir }: EtcdServer): Promise<Found> => {
      const found: Found = {};
      for (const who of Object.keys(expected) as Who[])
        found[who] = await knock({ port: ports.get(dataDir)! }, who);
      return found;
    };
    await compare(servers, ask, expected as Found);
  },
);

test(
  'plain and secure, in the network and in the file system, side by side and on one port',
  { skip },
  async (t) => {
    const folder = scratch(t);
    const files = await writeFiles(folder);
    const places = new Map<string, { plain: number; both: number; sockets: string[] }>();
    const servers = await startEach(t, folder, async (name) => {
      const [plain, both] = await freePorts(2);
      const sockets = [`${name}-plain.sock`, `${name}-secure.sock`].map((file) => join(folder, file));
      places.set(join(folder, name), { plain: plain!, both: both!, sockets });
      const urls = [
        `http://127.0.0.1:${plain}`,
        `http://127.0.0.1:${both}`,
        `https://127.0.0.1:${both}`,
        `unix://${sockets[0]}`,
        `unixs://${sockets[1]}`,
      ];
      return { secure: {}, args: pairOf(files), moreClientUrls: urls };
    });
    const put = async (endpoint: string, ...args: string[]): Promise<string> => {
      const { code } = await etcdctl('3.6', ['--command-timeout=3s', ...args, 'put', 'a', 'b'], { endpoint });
      return code === 0 ? 'answered' : 'refused';
    };
    const ask = async ({ endpoint, dataDir }: EtcdServer): Promise<Found> => {
      const { plain, both, sockets } = places.get(dataDir)!;
      const secure = [`--cacert=${files.ca}`];
      return {
        https: await put(endpoint, ...secure),
        http: await put(`http://127.0.0.1:${plain}`),
        'http on one port': await put(`http://127.0.0.1:${both}`),
        'https on one port': await put(`https://127.0.0.1:${both}`, ...secure),
        unix: await put(`unix://${sockets[0]}`),
        unixs: await put(`unixs://${sockets[1]}`, '--insecure-skip-tls-verify', ...secure),
        'HTTP over unixs': await knock({ path: sockets[1]! }, 'none'),
        'TLS where none is': await knock({ port: plain }, 'none'),
        'TLS where none is, in the file system': await knock({ path: sockets[0]! }, 'none'),
        'none where TLS is': await plainAnswer(endpoint),
        'version 2 of HTTP': await versionOfHttp(endpoint),
      };
    };
    await compare(servers, ask, {
      https: 'answered',
      http: 'answered',
      'http on one port': 'answered',
      'https on one port': 'answered',
      unix: 'answered',
      unixs: 'answered',
      'HTTP over unixs': 'answered',
      'TLS where none is': 'refused',
      'TLS where none is, in the file system': 'refused',
      'none where TLS is': 'refused',
      'version 2 of HTTP': 'h2 200',
    });
  },
);

/** What becomes of plain HTTP. */
async function plainAnswer(endpoint: string): Promise<string> {
  const asking = request(endpoint.replace('https:', 'http:')).end();
  try {
    await once(asking, 'response');
    return 'answered';
  } catch {
    return 'refused';
  }
}

/** What is answered over HTTP/2, as clients that offer it get it. */
async function versionOfHttp(endpoint: string): Promise<string> {
  const session = connect(endpoint, { rejectUnauthorized: false });
  const stream = session.request({ ':path': '/version' });
  const [headers] = (await once(stream, 'response')) as [Record<string, number>];
  const protocol = session.alpnProtocol;
  session.destroy();
  return `${protocol} ${headers[':status']}`;
}
