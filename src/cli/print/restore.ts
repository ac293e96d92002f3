/** How a restore reads: what came to be where, and what the operator should know. */
import { join } from 'node:path';
import { formatId } from '../../format/ids.ts';
import type { RestoreReport } from '../../ops/snapshot/restore.ts';
import { humanizeBytes } from '../../bytes/humanize.ts';
import type { Entry, JsonValue } from './report.ts';

const LABEL_WIDTH = 11;
const line = (label: string, text: string): string => `  ${label.padEnd(LABEL_WIDTH)}${text}\n`;

/** A few lines for people. */
export function restoreText(report: RestoreReport): string {
  const { members, isDryRun } = report;
  let text = `${isDryRun ? 'would restore' : 'restored'} ${report.path} for etcd ${report.targetVersion}\n`;
  text += line(
    'cluster',
    `${formatId(report.clusterId)}, ${members.length} member${members.length === 1 ? '' : 's'}`,
  );
  for (const { id, name, peerUrls, isLearner, dataDir } of members) {
    const parts = [formatId(id), name, peerUrls.join(','), ...(isLearner ? ['learner'] : [])];
    text += line('', `${parts.join('  ')}${dataDir === undefined ? '' : ` → ${dataDir}`}`);
  }
  for (const { dataDir, walDir } of members) {
    if (dataDir === undefined || walDir === undefined || walDir === join(dataDir, 'member', 'wal')) continue;
    text += line('log', walDir);
  }
  text += line('snapshot', describeSnapshot(report));
  text += line('database', describeDatabase(report));
  text += line('versions', describeVersions(report));
  if (report.bump)
    text += line(
      'revision',
      `${report.bump.revision} + ${report.bump.amount} = ${report.bump.newRevision}, marked compacted`,
    );
  text += line('trimmed', describeTrimmed(report));
  for (const { path, neededBytes, freeBytes } of report.space) {
    text += line(
      'space',
      `${humanizeBytes(neededBytes)} needed in ${path}, of ${humanizeBytes(freeBytes)} free`,
    );
  }
  for (const note of report.notes) text += line('note', note);
  return text + line('took', `${(report.tookMs / 1000).toFixed(1)}s`);
}

function describeSnapshot({ sourceBytes, revision, digest }: RestoreReport): string {
  const words = { good: 'SHA-256 good', skipped: 'SHA-256 not looked at', absent: 'no SHA-256' };
  return `${humanizeBytes(sourceBytes)}, revision ${revision}, ${words[digest]}`;
}

function describeDatabase({ databaseBytes, recordCount, layout, isDryRun }: RestoreReport): string {
  const records = recordCount === undefined ? '' : `, ${recordCount} records`;
  const how = layout === 'packed' ? 'packed' : 'page for page';
  const proof =
    layout === 'quick' ? '' : isDryRun ? ', every record checked' : ', every record checked and read back';
  return `${humanizeBytes(databaseBytes)} a member, ${how}${records}${proof}`;
}

function describeVersions(report: RestoreReport): string {
  const { snapshotVersion, targetVersion, clusterVersionBefore: before, clusterVersion: after } = report;
  const schema =
    snapshotVersion === targetVersion
      ? `schema ${targetVersion}`
      : `schema ${snapshotVersion} → ${targetVersion}`;
  const cluster =
    before === after ? `cluster ${after ?? 'not set'}` : `cluster ${before ?? 'not set'} → ${after}`;
  return `${schema}, ${cluster}`;
}

function describeTrimmed({ trimmedMembers, trimmedRemovedCount }: RestoreReport): string {
  const names = trimmedMembers.map(({ id, name }) => `${name || '(unnamed)'} ${formatId(id)}`).join(', ');
  const removed = trimmedRemovedCount === 0 ? '' : `, ${trimmedRemovedCount} removed`;
  return `${trimmedMembers.length} old member${trimmedMembers.length === 1 ? '' : 's'}${names ? `: ${names}` : ''}${removed}`;
}

/** The whole report, ids in hex. */
export function restoreJson(report: RestoreReport): JsonValue {
  const { bump } = report;
  return {
    path: report.path,
    dryRun: report.isDryRun,
    clusterId: formatId(report.clusterId),
    members: report.members.map(({ id, ...member }) => ({ id: formatId(id), ...member })),
    targetVersion: report.targetVersion,
    snapshotVersion: report.snapshotVersion,
    clusterVersion: report.clusterVersion ?? null,
    clusterVersionBefore: report.clusterVersionBefore ?? null,
    revision: report.revision,
    bump: bump
      ? { amount: bump.amount, newRevision: bump.newRevision, ...(bump.old ? { old: { ...bump.old } } : {}) }
      : null,
    sourceBytes: report.sourceBytes,
    databaseBytes: report.databaseBytes,
    records: report.recordCount ?? null,
    hash: report.hash ?? null,
    digest: report.digest,
    layout: report.layout,
    trimmedMembers: report.trimmedMembers.map(({ id, name }) => ({ id: formatId(id), name })),
    trimmedRemoved: report.trimmedRemovedCount,
    alarms: report.alarms.map(({ memberId, alarm }) => ({ memberId: formatId(memberId), alarm })),
    space: report.space.map((need) => ({ ...need })),
    notes: report.notes,
    tookMs: Math.round(report.tookMs),
  };
}

/** For `table` and `fields`: a row for each member. */
export function restoreEntries(report: RestoreReport): Entry[] {
  return report.members.map(({ id, name, peerUrls, isLearner, dataDir }) => [
    { field: 'Cluster', value: formatId(report.clusterId) },
    { field: 'Member', column: 'member', value: formatId(id) },
    { field: 'Name', column: 'name', value: name },
    { field: 'Peer URLs', column: 'peer urls', value: peerUrls.join(',') },
    { field: 'Learner', column: 'learner', value: isLearner },
    { field: 'Directory', column: 'directory', value: dataDir ?? '' },
    {
      field: 'Database',
      column: 'database',
      value: report.databaseBytes,
      cell: humanizeBytes(report.databaseBytes),
    },
    { field: 'Target version', value: report.targetVersion },
    { field: 'Revision', value: report.bump?.newRevision ?? report.revision },
  ]);
}
