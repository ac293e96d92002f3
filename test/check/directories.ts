/** Directories that real etcd wrote, unpacked without the zeros they are preallocated with, and small ones made here. */
import assert from 'node:assert/strict';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { crc32c } from '../../src/bytes/crc32c.ts';
import type { VerifyReport } from '../../src/check/report.ts';
import { verify } from '../../src/check/verify.ts';
import { realDisk } from '../../src/bytes/disk.ts';
import { encodeSnapFile, formatSnapName } from '../../src/format/snap/file.ts';
import { encodeV2Store } from '../../src/format/snap/v2store.ts';
import { formatSegmentName } from '../../src/format/wal/name.ts';
import { SegmentWriter } from '../../src/format/wal/writer.ts';
import { buildDatabase, type DatabaseSpec, MEMBER, metaRows, put } from '../store/database-builder.ts';
import { encodeIndex } from '../../src/store/schema/rows.ts';
import { readFixture } from '../support/fixtures.ts';
import { scratch } from '../support/scratch.ts';

const BLOCK = 512;
const CHUNK = 1 << 16;
const ZEROS = Buffer.alloc(CHUNK);

let root: string | undefined;
const unpacked = new Map<string, string>();

/**
 * Unpacks a `.tar.gz` or `.gz` of the fixtures, once per process. Gives the file or directory it holds; tests must
 * not write there.
 */
export function unpackSparsely(path: string): string {
  const known = unpacked.get(path);
  if (known !== undefined) return known;
  if (root === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'etcdkit-sparse-'));
    root = made;
    process.on('exit', () => rmSync(made, { recursive: true, force: true }));
  }
  const target = mkdtempSync(join(root, 'x'));
  const content = gunzipSync(readFixture(path));
  if (path.endsWith('.tar.gz')) untar(content, target);
  else writeFileSync(join(target, path.split('/').at(-1)!.replace(/\.gz$/, '')), content);
  const made = join(target, readdirSync(target)[0]!);
  unpacked.set(path, made);
  return made;
}

/** Member directory of the data directory that a version wrote. */
export function memberOf(version: string): string {
  return join(unpackSparsely(`datadir/datadir-${version}.tar.gz`), 'member');
}

