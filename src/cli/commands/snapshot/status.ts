/** `snapshot status`: etcdutl's summary of a backup; natively a wrong SHA-256 is damage. */
import { CorruptError } from '../../../errors.ts';
import { snapshotStatus, type StatusReport } from '../../../ops/snapshot/status.ts';
import type { Call } from '../../call.ts';
import { humanizeBytes } from '../../../bytes/humanize.ts';
import { choosePrinter } from '../../print/printer.ts';
import type { Item, Report } from '../../print/report.ts';
import type { Style } from '../../style.ts';

export async function status(call: Call): Promise<void> {
  const print = choosePrinter(call);
  const path = call.operands[0]!;
  const context = await call.context();
  const report = await snapshotStatus(path, context);
  print(describeStatus(report, call.style));

  if (report.digest !== 'mismatch') return;
  const message = 'the SHA-256 at the end of the file does not match its content: it was changed or damaged';
  if (call.style.compat) context.log.warn({ path }, message);
  else {
    throw new CorruptError('backup.digest', message, {
      where: { file: path },
      hint: `etcdkit snapshot verify ${path}`,
    });
  }
}

/** etcdutl 3.5 counted every record of every bucket and knew no storage version. */
function describeStatus(report: StatusReport, style: Style): Report {
  const isOld = style.shapes === '3.5';
  const keyCount = isOld ? report.totalRecords : report.totalKey;
  const entry: Item[] = [
    { json: 'hash', field: 'Hash', column: 'hash', value: report.hash, cell: report.hash.toString(16) },
    { json: 'revision', field: 'Revision', column: 'revision', value: report.revision },
    { json: 'totalKey', field: 'Keys', column: 'total keys', value: keyCount },
    {
      json: 'totalSize',
      field: 'Size',
      column: 'total size',
      value: report.totalSize,
      cell: humanizeBytes(report.totalSize),
    },
  ];
  if (!isOld) entry.push({ json: 'version', field: 'Version', column: 'version', value: report.version });
  return { entries: [entry] };
}
