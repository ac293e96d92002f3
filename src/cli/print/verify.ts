/** How a verify report reads: what was found, what was looked at, and one line to act on. */
import { basename, relative } from 'node:path';
import type { LayerReport, VerifyReport } from '../../check/report.ts';
import { describeWhere, type Finding } from '../../errors.ts';
import type { Entry } from './report.ts';

const LABEL_WIDTH = 9;
const line = (label: string, text: string): string => `  ${label.padEnd(LABEL_WIDTH)}${text}\n`;
const grouped = (count: number): string => count.toLocaleString('en-US');

export function verifyHeader(path: string): string {
  return `${path}\n`;
}

/** One finding of `path`, with where it is and what to do about it. */
export function findingLines(finding: Finding, path: string): string {
  const { severity, code, message, where, hint } = finding;
  const { file, ...inFile } = where;
  const within = file === undefined ? '' : withinPath(file, path, message);
  const place = describeWhere(within === '' ? inFile : { ...inFile, file: within });
  const lines = line(severity.toUpperCase(), `${code}: ${message}${place ? ` [${place}]` : ''}`);
  return hint ? lines + line('', `hint: ${hint}`) : lines;
}

/** Which file of a directory; empty where the header or the message names it already. */
function withinPath(file: string, path: string, message: string): string {
  if (message.includes(basename(file))) return '';
  const inside = relative(path, file);
  return inside.startsWith('..') ? file : inside;
}

/** What comes after the findings. */
export function verifySummary(report: VerifyReport, shownFindings: number): string {
  const { layers, bytes, totalBytes, verdict, next } = report;
  const count = layers.reduce((sum, layer) => sum + layer.fatal + layer.lossy + layer.notes, 0);
  let text = '';
  if (count > shownFindings)
    text += line('…', `and ${grouped(count - shownFindings)} more; -w json has the first 1,000`);
  if (report.kind !== 'unknown' && totalBytes > 0) {
    text += line('is', describeContent(report));
    text += line('layers', layers.map(describeLayer).join(' · '));
    const parts = bytes.map(
      ({ what, bytes: size, status }) =>
        `${what} ${grouped(size)}${status === 'skipped' ? ' (skipped)' : ''}`,
    );
    text += line('bytes', `${parts.join(' + ')} = ${grouped(totalBytes)}`);
    for (const { version, from, obstacle } of report.starts) {
      text += line(
        `etcd ${version}`,
        obstacle === undefined ? `could start, from ${from}` : `could not start: ${obstacle}`,
      );
    }
  }
  const damage =
    verdict === 'DAMAGED'
      ? ` (${grouped(report.damageCount)} finding${report.damageCount === 1 ? '' : 's'})`
      : '';
  return `${text}${verdict}${damage}: ${next}\n`;
}

function describeContent({ kind, facts }: VerifyReport): string {
  const parts = [`${kind}, storage version ${facts['storageVersion'] ?? 'not read'}`];
  if (facts['revision'] !== undefined) {
    const compact =
      facts['compactRevision'] === undefined ? 'never compacted' : `compacted at ${facts['compactRevision']}`;
    parts.push(
      `revision ${facts['revision']} (${compact})`,
      `${facts['keys']} keys in ${facts['records']} records`,
    );
  }
  if (facts['consistentIndex'] !== undefined) parts.push(`consistent index ${facts['consistentIndex']}`);
  if (facts['logEnd'] !== undefined) {
    parts.push(
      `log to ${facts['logLastIndex'] ?? 0}, committed ${facts['logCommit']}, end ${facts['logEnd']}`,
    );
  }
  return parts.join(', ');
}

function describeLayer({ layer, status, fatal, lossy, notes }: LayerReport): string {
  if (status === 'skipped') return `${layer} –`;
  const counts = [
    fatal > 0 ? `${fatal} fatal` : '',
    lossy > 0 ? `${lossy} lossy` : '',
    notes > 0 ? `${notes} note${notes === 1 ? '' : 's'}` : '',
    status === 'incomplete' ? 'incomplete' : '',
  ].filter((part) => part !== '');
  return `${layer} ${counts.length === 0 ? 'ok' : counts.join(', ')}`;
}

/** For `table` and `fields`. */
export function verifyEntry({ path, kind, verdict, damageCount, totalBytes, next }: VerifyReport): Entry {
  return [
    { field: 'Path', column: 'path', value: path },
    { field: 'Kind', column: 'kind', value: kind },
    { field: 'Verdict', column: 'verdict', value: verdict },
    { field: 'Findings', column: 'findings', value: damageCount },
    { field: 'Bytes', column: 'bytes', value: totalBytes },
    { field: 'Next', column: 'next', value: next },
  ];
}
