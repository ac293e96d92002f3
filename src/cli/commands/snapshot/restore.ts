/** `snapshot restore`: etcdutl's flags and ours, judged here; what came of it as text, or in one of the formats. */
import { UsageError } from '../../../errors.ts';
import {
  assertSpace,
  type RestoreOptions,
  restoreSnapshot,
  type RestoreTarget,
} from '../../../ops/snapshot/restore.ts';
import { parseOwner } from '../../../ops/snapshot/restore/owner.ts';
import { VERSIONS, type Version } from '../../../store/schema/buckets.ts';
import type { Call } from '../../call.ts';
import { type FlagName, flagText, invalidValue } from '../../flags.ts';
import { writeOut } from '../../output.ts';
import { encodeJson } from '../../print/json.ts';
import { choosePrinter } from '../../print/printer.ts';
import { restoreEntries, restoreJson, restoreText } from '../../print/restore.ts';

type RestoreFlag =
  | 'data-dir'
  | 'wal-dir'
  | 'name'
  | 'initial-cluster'
  | 'initial-cluster-token'
  | 'initial-advertise-peer-urls'
  | 'skip-hash-check'
  | 'initial-memory-map-size'
  | 'bump-revision'
  | 'mark-compacted'
  | 'target-version'
  | 'learner'
  | 'all-members'
  | 'dry-run'
  | 'preserve-layout'
  | 'quick'
  | 'old-data-dir'
  | 'owner';
type RestoreCall = Call<RestoreFlag>;

export async function restore(call: RestoreCall): Promise<void> {
  // etcdutl never looks at its output format here: it prints nothing.
  const print = call.style.compat ? undefined : choosePrinter(call);
  const options = readOptions(call);
  const report = await restoreSnapshot(call.operands[0]!, options, await call.context());
  if (print || report.isDryRun) {
    const format = call.flags['write-out'];
    if (format === 'json') writeOut(`${encodeJson(restoreJson(report))}\n`);
    else if (format === 'simple' || !print) writeOut(restoreText(report));
    else print({ entries: restoreEntries(report), isList: true });
  }
  assertSpace(report.space);
}

function readOptions({ flags, style }: RestoreCall): RestoreOptions {
  if (style.compat === '3.5' && flags['data-dir'] === undefined && flags['all-members'] === undefined) {
    throw new UsageError('usage', `snapshot restore needs ${flagText('data-dir')}`, {
      upstream: 'required flag(s) "data-dir" not set',
    });
  }
  if (flags.quick && !flags['preserve-layout']) {
    throw new UsageError(
      'usage',
      `${flagText('quick')} goes with ${flagText('preserve-layout')}: packing pages means reading them`,
    );
  }
  const layout = flags.quick ? 'quick' : flags['preserve-layout'] ? 'preserved' : 'packed';
  return {
    target: readTarget(flags),
    initialCluster: flags['initial-cluster'],
    token: flags['initial-cluster-token'],
    learners: flags.learner,
    targetVersion: readVersion(flags['target-version']),
    isHashSkipped: flags['skip-hash-check'],
    layout,
    ...readBump(flags),
    owner: flags.owner === undefined ? undefined : parseOwner(flags.owner),
    mapSizeBytes: flags['initial-memory-map-size'],
    isDryRun: flags['dry-run'],
  };
}

function readTarget(flags: RestoreCall['flags']): RestoreTarget {
  const allMembers = flags['all-members'];
  if (allMembers === undefined) {
    return {
      name: flags.name,
      dataDir: flags['data-dir'],
      walDir: flags['wal-dir'],
      peerUrls: flags['initial-advertise-peer-urls'],
    };
  }
  for (const name of ['name', 'data-dir', 'wal-dir', 'initial-advertise-peer-urls'] as const) {
    if (flags[name] === undefined) continue;
    throw new UsageError(
      'usage',
      `${flagText('all-members')} goes without ${flagText(name)}: it takes all members of ${flagText('initial-cluster')}`,
    );
  }
  return { allMembers };
}

function readVersion(text: string | undefined): Version | undefined {
  if (text === undefined) return undefined;
  const version = VERSIONS.find((one) => one === text);
  if (version) return version;
  throw new UsageError(
    'usage',
    `${flagText('target-version')} takes ${VERSIONS.join(', ')}, not ${JSON.stringify(text)}`,
  );
}

function readBump(flags: RestoreCall['flags']): Pick<RestoreOptions, 'bump' | 'oldDataDir'> {
  const bump = readAmount(flags['bump-revision']);
  const oldDataDir = flags['old-data-dir'];
  if ((bump !== 0) !== flags['mark-compacted']) {
    throw new UsageError(
      'usage.arguments',
      `${flagText('bump-revision')} and ${flagText('mark-compacted')} go together`,
      {
        upstream: '--mark-compacted required if --revision-bump > 0',
      },
    );
  }
  const auto = `${flagText('bump-revision')} auto`;
  if (bump === 'auto' && oldDataDir === undefined)
    throw new UsageError('usage', `${auto} needs ${flagText('old-data-dir')}`);
  if (bump !== 'auto' && oldDataDir !== undefined)
    throw new UsageError('usage', `${flagText('old-data-dir')} goes with ${auto}`);
  return { bump, oldDataDir };
}

function readAmount(text: string | undefined): number | 'auto' {
  if (text === undefined) return 0;
  if (text === 'auto') return text;
  const name: FlagName = 'bump-revision';
  const words = (native: string, why: string): UsageError =>
    invalidValue(name, text, { native, go: `strconv.ParseUint: parsing ${JSON.stringify(text)}: ${why}` });
  if (!/^\d+$/.test(text)) throw words('is neither a whole number nor auto', 'invalid syntax');
  const amount = Number(text);
  if (!Number.isSafeInteger(amount))
    throw words('is beyond any revision etcd can count to', 'value out of range');
  return amount;
}
