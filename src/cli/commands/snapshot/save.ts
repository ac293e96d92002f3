/** `snapshot save`: a backup of a running server, or of a stopped member with what only its log holds. */
import { UsageError } from '../../../errors.ts';
import { type FetchOptions, fetchSnapshot } from '../../../ops/snapshot/fetch.ts';
import { saveSnapshot } from '../../../ops/snapshot/save.ts';
import type { Call } from '../../call.ts';
import { flagText } from '../../flags.ts';
import { writeOut } from '../../output.ts';
import { fetchEntry, fetchText } from '../../print/fetch.ts';
import { choosePrinter } from '../../print/printer.ts';
import { saveEntry, saveText } from '../../print/save.ts';

type SaveCall = Call<
  | 'endpoints'
  | 'data-dir'
  | 'wal-dir'
  | 'output'
  | 'cacert'
  | 'cert'
  | 'key'
  | 'insecure-skip-tls-verify'
  | 'user'
  | 'password'
  | 'dial-timeout'
>;

export async function save(call: SaveCall): Promise<void> {
  const print = choosePrinter(call);
  const isSimple = call.flags['write-out'] === 'simple';
  const { 'data-dir': dataDir, 'wal-dir': walDir, output, endpoints } = call.flags;
  if (dataDir !== undefined && endpoints.length === 0) {
    const report = await saveSnapshot({ dataDir, walDir, output: output! }, await call.context());
    if (isSimple) writeOut(saveText(report));
    else print({ entries: [saveEntry(report)] });
    return;
  }
  const options = fetchOptions(call.flags, process.env);
  const report = await fetchSnapshot(options, await call.context());
  if (isSimple) writeOut(fetchText(report));
  else print({ entries: [fetchEntry(report)] });
}

/** As etcdctl takes them: the password behind the name, or for itself. */
function userOf(user: string | undefined, password: string | undefined): FetchOptions['user'] {
  if (user === undefined) return undefined;
  if (password !== undefined) return { name: user, password };
  const colon = user.indexOf(':');
  if (colon >= 0) return { name: user.slice(0, colon), password: user.slice(colon + 1) };
  throw new UsageError('usage.arguments', `the password of ${JSON.stringify(user)} is missing`, {
    hint: `set ETCDCTL_PASSWORD, or give it with ${flagText('password')}`,
  });
}

/** A flag counts for more than its variable. */
function fetchOptions(
  flags: SaveCall['flags'],
  environment: Readonly<Record<string, string | undefined>>,
): FetchOptions {
  const variable = (name: string): string | undefined => environment[`ETCDCTL_${name}`] || undefined;
  const endpoints = flags.endpoints.length > 0 ? flags.endpoints : (variable('ENDPOINTS')?.split(',') ?? []);
  const [endpoint] = endpoints;
  if (endpoint === undefined || flags['data-dir'] !== undefined) {
    throw new UsageError(
      'usage.arguments',
      `snapshot save takes either ${flagText('endpoints')} or ${flagText('data-dir')}`,
      { hint: 'a server that runs is asked, the directory of one that does not is read' },
    );
  }
  if (endpoints.length > 1) {
    const text = `snapshot must be requested to one selected node, not multiple [${endpoints.join(' ')}]`;
    throw new UsageError('usage.arguments', text);
  }
  return {
    endpoint,
    output: flags.output!,
    dialTimeoutMs: flags['dial-timeout'],
    caFile: flags.cacert ?? variable('CACERT'),
    certFile: flags.cert ?? variable('CERT'),
    keyFile: flags.key ?? variable('KEY'),
    user: userOf(flags.user ?? variable('USER'), flags.password ?? variable('PASSWORD')),
    skipsVerify: flags['insecure-skip-tls-verify'] || variable('INSECURE_SKIP_TLS_VERIFY') === 'true',
  };
}
