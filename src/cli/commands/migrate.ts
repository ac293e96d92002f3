/** `migrate`: a stopped member's files for another version of etcd. */
import { parseTarget } from '../../ops/upkeep/migrate-plan.ts';
import { migrate as migrateFiles, type MigrateReport } from '../../ops/upkeep/migrate.ts';
import type { Call } from '../call.ts';
import { choosePrinter } from '../print/printer.ts';
import type { Item, Report } from '../print/report.ts';

type MigrateCall = Call<
  'data-dir' | 'wal-dir' | 'target-version' | 'force' | 'dry-run' | 'fix-cluster-version' | 'no-lock'
>;

export async function migrate(call: MigrateCall): Promise<void> {
  const print = choosePrinter(call);
  const { flags } = call;
  const options = {
    dataDir: flags['data-dir'] ?? '',
    walDir: flags['wal-dir'],
    target: parseTarget(flags['target-version'] ?? ''),
    force: flags.force,
    isDryRun: flags['dry-run'],
    fixClusterVersion: flags['fix-cluster-version'],
    allowUnlocked: flags['no-lock'],
    timeoutMs: flags.timeout,
  };
  const report = await migrateFiles(options, await call.context());
  // etcdutl says nothing on stdout.
  if (!call.style.compat || report.isDryRun) print(describeMigration(report));
}

function describeMigration(report: MigrateReport): Report {
  const { steps, fixes, isDryRun } = report;
  const isChanged = steps.length > 0 || fixes.length > 0;
  const done = isDryRun ? 'would be changed' : 'changed';
  const texts = (json: string, field: string, values: readonly string[]): Item[] => [
    { json, value: values },
    { field, value: values.join('; ') },
  ];
  return {
    entries: [
      [
        { json: 'path', field: 'Path', column: 'path', value: report.path },
        { json: 'from', field: 'From', column: 'from', value: report.from },
        { json: 'to', field: 'To', column: 'to', value: report.to },
        {
          json: 'changed',
          field: 'Changed',
          column: 'status',
          value: isChanged,
          cell: isChanged ? done : 'as it was',
        },
        { json: 'dryRun', field: 'Dry run', value: isDryRun },
        { json: 'forced', field: 'Forced', value: report.isForced },
        ...texts('steps', 'Steps', steps),
        ...texts('found', 'Found', report.found),
        ...texts('fixes', 'Fixes', fixes),
        { column: 'fixes', value: fixes.join('; ') || 'none' },
        ...texts('remaining', 'Remaining', report.remaining),
        ...texts('notes', 'Notes', report.notes),
        { json: 'tookMs', field: 'Took ms', value: Math.round(report.tookMs) },
      ],
    ],
  };
}