/** Names of up to 100 characters, files and directories: all that the fixtures have. */
function untar(archive: Buffer, target: string): void {
  for (let at = 0; archive[at];) {
    const field = (start: number, size: number): string =>
      archive.toString('latin1', at + start, at + start + size).replace(/\0.*$/s, '');
    const path = join(target, field(0, 100));
    const mode = Number.parseInt(field(100, 8), 8);
    const size = Number.parseInt(field(124, 12), 8);
    const type = field(156, 1);
    assert.ok(type === '0' || type === '5', `entry of type ${type}`);
    if (type === '5') mkdirSync(path, { mode });
    else writeSparsely(path, archive.subarray(at + BLOCK, at + BLOCK + size), mode);
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
}

export function writeSparsely(path: string, content: Buffer, mode = 0o600): void {
  const fd = openSync(path, 'w', mode);
  ftruncateSync(fd, content.length);
  for (let at = 0; at < content.length; at += CHUNK) {
    const chunk = content.subarray(at, at + CHUNK);
    if (!chunk.equals(ZEROS.subarray(0, chunk.length))) writeSync(fd, chunk, 0, chunk.length, at);
  }
  closeSync(fd);
}

/** Paths of all files below, and their sizes together. */
export function filesIn(path: string): { paths: string[]; totalBytes: number } {
  const entries = statSync(path).isDirectory()
    ? readdirSync(path, { recursive: true, encoding: 'utf8' })
    : [''];
  const paths = entries.map((name) => join(path, name)).filter((one) => statSync(one).isFile());
  return { paths: paths.sort(), totalBytes: paths.reduce((sum, one) => sum + statSync(one).size, 0) };
}

/** Runs `run`, and fails when anything below `path` is another afterwards: names, bytes, times, modes. */
export async function unchangedTree<T>(path: string, run: () => Promise<T>): Promise<T> {
  const state = (): unknown[] =>
    filesIn(path).paths.map((one) => {
      const { mtimeNs, ctimeNs, ino, mode, size } = statSync(one, { bigint: true });
      return { one, mtimeNs, ctimeNs, ino, mode, size, crc: crc32c(readFileSync(one)) };
    });
  const before = state();
  const result = await run();
  assert.deepEqual(state(), before);
  return result;
}

/** Verifies a directory; fails when anything in it changed, or when a byte of it is not accounted for. */
export async function verifyDirectory(directory: string): Promise<VerifyReport> {
  const report = await unchangedTree(directory, () => verify(directory));
  assert.equal(report.totalBytes, filesIn(directory).totalBytes, 'all bytes are accounted for');
  return report;
}

/** `severity code: message` of each finding of the log layer. */
export const logFindings = ({ findings }: VerifyReport): string[] =>
  findings
    .filter(({ layer }) => layer === 'log')
    .map(({ severity, code, message }) => `${severity} ${code}: ${message}`);

/** Fails unless the log layer found just these. */
export function assertLog(report: VerifyReport, expected: readonly RegExp[]): void {
  const found = logFindings(report);
  assert.equal(found.length, expected.length, found.join('\n'));
  for (const [i, message] of expected.entries()) assert.match(found[i]!, message);
}

export interface LogSpec {
  /** Entries from 1 on, all of term 2, but for the bootstrap at index 1. */
  lastIndex?: number;
  commit?: number;
  /** Snapshot records, after the entries. */
  snapshots?: ReadonlyArray<{ index: number; term: number }>;
  nodeId?: bigint;
  /** Of entries, by index; the others have none. */
  data?: Readonly<Record<number, Uint8Array>>;
  /** Index where a new segment begins. */
  cutAt?: number;
}

export interface MemberSpec {
  database?: DatabaseSpec;
  consistentIndex?: number;
  log?: LogSpec;
  /** .snap files. */
  snaps?: ReadonlyArray<{ index: number; term: number }>;
}

const CLUSTER_ID = 0xcdf818194e3a8c32n;
/** Small: what lies behind the records is not the matter here. */
const SEGMENT_SIZE = 16384;

/** A data directory of 3.6 in `directory`: a log of 20 entries, all applied. Gives the member directory. */
export function plantMember(directory: string, spec: MemberSpec = {}): string {
  const member = join(directory, 'member');
  mkdirSync(join(member, 'snap'), { recursive: true });
  mkdirSync(join(member, 'wal'));
  const { consistentIndex = 20 } = spec;
  const meta = metaRows({ consistent_index: encodeIndex(consistentIndex) });
  const database = { records: [put(2, 'a')], ...spec.database };
  const file = buildDatabase({ ...database, buckets: { meta, ...database.buckets } });
  writeFileSync(join(member, 'snap', 'db'), file, { mode: 0o600 });
  for (const snap of spec.snaps ?? [])
    writeFileSync(join(member, 'snap', formatSnapName(snap)), snapFile(snap));
  writeLog(join(member, 'wal'), spec.log ?? {});
  return member;
}

export function snapFile(snap: { index: number; term: number }): Uint8Array {
  const data = encodeV2Store(
    { members: [MEMBER], removedMembers: [], clusterVersion: '3.5.0' },
    { style: 'live' },
  );
  const confState = { voters: [MEMBER.id], autoLeave: false };
  return encodeSnapFile({ data, metadata: { confState, ...snap } }, { zeros: 'write' });
}

export function writeLog(walDir: string, log: LogSpec): void {
  const { lastIndex = 20, commit = lastIndex, nodeId = MEMBER.id, cutAt, snapshots = [], data = {} } = log;
  const disk = realDisk();
  let sequence = 0;
  const begin = (index: number, crc: number): SegmentWriter => {
    const path = join(walDir, formatSegmentName({ sequence: sequence++, index }));
    // One that is followed by another has been cut to its records.
    const preallocateBytes = index < (cutAt ?? 0) ? 0 : SEGMENT_SIZE;
    const writer = SegmentWriter.create(disk, path, { zeros: 'write', preallocateBytes, crc });
    return writer.metadata({ nodeId, clusterId: CLUSTER_ID });
  };
  let writer = begin(0, 0).snapshot({ index: 0, term: 0 });
  for (let index = 1; index <= lastIndex; index++) {
    if (index === cutAt) {
      writer.close();
      writer = begin(index, writer.crc);
      writer.state({ term: 2, vote: nodeId, commit: index - 1 });
    }
    writer.entry({ index, term: 2, type: 0, data: data[index] });
  }
  writer.state({ term: 2, vote: nodeId, commit });
  for (const snapshot of snapshots) writer.snapshot(snapshot);
  writer.close();
}

/** A member with a snapshot at 10, known to file and log. */
export const WITH_SNAP: MemberSpec = {
  snaps: [{ index: 10, term: 2 }],
  log: { snapshots: [{ index: 10, term: 2 }] },
};
export const SNAP = '0000000000000002-000000000000000a.snap';
export const SEGMENT_0 = '0000000000000000-0000000000000000.wal';

/** A data directory of a test's own. */
export function plant(
  t: Parameters<typeof scratch>[0],
  spec: MemberSpec = {},
): { directory: string; member: string } {
  const directory = scratch(t);
  return { directory, member: plantMember(directory, spec) };
}
