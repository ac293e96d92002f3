/** How a saved directory reads: what the log added to the database, and what an operator has to know of the rest. */
import type { SaveReport } from '../../ops/snapshot/save.ts';
import { humanizeBytes } from '../../bytes/humanize.ts';
import type { Entry } from './report.ts';

const LABEL_WIDTH = 11;
/** Requests without effect that are written out; the rest is counted. */
const SHOWN_REJECTIONS = 10;

const line = (label: string, text: string): string => `  ${label.padEnd(LABEL_WIDTH)}${text}\n`;

/** A few lines for people. */
export function saveText(report: SaveReport): string {
  const { from, to, lastIndex, rejected } = report;
  let text = `saved ${report.path} as ${report.output}\n`;
  text += line('database', `at entry ${from}, revision ${report.revisionBefore}`);
  text += line('log', to > from ? `entries ${from + 1} to ${to}: ${requestsText(report)}` : 'nothing to add');
  for (const { index, what, reason } of rejected.slice(0, SHOWN_REJECTIONS))
    text += line('no effect', `entry ${index}, ${what}, as on every member: ${reason}`);
  if (rejected.length > SHOWN_REJECTIONS) text += line('', `and ${rejected.length - SHOWN_REJECTIONS} more`);
  if (lastIndex > to) {
    const why = 'the log does not show that a majority of the members had them';
    text += line('left out', `entries ${to + 1} to ${lastIndex}: ${why}`);
  }
  const digest = Buffer.from(report.sha256).toString('hex');
  text += line('backup', `revision ${report.revision}, ${humanizeBytes(report.sizeBytes)}, verified in full`);
  text += line('SHA-256', digest);
  return text + line('took', `${(report.tookMs / 1000).toFixed(1)}s`);
}

function requestsText({ counts }: SaveReport): string {
  return [...counts].map(([what, count]) => `${count} ${what}`).join(', ');
}

/** For `json`, `table` and `fields`. */
export function saveEntry(report: SaveReport): Entry {
  const { from, to, lastIndex, counts, rejected, sizeBytes } = report;
  return [
    { json: 'path', field: 'Path', column: 'path', value: report.path },
    { json: 'output', field: 'Output', column: 'output', value: report.output },
    { json: 'databaseIndex', field: 'Database index', column: 'database at', value: from },
    { json: 'appliedIndex', field: 'Applied index', column: 'applied to', value: to },
    { json: 'lastIndex', field: 'Last index', column: 'log ends at', value: lastIndex },
    { json: 'databaseRevision', field: 'Database revision', value: report.revisionBefore },
    { json: 'revision', field: 'Revision', column: 'revision', value: report.revision },
    { json: 'requests', field: 'Requests', value: Object.fromEntries(counts) },
    {
      json: 'rejected',
      value: rejected.map(({ index, what, reason }) => ({ index, what, reason })),
    },
    { field: 'Without effect', value: rejected.length },
    { json: 'size', field: 'Size', column: 'size', value: sizeBytes, cell: humanizeBytes(sizeBytes) },
    { json: 'hash', field: 'Hash', value: report.hash },
    { json: 'sha256', field: 'SHA-256', value: Buffer.from(report.sha256).toString('hex') },
    { json: 'tookMs', field: 'Took ms', value: Math.round(report.tookMs) },
  ];
}
