/**
 * The log layer of verify: segments and their CRC chain, the raft snapshots, and whether log, snapshots and
 * database belong together.
 */
import { existsSync, lstatSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { listNames } from '../bytes/directory.ts';
import type { Pacer } from '../bytes/pacer.ts';
import { openFile, readAt } from '../bytes/source.ts';
import {
  CorruptError,
  type ErrorCode,
  type Finding,
  type FindingSink,
  findingOf,
  type Severity,
  ToolError,
} from '../errors.ts';
import type { Snapshot } from '../format/proto/raftpb.ts';
import { envelope } from '../format/proto/snappb.ts';
import { parseSnapName, readSnapFile } from '../format/snap/file.ts';
import { decodeV2Store, type DecodedV2Store } from '../format/snap/v2store.ts';
import { listSegments, type LogEvent, LogReader, type Segment } from '../format/wal/log.ts';
import { ClusterLog } from '../store/cluster-log.ts';
import type { SchemaState } from '../store/schema/state.ts';
import { schemaVersionOf } from '../store/schema/state.ts';
import { isCanonical } from './canonical.ts';
import type { Input } from './kind.ts';
import type { ByteLine, StartReport, VerifyReport } from './report.ts';
import { checkBeginning, checkFirstEntry, disguiseOf } from './log-records.ts';
import { judgeStart } from './start.ts';
import type { LogSurvey, NamedSnap } from './survey.ts';

interface LogCheckOptions {
  input: Input;
  state: SchemaState | undefined;
  sink: FindingSink;
  bytes: ByteLine[];
  facts: VerifyReport['facts'];
  pacer: Pacer;
}

/** Gives from where each version of etcd would start; nothing when there is no log. */
export async function checkLog(options: LogCheckOptions): Promise<StartReport[]> {
  const { input, state, sink, bytes, facts } = options;
  const walDir = input.walDir!;
  const found = (code: ErrorCode, severity: Severity, message: string, file = walDir, hint?: string): void =>
    sink({ code, severity, where: { file }, message, ...(hint ? { hint } : {}) });

  if (!existsSync(walDir)) {
    readSnaps(input, sink, bytes);
    found(
      'log.start',
      'fatal',
      `there is no log at ${walDir}: a server would begin a new cluster on this database`,
      walDir,
      'give --wal-dir if the log is elsewhere',
    );
    return [];
  }
  const { segments, others } = listSegments(walDir);
  checkOtherNames(others, walDir, bytes, found);
  const { snaps, names, unreadable } = readSnaps(input, sink, bytes);
  if (segments.length === 0) {
    found(
      'log.start',
      'fatal',
      `there is no segment in ${walDir}: a server would begin a new cluster on this database`,
    );
    return [];
  }
  const survey = await readLog(segments, snaps, names, options);
  accountLog(survey.reader, bytes);
  checkTogether(survey, state, found);
  checkSnapRecords(survey, input, found);
  reportUnreadable(unreadable, survey, sink);
  addFacts(survey, facts);
  return state ? judgeStart(survey, state, found) : [];
}

type Found = (code: ErrorCode, severity: Severity, message: string, file?: string, hint?: string) => void;

function checkOtherNames(others: string[], walDir: string, bytes: ByteLine[], found: Found): void {
  for (const name of others) {
    const path = join(walDir, name);
    const size = sizeOf(path);
    bytes.push({
      what: name.endsWith('.tmp') ? 'next segment, preallocated' : 'other files',
      bytes: size,
      status: 'skipped',
    });
    if (/^[01]\.tmp$/.test(name)) continue;
    if (name.endsWith('.broken')) found('log.leftover', 'note', `${name} was set aside by a repair`, path);
    else if (name !== 'lost+found') found('wal.name', 'note', `${name} is none of etcd's`, path);
  }
}

/** Of the entry itself, should it be a link to nowhere; 0 of a directory, or when it went away meanwhile. */
function sizeOf(path: string): number {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return !stat || stat.isDirectory() ? 0 : stat.size;
}

/** The same bytes as `checkLog` accounts for, when nobody looks at them. */
export function accountUnread({ memberDir, walDir, database }: Input): ByteLine[] {
  const sum = (directory: string): number =>
    listNames(directory)
      .map((name) => join(directory, name))
      .reduce((total, path) => total + (path === database ? 0 : sizeOf(path)), 0);
  const lines: ByteLine[] = [
    { what: 'log', bytes: sum(walDir!), status: 'skipped' },
    { what: 'raft snapshots and other files', bytes: sum(join(memberDir!, 'snap')), status: 'skipped' },
  ];
  return lines.filter(({ bytes }) => bytes > 0);
}

/** What lies in the directories beside `snap` and the log. */
export function accountOthers({ kind, memberDir, walDir }: Input): ByteLine[] {
  const known = new Set([join(memberDir!, 'snap'), walDir, memberDir]);
  const directories = kind === 'data directory' ? [dirname(memberDir!), memberDir!] : [memberDir!];
  const others = directories
    .flatMap((directory) => listNames(directory).map((name) => join(directory, name)))
    .filter((path) => !known.has(path));
  const bytes = others.reduce((sum, path) => sum + treeSize(path), 0);
  return bytes > 0 ? [{ what: 'other files', bytes, status: 'skipped' }] : [];
}

/** Of a file, or of all files in a directory; links are not followed. */
function treeSize(path: string): number {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) return sizeOf(path);
  return listNames(path).reduce((sum, name) => sum + treeSize(join(path, name)), 0);
}

