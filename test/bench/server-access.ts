/**
 * What users and TLS cost: the same loads with neither, with one and with both, on our server and on real etcd. All
 * servers of a round are up together, and a load goes through them in turn, so that what the machine does meanwhile
 * meets all of them.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { etcdctl, startEtcd, succeeded } from '../oracle/etcd.ts';
import type { EtcdServer, StartOptions } from '../oracle/etcd.ts';
import { startSubject } from '../oracle/subject.ts';
import { Authority } from '../support/authority.ts';
import { fill, type Load, type LoadResult, runLoadOn } from './server-loads.ts';

export const SETTINGS = ['neither', 'users', 'TLS', 'users and TLS'] as const;
export type Setting = (typeof SETTINGS)[number];

export const ACCESS_LOADS: readonly Load[] = [
  { name: 'put, 16 clients', mode: 'put', clients: 16, conns: 4 },
  { name: 'put, 256 clients', mode: 'put', clients: 256, conns: 16 },
  { name: 'range of one key, 16 clients', mode: 'range', clients: 16, conns: 4 },
];

/** A user who may do what the loads do, by a range of keys. */
const USER = 'bench:of-keys';
const ROOT = 'root:of-all';

interface Guarded {
  server: EtcdServer;
  /** What clients show. */
  flags: readonly string[];
}

/** One run of a load. */
export interface AccessResult {
  setting: Setting;
  load: Load;
  ours: LoadResult;
  theirs: LoadResult;
}

interface RoundOptions {
  folder: string;
  round: number;
  seconds: number;
  env: Readonly<Record<string, string>>;
}

/** One round of all loads under all settings. */
export async function accessRound({ folder, round, seconds, env }: RoundOptions): Promise<AccessResult[]> {
  const files = await certify(folder);
  const started: Guarded[] = [];
  const begin = async (start: (options: StartOptions) => Promise<EtcdServer>, name: string) => {
    const bySetting = new Map<Setting, Guarded>();
    for (const [i, setting] of SETTINGS.entries()) {
      const dataDir = join(folder, `${name}-${round}-${i}`);
      const guarded = await guard(start, { dataDir, env }, setting, files);
      started.push(guarded);
      bySetting.set(setting, guarded);
    }
    return bySetting;
  };
  try {
    const ours = await begin(startSubject, 'ours');
    const theirs = await begin((options) => startEtcd('3.6', options), 'theirs');
    const results: AccessResult[] = [];
    for (const [at, load] of ACCESS_LOADS.entries()) {
      const run = ({ server, flags }: Guarded): Promise<LoadResult> =>
        runLoadOn(server, load, { seconds, seed: round + 1, flags });
      for (const setting of turned(SETTINGS, round + at)) {
        const first = (round + at) % 2 === 0 ? ours : theirs;
        const one = await run(first.get(setting)!);
        const other = await run((first === ours ? theirs : ours).get(setting)!);
        const pair = first === ours ? { ours: one, theirs: other } : { ours: other, theirs: one };
        results.push({ setting, load, ...pair });
      }
    }
    return results;
  } finally {
    await Promise.all(started.map(({ server }) => server.stop()));
    for (const { server } of started) rmSync(server.dataDir, { recursive: true, force: true });
  }
}

/** The same, beginning elsewhere. */
function turned<T>(items: readonly T[], by: number): T[] {
  return items.map((_, i) => items[(i + by) % items.length]!);
}

interface Files {
  ca: string;
  cert: string;
  key: string;
}

async function certify(folder: string): Promise<Files> {
  const authority = await Authority.create();
  const server = await authority.issue({ commonName: 'server', names: ['127.0.0.1'] });
  const files = { ca: join(folder, 'ca.pem'), cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  writeFileSync(files.ca, authority.cert);
  writeFileSync(files.cert, server.cert);
  writeFileSync(files.key, server.key);
  return files;
}

async function guard(
  start: (options: StartOptions) => Promise<EtcdServer>,
  options: StartOptions,
  setting: Setting,
  { ca, cert, key }: Files,
): Promise<Guarded> {
  const isSecure = setting.includes('TLS');
  const secure = isSecure ? { secure: {}, args: [`--cert-file=${cert}`, `--key-file=${key}`] } : {};
  const server = await start({ ...options, ...secure });
  const trust = isSecure ? [`--cacert=${ca}`] : [];
  await fill(server, trust);
  if (!setting.includes('users')) return { server, flags: trust };
  const commands = [
    `user add ${ROOT}`,
    'user grant-role root root',
    `user add ${USER}`,
    'role add bench',
    'role grant-permission bench readwrite --prefix bench/',
    'user grant-role bench bench',
    'auth enable',
  ];
  const { endpoint } = server;
  for (const line of commands) await succeeded(etcdctl('3.6', [...trust, ...line.split(' ')], { endpoint }));
  return { server, flags: [...trust, `--user=${USER}`] };
}
