/** `defrag`: a data directory as etcdutl does it, or any database file. */
import { ToolError, UsageError } from '../../errors.ts';
import { type DefragReport, type DefragTarget, defragment } from '../../ops/upkeep/defrag.ts';
import type { Call } from '../call.ts';
import { flagText } from '../flags.ts';
import { humanizeBytes } from '../../bytes/humanize.ts';
import { choosePrinter } from '../print/printer.ts';
import type { Report } from '../print/report.ts';

type DefragCall = Call<'data-dir' | 'output' | 'in-place' | 'dry-run' | 'no-lock'>;

export async function defrag(call: DefragCall): Promise<void> {
  const print = choosePrinter(call);
  const target = readTarget(call);
  const context = await call.context();
  const options = {
    timeoutMs: call.flags.timeout,
    isDryRun: call.flags['dry-run'],
    allowUnlocked: call.flags['no-lock'],
  };
  const report = await defragment(target, options, context).catch((error: unknown) => {
    throw call.style.compat ? inUpstreamWords(error, call.flags['data-dir']) : error;
  });
  // etcdutl says nothing on stdout.
  if (!call.style.compat || report.isDryRun) print(describeDefrag(report));
}

/** etcdutl puts all that goes wrong with a directory into one sentence. */
function inUpstreamWords(error: unknown, dataDir: string | undefined): unknown {
  if (!(error instanceof ToolError) || dataDir === undefined || error.code === 'interrupted') return error;
  const text = `Failed to defragment etcd data[${dataDir}] (${error.upstream ?? error.message})`;
  return new ToolError(error.code, text, { cause: error });
}

function readTarget({ flags, operands }: DefragCall): DefragTarget {
  const [file] = operands;
  const dataDir = flags['data-dir'];
  const isInPlace = flags['in-place'];
  if (file === undefined && dataDir === undefined) {
    throw new UsageError('usage', `give a file, or ${flagText('data-dir')}`, {
      upstream: 'required flag(s) "data-dir" not set',
    });
  }
  if (dataDir !== undefined) {
    if (file !== undefined || flags.output !== undefined || isInPlace) {
      throw new UsageError(
        'usage',
        `${flagText('data-dir')} goes without a file, ${flagText('output')} and ${flagText('in-place')}`,
      );
    }
    return { dataDir };
  }
  if (isInPlace === (flags.output !== undefined)) {
    if (flags['dry-run']) return { file: file!, inPlace: true };
    throw new UsageError(
      'usage',
      `give ${flagText('output')} or ${flagText('in-place')} for where the result goes`,
    );
  }
  return flags.output !== undefined ? { file: file!, output: flags.output } : { file: file!, inPlace: true };
}

function describeDefrag(report: DefragReport): Report {
  const { sizeBeforeBytes, sizeAfterBytes, freeBytes, isDryRun } = report;
  const size = (bytes: number): { value: number; cell: string } => ({
    value: bytes,
    cell: humanizeBytes(bytes),
  });
  const saved = sizeBeforeBytes - sizeAfterBytes;
  return {
    entries: [
      [
        { json: 'path', field: 'Path', column: 'path', value: report.path },
        { json: 'output', field: 'Output', value: report.output },
        {
          json: 'dryRun',
          field: 'Dry run',
          column: 'status',
          value: isDryRun,
          cell: isDryRun ? 'would be' : 'done',
        },
        { json: 'sizeBefore', field: 'Size before', column: 'before', ...size(sizeBeforeBytes) },
        { json: 'sizeAfter', field: 'Size after', column: 'after', ...size(sizeAfterBytes) },
        {
          json: 'freed',
          field: 'Freed',
          column: 'freed',
          value: saved,
          cell: saved < 0 ? `-${humanizeBytes(-saved)}` : humanizeBytes(saved),
        },
        { json: 'diskNeeded', field: 'Disk needed', column: 'disk needed', ...size(sizeAfterBytes) },
        { json: 'diskFree', field: 'Disk free', column: 'disk free', ...size(freeBytes) },
        { json: 'records', field: 'Records', value: report.recordCount },
        { json: 'hash', field: 'Hash', value: report.hash },
        { json: 'tookMs', field: 'Took ms', value: Math.round(report.tookMs) },
      ],
    ],
  };
}