/** Reads every record once; what is wrong goes to the sink, a torn end by what it costs. */
async function readLog(
  segments: Segment[],
  snaps: NamedSnap[],
  snapNames: string[],
  options: LogCheckOptions,
): Promise<LogSurvey> {
  const { state, sink, pacer } = options;
  let isWhole = true;
  let torn: Finding | undefined;
  const reader = new LogReader(segments, {
    findings: (finding) => {
      if (finding.code === 'wal.torn' && finding.severity !== 'fatal') torn = finding;
      else {
        if (finding.severity === 'fatal') isWhole = false;
        sink(finding);
      }
    },
  });
  for (const segment of segments) checkBeginning(segment, sink);
  const cluster = new ClusterLog(state?.consistentIndex);
  for (const event of reader.events()) {
    const disguise = disguiseOf(event);
    if (disguise)
      sink({ code: 'wal.record.malformed', severity: 'lossy', where: event.at, message: disguise });
    addEvent(cluster, event, sink);
    if (pacer.isDue()) await pacer.rest();
  }
  if (torn) reportTorn(torn, reader, sink);
  checkFirstEntry(reader, segments[0]!, sink);
  return { segments, reader, snaps, snapNames, isWhole, cluster };
}

/** Reports data that is no request at all. */
function addEvent(cluster: ClusterLog, event: LogEvent, sink: FindingSink): void {
  try {
    cluster.add(event);
  } catch (error) {
    if (!(error instanceof ToolError) || event.kind !== 'entry') throw error;
    sink({ ...findingOf(error), message: `entry ${event.index}: ${error.message}` });
  }
}

/** A torn last write is how a crash looks: a server cuts it off. It costs something when intact records follow. */
function reportTorn(torn: Finding, reader: LogReader, sink: FindingSink): void {
  const isCostly = (reader.end?.intactAfter ?? 0) > 0;
  sink({
    ...torn,
    severity: isCostly ? 'lossy' : 'note',
    message: `the last write is incomplete: ${torn.message}; a server cuts it off when it starts`,
  });
}

function accountLog(reader: LogReader, bytes: ByteLine[]): void {
  let read = 0;
  let rest = 0;
  for (const { sizeBytes, readBytes } of reader.summaries) {
    read += readBytes;
    rest += sizeBytes - readBytes;
  }
  bytes.push({ what: 'log records', bytes: read, status: 'checked' });
  if (rest > 0) bytes.push({ what: 'log, preallocated or unread', bytes: rest, status: 'skipped' });
}

function checkTogether({ reader, cluster }: LogSurvey, state: SchemaState | undefined, found: Found): void {
  const commit = reader.state?.commit ?? 0;
  const last = reader.lastIndex ?? 0;
  const newest = Math.max(last, ...reader.snapshots.map(({ snapshot }) => snapshot.index));
  if (commit > newest) {
    found(
      'log.tail',
      'lossy',
      `the log is committed to ${commit}, but ends at entry ${newest}: entries are lost`,
    );
  }
  if (!state) return;
  const applied = state.consistentIndex;
  if (applied !== undefined && applied > newest) {
    found(
      'log.tail',
      'lossy',
      `the database applied entry ${applied}, but the log ends at ${newest}: they do not belong together, or entries are lost`,
    );
  }
  const { termAtIndex } = cluster;
  if (termAtIndex !== undefined && state.term !== undefined && termAtIndex !== state.term) {
    found(
      'log.tail',
      'lossy',
      `the database applied entry ${applied} of term ${state.term}, but in the log it is of term ${termAtIndex}`,
    );
  }
  const node = reader.metadata?.nodeId;
  if (node !== undefined) checkOwner(node, state, found);
}

/** The log's member must be one of the database's, unless it was removed: its server ends soon after its start. */
function checkOwner(node: bigint, state: SchemaState, found: Found): void {
  if (state.members.length === 0 || state.members.some(({ id }) => id === node)) return;
  const whose = `the log belongs to member ${node.toString(16)}, which`;
  if (state.removedMembers.includes(node))
    found('schema.membership', 'note', `${whose} was removed from the cluster`);
  else
    found(
      'schema.membership',
      schemaVersionOf(state) === '3.4' ? 'note' : 'lossy',
      `${whose} the database does not list`,
    );
}

