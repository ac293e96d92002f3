/** How a fetched backup reads. */
import { humanizeBytes } from '../../bytes/humanize.ts';
import type { FetchReport } from '../../ops/snapshot/fetch.ts';
import type { Entry } from './report.ts';

const LABEL_WIDTH = 11;

const line = (label: string, text: string): string => `  ${label.padEnd(LABEL_WIDTH)}${text}\n`;

/** A few lines for people. */
export function fetchText(report: FetchReport): string {
  const { serverVersion, revision, keyCount, sizeBytes, sha256, tookMs } = report;
  const keys = keyCount === 1 ? '1 key' : `${keyCount} keys`;
  let text = `saved ${report.endpoint} as ${report.output}\n`;
  text += line(
    'server',
    serverVersion === undefined ? 'does not say its version' : `storage version ${serverVersion}`,
  );
  text += line('backup', `revision ${revision}, ${keys}, ${humanizeBytes(sizeBytes)}, verified in full`);
  text += line('SHA-256', Buffer.from(sha256).toString('hex'));
  return text + line('took', `${(tookMs / 1000).toFixed(1)}s`);
}

/** For `json`, `table` and `fields`. */
export function fetchEntry(report: FetchReport): Entry {
  const { sizeBytes } = report;
  return [
    { json: 'endpoint', field: 'Endpoint', column: 'endpoint', value: report.endpoint },
    { json: 'output', field: 'Output', column: 'output', value: report.output },
    { json: 'serverVersion', field: 'Server version', column: 'version', value: report.serverVersion ?? '' },
    { json: 'revision', field: 'Revision', column: 'revision', value: report.revision },
    { json: 'keys', field: 'Keys', column: 'keys', value: report.keyCount },
    { json: 'size', field: 'Size', column: 'size', value: sizeBytes, cell: humanizeBytes(sizeBytes) },
    { json: 'sha256', field: 'SHA-256', value: Buffer.from(report.sha256).toString('hex') },
    { json: 'tookMs', field: 'Took ms', value: Math.round(report.tookMs) },
  ];
}
