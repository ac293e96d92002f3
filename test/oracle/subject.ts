/**
 * The server under test: ours by default, or a real etcd when `ETCDKIT_SUBJECT` names a version, by which the
 * tests themselves are proven.
 */
import { join } from 'node:path';
import { projectRoot } from '../support/project.ts';
import { BUILT_VERSIONS, OracleError, skipReason } from './cache.ts';
import type { Version } from './cache.ts';
import { etcdProgram, startEtcd, startServer } from './server.ts';
import type { EtcdServer, ServerProgram, StartOptions } from './server.ts';

const LOG_SHOWN = 3000;
const chosen = process.env['ETCDKIT_SUBJECT'];

/** True unless a real etcd stands in for our server. */
export const isOurs = chosen === undefined || chosen === '' || chosen === 'ours';

/** True when the long versions of the tests are asked for. */
export const isSoak = process.env['ETCDKIT_SOAK'] === '1';

function version(): Version {
  if (isOurs) return '3.6';
  const known = BUILT_VERSIONS.find((each) => each === chosen);
  if (known === undefined) throw new OracleError(`ETCDKIT_SUBJECT is ${chosen}, which is not built`);
  return known;
}

/** For a test's `skip` option: every test of the subject also needs real 3.6 and its clients. */
export const subjectSkip: string | false = skipReason('3.6');

/** The program that is tested. A directory of another line asks for that line where a real etcd stands in. */
export function subjectProgram(line = version()): ServerProgram {
  if (!isOurs) return etcdProgram(line);
  return {
    version: version(),
    label: 'etcdkit serve',
    file: process.execPath,
    args: [join(projectRoot(), 'bin', 'etcdkit.js'), 'serve'],
    readyText: 'ready to serve client requests',
  };
}

/** Starts the server under test on a directory, as `startEtcd` starts a real one. */
export function startSubject(options: StartOptions, line?: Version): Promise<EtcdServer> {
  return startServer(subjectProgram(line), options);
}

/** What is needed of a test's context. Whether it passed is known to Node 20, but not to its types. */
interface Scope {
  after(run: () => Promise<unknown>): void;
  diagnostic(text: string): void;
  readonly passed?: boolean;
}

/** Kills a server when the test is over; when it failed, shows how the server's log ends. */
export function endAfter(t: Scope, serverNow: () => EtcdServer | undefined): void {
  t.after(async () => {
    const server = serverNow();
    if (server === undefined) return;
    if (t.passed === false)
      t.diagnostic(`the log of ${server.label} ends:\n${server.log().slice(-LOG_SHOWN)}`);
    await server.kill();
  });
}

/**
 * Real etcd 3.6 and the server under test, each on a fresh directory, gone when the test is over. With two ports, each
 * tells its health on one of them, in the clear: that of a client URL can be hard to ask for.
 */
export async function startBoth(
  t: Scope,
  folder: string,
  options: Partial<StartOptions> = {},
  healthPorts?: readonly [number, number],
): Promise<{ real: EtcdServer; subject: EtcdServer }> {
  const telling = (port: number | undefined): Partial<StartOptions> => {
    if (port === undefined) return options;
    const healthUrl = `http://127.0.0.1:${port}`;
    return { ...options, healthUrl, args: [`--listen-metrics-urls=${healthUrl}`, ...(options.args ?? [])] };
  };
  const starting = [
    startEtcd('3.6', { ...telling(healthPorts?.[0]), dataDir: join(folder, 'real') }),
    startSubject({ ...telling(healthPorts?.[1]), dataDir: join(folder, 'subject') }),
  ];
  const settled = await Promise.allSettled(starting);
  for (const each of settled) {
    if (each.status === 'fulfilled') endAfter(t, () => each.value);
  }
  const [real, subject] = await Promise.all(starting);
  return { real: real!, subject: subject! };
}