function checkSnapRecords({ reader, snaps }: LogSurvey, input: Input, found: Found): void {
  const records = reader.snapshots.map(({ snapshot }) => snapshot);
  for (const { name, term, index } of snaps) {
    const path = join(input.memberDir!, 'snap', name);
    const record = records.find((one) => one.index === index);
    if (!record)
      found(
        'snap.orphan',
        'note',
        `${name} has no record in the log: left by a crash, or its record was purged`,
        path,
      );
    else if (record.term !== term) {
      found(
        'wal.snapshot.mismatch',
        'lossy',
        `${name} is of term ${term}, but its record in the log of ${record.term}`,
        path,
      );
    }
  }
}

/** A .snap file that does not decode. */
interface UnreadableSnap {
  index: number;
  finding: Finding;
}

/** One that the log would name, but does not, is what a crash leaves of a file that was being written. */
function reportUnreadable(
  unreadable: UnreadableSnap[],
  { reader, segments }: LogSurvey,
  sink: FindingSink,
): void {
  const begin = segments[0]!.index;
  for (const { index, finding } of unreadable) {
    const isNamed = reader.snapshots.some(({ snapshot }) => snapshot.index === index);
    const message = `${finding.message}: left by a crash, for the log does not name it`;
    sink(isNamed || index < begin ? finding : { ...finding, severity: 'note', message });
  }
}

function readSnaps(
  input: Input,
  sink: FindingSink,
  bytes: ByteLine[],
): { snaps: NamedSnap[]; names: string[]; unreadable: UnreadableSnap[] } {
  const directory = join(input.memberDir!, 'snap');
  const names = listNames(directory).reverse();
  const snaps: NamedSnap[] = [];
  const unreadable: UnreadableSnap[] = [];
  for (const name of names) {
    const path = join(directory, name);
    if (path === input.database) continue;
    const size = sizeOf(path);
    const parsed = name.endsWith('.snap') ? parseSnapName(name) : undefined;
    if (!parsed) {
      bytes.push({ what: 'other files', bytes: size, status: 'skipped' });
      reportOther(name, path, sink);
      continue;
    }
    bytes.push({ what: 'raft snapshots', bytes: size, status: 'checked' });
    try {
      const { snapshot, store } = readSnap(path);
      const { index, term } = snapshot.metadata;
      if (index !== parsed.index || term !== parsed.term) {
        sink({
          code: 'snap.name',
          severity: 'lossy',
          where: { file: path },
          message: `${name} holds term ${term}, index ${index}`,
        });
      }
      snaps.push({ name, term, index, store });
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      unreadable.push({ index: parsed.index, finding: findingOf(error) });
    }
  }
  return { snaps, names, unreadable };
}

function readSnap(path: string): { snapshot: Snapshot; store: DecodedV2Store } {
  const source = openFile(path);
  try {
    const snapshot = readSnapFile(source);
    if (!isCanonical(envelope, readAt(source, 0, source.size))) {
      throw new CorruptError('snap.malformed', 'the envelope around the snapshot is not as etcd writes it', {
        where: { file: path, offset: 0 },
      });
    }
    return { snapshot, store: decodeV2Store(snapshot.data ?? new Uint8Array(), { file: path }) };
  } finally {
    source.close();
  }
}

function reportOther(name: string, path: string, sink: FindingSink): void {
  const note = (message: string): void =>
    sink({ code: 'log.leftover', severity: 'note', where: { file: path }, message });
  if (name.endsWith('.snap.db') || name === 'lost+found') return;
  if (name.endsWith('.broken')) note(`${name} was set aside because it could not be read`);
  else if (name.startsWith('db.tmp') || name.startsWith('tmp'))
    note(`${name} was left behind by an interrupted run, and may be removed`);
  else note(`${name} is none of etcd's`);
}

function addFacts({ reader, snaps }: LogSurvey, facts: VerifyReport['facts']): void {
  if (reader.metadata) {
    facts['memberId'] = reader.metadata.nodeId.toString(16);
    facts['clusterId'] = reader.metadata.clusterId.toString(16);
  }
  facts['logEntries'] = reader.entryCount;
  if (reader.firstIndex !== undefined) facts['logFirstIndex'] = reader.firstIndex;
  if (reader.lastIndex !== undefined) facts['logLastIndex'] = reader.lastIndex;
  facts['logCommit'] = reader.state?.commit ?? 0;
  if (reader.end) facts['logEnd'] = reader.end.verdict;
  facts['raftSnapshots'] = snaps.length;
}
